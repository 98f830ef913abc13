"""Submits and gets a second over HTTP, beside the same server without coalescing and beside a bare route."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from bench.accounts import fund
from bench.figures import percentile, table
from bench.http_load import Round
from bench.machine import cpu_seconds
from bench.servers import LoadGenerator, Server, database, load_generator, server, temporary_home
from fairstack_server.db.connections import Pool
from fairstack_server.db.pool import open_pool

CLIENTS = (1, 16, 64)
_ACCOUNTS = 8
_ROUNDS = 2
_ROUND_SECONDS = 1.5
_FILL_SECONDS = 1.5
_JOBS_READ = 1000
_BODY = '{"model": "wan-2-1-t2v", "prompt": "A golden retriever running on a beach at sunset, slow motion"}'
#: Nothing is ever sent there: no worker runs. It makes the route count as configured.
_ROUTE = {"OPENAI_VIDEOS_URL": "http://127.0.0.1:9"}


@dataclass(frozen=True, slots=True)
class _Target:
    """One thing to ask for, again and again."""

    name: str
    server: Server
    requests: Sequence[str]
    status: int


@dataclass(slots=True)
class _Sum:
    """All rounds of one target at one number of clients."""

    seconds: float = 0.0
    cpu_seconds: float | None = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_ms) / self.seconds


async def measure() -> str:
    """Both tables. Raises RuntimeError when a server answers anything but what was asked for."""
    async with AsyncExitStack() as stack:
        home = await stack.enter_async_context(temporary_home())
        dsn = await stack.enter_async_context(database(home))
        settings = {"FAIRSTACK_DATABASE_URL": dsn.url, **_ROUTE}
        ours = await stack.enter_async_context(server("api", home, settings))
        plain = await stack.enter_async_context(server("api", home, settings, module="bench.uncoalesced"))
        pool = await open_pool(dsn, 2)
        stack.push_async_callback(pool.close)
        durability = await _durability(pool)
        generator = await stack.enter_async_context(load_generator())
        keys = await fund(pool, _ACCOUNTS)
        targets = await _targets(generator, ours, plain, keys, pool)
        sums = await _all_rounds(generator, targets)
    return _report(sums, durability)


async def _durability(pool: Pool) -> str:
    names = ("fsync", "synchronous_commit")
    return ", ".join([f"{name}={await pool.fetchval(f'show {name}')}" for name in names])


async def _targets(
    generator: LoadGenerator, ours: Server, plain: Server, keys: Sequence[str], pool: Pool
) -> list[_Target]:
    submits = [_request("POST", "/v1/generations/video", key, _BODY) for key in keys]
    for each in (ours, plain):
        # Fills the table that is read, and warms both servers alike.
        await generator.run(Round(each.port, submits, 16, _FILL_SECONDS))
    rows = await pool.fetch(
        "select j.id, a.name from jobs j join accounts a on a.id = j.account_id order by random() limit $1",
        _JOBS_READ,
    )
    key_of = {f"bench {number}": key for number, key in enumerate(keys)}
    gets = [_request("GET", f"/v1/jobs/{row['id']}", key_of[row["name"]]) for row in rows]
    return [
        _Target("healthz", ours, [_request("GET", "/healthz")], 200),
        _Target("submit", ours, submits, 202),
        _Target("submit, plain", plain, submits, 202),
        _Target("get", ours, gets, 200),
        _Target("get, plain", plain, gets, 200),
    ]


def _request(method: str, path: str, key: str = "", body: str = "") -> str:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body.encode())}"]
    return "\r\n".join([*lines, "", body])


async def _all_rounds(generator: LoadGenerator, targets: Sequence[_Target]) -> Mapping[tuple[str, int], _Sum]:
    """Every target in turn, again and again, so that a change of the machine's load meets all of them."""
    sums: dict[tuple[str, int], _Sum] = defaultdict(_Sum)
    for clients in CLIENTS:
        for number in range(_ROUNDS):
            # There and back, for what was measured just before has its effects, too.
            for target in targets if number % 2 == 0 else reversed(targets):
                await _one_round(generator, target, clients, sums[target.name, clients])
    return sums


async def _one_round(generator: LoadGenerator, target: _Target, clients: int, total: _Sum) -> None:
    before = cpu_seconds(target.server.pid)
    tally = await generator.run(
        Round(target.server.port, list(target.requests), clients, _ROUND_SECONDS, 0.0)
    )
    after = cpu_seconds(target.server.pid)
    wrong = {status: count for status, count in tally.statuses.items() if status != target.status}
    if wrong:
        raise RuntimeError(f"{target.name}: {wrong} instead of {target.status}")
    total.seconds += tally.seconds
    total.latencies_ms += tally.latencies_ms
    if before is None or after is None or total.cpu_seconds is None:
        total.cpu_seconds = None
    else:
        total.cpu_seconds += after - before


def _report(sums: Mapping[tuple[str, int], _Sum], durability: str) -> str:
    head = (
        *("clients", "/s", "p50 ms", "p99 ms", "CPU ms each", "plain /s", "plain p50", "plain p99"),
        *("gain", "/healthz /s", "share of it"),
    )
    parts = []
    for name, title in (
        ("submit", f"Submits (hold, job and queue row committed; {durability}; {_ACCOUNTS} accounts)"),
        ("get", f"Gets of one of {_JOBS_READ} jobs"),
    ):
        rows = [
            _row(clients, sums[name, clients], sums[f"{name}, plain", clients], sums["healthz", clients])
            for clients in CLIENTS
        ]
        parts.append(f"{title}\n{table(head, rows)}")
    return "\n\n".join(parts)


def _row(clients: int, ours: _Sum, plain: _Sum, bare: _Sum) -> list[str]:
    answers = max(1, len(ours.latencies_ms))
    cpu = "-" if ours.cpu_seconds is None else f"{1000 * ours.cpu_seconds / answers:.2f}"
    return [
        str(clients),
        f"{ours.rate:.0f}",
        f"{percentile(ours.latencies_ms, 0.5):.1f}",
        f"{percentile(ours.latencies_ms, 0.99):.1f}",
        cpu,
        f"{plain.rate:.0f}",
        f"{percentile(plain.latencies_ms, 0.5):.1f}",
        f"{percentile(plain.latencies_ms, 0.99):.1f}",
        f"{ours.rate / plain.rate:.2f}x",
        f"{bare.rate:.0f}",
        f"{ours.rate / bare.rate:.2f}",
    ]
