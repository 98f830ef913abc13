"""Outages of receivers: `python -m tests.webhooks.campaign`.

Thousands of messages on PostgreSQL with a virtual clock: a receiver that is down for 24 h and for 72 h, one
that comes and goes, one that asks for patience. Every message must arrive, each time with the same id and
bytes, and verified by the reference library. Then, in real time over sockets, one slow host among fifty.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from aiohttp import web
from standardwebhooks import Webhook

from fairstack_server.clock import SystemClock
from fairstack_server.db.connections import Pool
from fairstack_server.db.pool import open_pool
from fairstack_server.egress import Egress, PostAnswer, TransferFailed
from fairstack_server.logs import configure_logging
from fairstack_server.webhooks import endpoints, store
from fairstack_server.webhooks.deliver import POLL_SECONDS, Deliverer
from fairstack_server.webhooks.schedule import MAX_ATTEMPTS
from tests.campaigns import Figure, campaign_database, report
from tests.webhooks.receivers import Owner, TurnedClock, make_owner

log = structlog.get_logger()

_HOUR = 3600.0
Answer = Callable[[float], int | None]
"""Seconds since the beginning -> the status that is answered then; None for no connection."""

OUTAGES: Mapping[str, Answer] = {
    "down for 24 h": lambda at: None if at < 24 * _HOUR else 200,
    "down for 72 h": lambda at: 503 if at < 72 * _HOUR else 204,
    "comes and goes": lambda at: 200 if int(at / 420) % 3 == 2 else (None if int(at / 60) % 2 else 500),
    "asks for patience": lambda at: 429 if at < 6 * _HOUR else 202,
}


@dataclass
class Witness:
    """A receiver with a plan, that keeps what it was sent and verifies each message by the library."""

    clock: TurnedClock
    began: datetime
    answer: Answer
    secret: str
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    bodies: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    taken: dict[str, float] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> PostAnswer:
        """Note one attempt and answer by the plan."""
        at = (self.clock.now() - self.began).total_seconds()
        message = headers["webhook-id"]
        self.attempts[message] += 1
        self.bodies[message].add(body)
        status = self.answer(at)
        if status is None:
            raise TransferFailed("connect", "no connection")
        if 200 <= status < 300:
            _verify(self.secret, body, headers, self.clock.now())
            self.taken[message] = at
            if len(self.samples) < 250:
                self.samples.append({"secret": self.secret, "body": body.decode(), "headers": dict(headers)})
        return PostAnswer(status, {"retry-after": "3600"} if status == 429 else {}, b"")


def _verify(secret: str, body: bytes, headers: Mapping[str, str], now: datetime) -> None:
    """By the reference library; its clock is not the virtual one, so the stamp is compared beside it."""
    stamp = datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)
    assert abs((stamp - now).total_seconds()) <= 1
    assert (
        Webhook(secret).sign(headers["webhook-id"], stamp, body.decode())
        in headers["webhook-signature"].split()
    )


async def outlast(pool: Pool, name: str, messages: int) -> tuple[Figure, list[dict[str, Any]]]:
    """So many messages to one receiver, and virtual time until nothing waits."""
    async with pool.acquire() as connection:
        await connection.execute("truncate webhook_attempts, webhook_deliveries cascade")
        owner = await make_owner(connection)
        secret = (await endpoints.read_secret(connection, owner.id)).secret
    clock = TurnedClock()
    witness = Witness(clock, clock.now(), OUTAGES[name], secret)
    deliverer = Deliverer(pool, witness, clock)
    began = time.monotonic()
    bodies = await _put_out(pool, owner, messages)
    while await _waits(pool):
        await deliverer.deliver_due()
        clock.turn(await _next_moment(pool, deliverer, clock))
    states = dict(await pool.fetch("select state, count(*) from webhook_deliveries group by state"))
    same = all(len(seen) == 1 for seen in witness.bodies.values())
    told = {next(iter(seen)) for seen in witness.bodies.values()} == bodies
    most = max(witness.attempts.values())
    last, made = max(witness.taken.values()) / _HOUR, sum(witness.attempts.values())
    said = (
        f"{len(witness.taken):,} of {messages:,} delivered, the last after {last:.1f} h,"
        f" {made:,} attempts, at most {most} each, {time.monotonic() - began:.0f} s"
    )
    holds = states == {"delivered": messages} and same and told and most <= MAX_ATTEMPTS
    return Figure(name, said, holds), witness.samples


async def _put_out(pool: Pool, owner: Owner, messages: int) -> set[bytes]:
    bodies = {b'{"id":"job_%d","status":"completed"}' % number for number in range(messages)}
    async with pool.acquire() as connection, connection.transaction():
        for body in bodies:
            await store.enqueue(connection, owner.id, "live", body, url="https://taker.example/hook")
    return bodies


async def _waits(pool: Pool) -> bool:
    return bool(await pool.fetchval("select exists (select from webhook_deliveries where state = 'pending')"))


async def _next_moment(pool: Pool, deliverer: Deliverer, clock: TurnedClock) -> datetime:
    """When a running sender would look again, but for its polls while nothing can be due."""
    async with pool.acquire() as connection:
        next_at = await store.next_due(connection, clock.now())
    pause_end = deliverer.next_pause_end()
    moments = [moment for moment in (next_at, pause_end) if moment is not None]
    return max(min(moments, default=clock.now() + timedelta(seconds=POLL_SECONDS)), clock.now())


async def one_slow_host(pool: Pool, hosts: int, messages: int) -> Figure:
    """Real time, real sockets: one host of many answers nothing until the timeout; the others' delays."""
    async with pool.acquire() as connection:
        await connection.execute("truncate webhook_attempts, webhook_deliveries cascade")
        owner = await make_owner(connection)
    arrived: dict[str, float] = {}
    forever = asyncio.Event()

    async def take(request: web.Request) -> web.Response:
        message = request.headers["webhook-id"]
        if request.match_info["host"] == "0":
            await forever.wait()
        arrived[message] = time.time()
        return web.Response(status=204)

    runners = [await _listen(take) for _ in range(hosts)]
    ports = [runner.addresses[0][1] for runner in runners]
    egress = Egress(webhook_allow=[f"127.0.0.1:{port}" for port in ports])
    deliverer = Deliverer(pool, egress.post, SystemClock(), timeout_seconds=3.0)
    sending = asyncio.create_task(deliverer.run())
    for number in range(messages):
        url = f"http://127.0.0.1:{ports[number % hosts]}/{number % hosts}"
        async with pool.acquire() as connection, connection.transaction():
            await store.enqueue(connection, owner.id, "live", b"{}", url=url)
        if number % hosts == 0:
            deliverer.wake()
    healthy = await pool.fetch(
        "select message_id, created_at from webhook_deliveries where url not like '%/0'"
    )
    put = {row["message_id"]: row["created_at"].timestamp() for row in healthy}
    async with asyncio.timeout(60):
        while not put.keys() <= arrived.keys():
            await asyncio.sleep(0.05)
    forever.set()
    await deliverer.stop()
    await sending
    await egress.aclose()
    for runner in runners:
        await runner.cleanup()
    delays = sorted(arrived[message] - at for message, at in put.items())
    p99 = delays[int(0.99 * len(delays))]
    p50 = delays[len(delays) // 2]
    said = f"{len(put):,} messages to {hosts - 1} healthy hosts, p50 {p50:.2f} s, p99 {p99:.2f} s"
    return Figure(f"one slow host of {hosts}", said, p99 < 5.0)


async def _listen(take: Any) -> web.AppRunner:
    app = web.Application()
    app.router.add_post("/{host}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner


async def run(messages: int, samples_to: Path | None) -> list[Figure]:
    """Every outage, then the slow host; some deliveries are kept for other libraries to verify."""
    figures: list[Figure] = []
    kept: list[dict[str, Any]] = []
    async with campaign_database() as dsn:
        pool = await open_pool(dsn, 10)
        for name in OUTAGES:
            figure, samples = await outlast(pool, name, messages)
            figures.append(figure)
            kept += samples
        figures.append(await one_slow_host(pool, 50, min(messages, 2000)))
        await pool.close()
    if samples_to is not None:
        samples_to.write_text(json.dumps(kept))
    return figures


def main() -> int:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=2000, help="messages of each outage")
    parser.add_argument("--samples", type=Path, help="write deliveries for other libraries to verify")
    told = parser.parse_args()
    configure_logging("error", "json")
    began = time.monotonic()
    figures = asyncio.run(run(told.messages, told.samples))
    return report(figures, f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
