"""Receivers of webhooks, a clock that tests turn, and the rows that deliveries hang on."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.egress import PostAnswer
from fairstack_server.ids import Mode, new_id
from fairstack_server.webhooks import store


@dataclass(frozen=True, slots=True)
class Posted:
    """One request that a receiver got."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class Receiver:
    """Answers each host by its script; a script's last answer goes on for ever, and 200 is the default."""

    def __init__(self, **scripts: list[int | PostAnswer | Exception]) -> None:
        self.posted: list[Posted] = []
        self.most_at_once: Counter[str] = Counter()
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(_open_gate)
        self.arrived = asyncio.Event()
        self._scripts = scripts
        self._now: Counter[str] = Counter()

    async def __call__(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> PostAnswer:
        host = urlsplit(url).hostname or ""
        self.posted.append(Posted(url, body, headers))
        self.arrived.set()
        self._now[host] += 1
        self.most_at_once[host] = max(self.most_at_once[host], self._now[host])
        try:
            await self.gates[host].wait()
        finally:
            self._now[host] -= 1
        return self._answer(host)

    def hold(self, host: str) -> asyncio.Event:
        """Let requests to this host wait until the event that comes back is set."""
        self.gates[host] = asyncio.Event()
        return self.gates[host]

    def _answer(self, host: str) -> PostAnswer:
        script = self._scripts.get(host.partition(".")[0], [200])
        answer = script[0] if len(script) == 1 else script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return PostAnswer(answer, {}, b"") if isinstance(answer, int) else answer


def _open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


@dataclass
class TurnedClock:
    """Time that stands still until a test turns it; it starts a minute ahead, so all that is new is due."""

    moment: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(minutes=1))
    sleepers: list[tuple[datetime, asyncio.Event]] = field(default_factory=list)
    slept: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.moment.timestamp()

    async def sleep(self, seconds: float) -> None:
        done = asyncio.Event()
        self.sleepers.append((self.moment + timedelta(seconds=seconds), done))
        self.slept.set()
        await done.wait()

    def turn(self, moment: datetime) -> None:
        """Go on to this moment, and wake who waited for it."""
        self.moment = moment
        for until, done in self.sleepers:
            if until <= moment:
                done.set()


@dataclass(frozen=True, slots=True)
class Owner:
    """An account with one live key."""

    id: str
    key: str


async def make_owner(conn: Connection) -> Owner:
    """Store an account with a live key."""
    owner = Owner(new_id("acct"), new_id("key"))
    await conn.execute("insert into accounts (id, name) values ($1, $1)", owner.id)
    await conn.execute(
        "insert into api_keys (id, account_id, mode, name, hash, prefix, scopes)"
        " values ($1, $2, 'live', 'key', $3, 'fs_', '{}')",
        owner.key,
        owner.id,
        owner.key.encode(),
    )
    return owner


async def make_job(conn: Connection, owner: Owner) -> str:
    """Store a queued job."""
    job_id = new_id("job")
    await conn.execute(
        """
        insert into jobs (id, account_id, key_id, mode, state, model, ask, settled, quote_micros, deadline_at)
        values ($1, $2, $3, 'live', 'queued', 'veo-3', '{}', '{}', 0, now() + interval '1 hour')
        """,
        job_id,
        owner.id,
        owner.key,
    )
    return job_id


async def put_out(
    pool: Pool, *urls: str, owner: Owner | None = None, mode: Mode = "live", body: bytes = b"{}"
) -> list[str]:
    """Commit one message to each address; answers the ids of the deliveries."""
    async with pool.acquire() as conn, conn.transaction():
        owner = owner or await make_owner(conn)
        ids = [await store.enqueue(conn, owner.id, mode, body, url=url) for url in urls]
    return [delivery_id for delivery_id in ids if delivery_id is not None]
