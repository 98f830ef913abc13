"""Lost answers: `python -m tests.lost_answers.campaign [--jobs 200] [--clients VENV_PYTHON]`.

A vendor takes an order, begins to render and loses the answer, in each of seven ways; each of the four submit
classes has jobs for each way. What it would bill is counted at the vendor. With `--clients` the vendors' own
clients are run beside it, once each, against a server that counts.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from aiohttp import web

from fairstack_server.db.dsn import Dsn
from fairstack_server.logs import configure_logging
from fairstack_server.providers.base import SubmitClass
from fairstack_server.providers.http import provider_sessions
from fairstack_server.wallet.verify import verify
from tests.campaigns import Figure, Progress, campaign_database, report
from tests.gateway.running import Running, running_gateway
from tests.lost_answers.official_clients import CLIENTS
from tests.lost_answers.vendor import SPEAKERS, LostKind, Vendor
from tests.media.unconfined import leave_out_confined_processes
from tests.upstreams.faults import Fault, act_out
from tests.upstreams.faults import Kind as FaultKind

KINDS = cast(tuple[LostKind, ...], get_args(LostKind))
_PROVIDER, _ADDRESS = "openai_videos", "OPENAI_VIDEOS_URL"
_MODEL, _PRICE_MICROS = "wan-2-1-t2v", 48_000
_HANG_SECONDS = 3.0
_AT_ONCE = 50
_PATIENCE_SECONDS = 150.0


@dataclass
class Tally:
    """What became of the jobs of one class."""

    offers: SubmitClass
    jobs: int = 0
    completed: int = 0
    tasks: int = 0
    submits: int = 0
    called_back: int = 0
    charged_micros: int = 0
    findings: list[Any] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Every job completed and was charged, and none was rendered twice."""
        once = self.completed == self.jobs == self.tasks and not self.findings
        charged = self.charged_micros == self.jobs * _PRICE_MICROS
        sent_once = self.offers is SubmitClass.A or self.submits == self.jobs
        called = self.offers is not SubmitClass.D or self.called_back == self.jobs
        return once and charged and sent_once and called

    def figure(self) -> Figure:
        """The line of the table."""
        said = (
            f"{self.jobs:,} jobs, {self.completed:,} completed, billed generations a job"
            f" {self.tasks / self.jobs:.3f}, POSTs a job {self.submits / self.jobs:.2f},"
            f" books: {self.findings[:2] or 'clean'}"
        )
        if self.offers is SubmitClass.D:
            said += f", called back {self.called_back:,}"
        return Figure(f"class {self.offers.name}", said, self.holds)


async def lose_answers(
    offers: SubmitClass, jobs: int, dsn: Dsn, home: Path, kinds: Sequence[LostKind] = KINDS
) -> Tally:
    """So many jobs for each way to lose an answer, on a gateway and a database of their own."""
    tally, progress = Tally(offers), Progress()
    settings: dict[str, Any] = {"public_url": "https://gate.example.com", "rate_limit_per_minute": "1000000"}
    async with Vendor(offers, kinds[0]) as vendor, provider_sessions() as sessions:
        settings[_ADDRESS] = vendor.base_url
        async with running_gateway(dsn, home, **settings) as gateway:
            speaker = SPEAKERS[offers](_PROVIDER, sessions, vendor, _HANG_SECONDS)
            cast(dict[str, Any], gateway.gateway.providers)[_PROVIDER] = speaker
            vendor.gateway_url = gateway.base_url
            await gateway.grant(len(kinds) * jobs * _PRICE_MICROS)
            for kind in kinds:
                vendor.kind = kind
                await _submit_and_wait(gateway, f"{offers.name} {kind}", jobs)
                progress.tell(f"class {offers.name}: {kind} is done")
            await _count(gateway, vendor, tally)
    return tally


async def _submit_and_wait(gateway: Running, name: str, jobs: int) -> None:
    room = asyncio.Semaphore(_AT_ONCE)

    async def submit(number: int) -> None:
        async with room:
            answer = await gateway.submit({"model": _MODEL, "prompt": f"a red kite, {name} {number}"})
            assert answer.status == 202, answer.body

    await asyncio.gather(*(submit(number) for number in range(jobs)))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while left := await gateway.gateway.pool.fetchval("select count(*) from jobs where terminal is null"):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name}: {left} jobs have no end after {_PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(0.2)


async def _count(gateway: Running, vendor: Vendor, tally: Tally) -> None:
    async with gateway.gateway.pool.acquire() as connection:
        states = Counter(row["state"] for row in await connection.fetch("select state from jobs"))
        tally.findings = list(await verify(connection))
    tally.jobs, tally.completed = states.total(), states["completed"]
    tally.tasks, tally.submits, tally.called_back = len(vendor.tasks), vendor.submits, vendor.called_back
    available, held = await gateway.money()
    tally.charged_micros = tally.jobs * _PRICE_MICROS - available - held


async def count_posts(python: str, client: str, kind: FaultKind) -> int:
    """How many POSTs one submit of the vendor's own client sends when its answer is lost this way."""
    posts = 0
    stopping = asyncio.Event()

    async def take(request: web.Request) -> web.StreamResponse:
        nonlocal posts
        await request.read()
        posts += request.method == "POST"
        return await act_out(Fault(kind), request, web.json_response({"id": "1"}), stopping)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    process = await asyncio.create_subprocess_exec(
        python, "-m", "tests.lost_answers.official_clients", client, url
    )
    await process.wait()
    await runner.cleanup()
    return posts


async def compare(python: str) -> list[Figure]:
    """POSTs that the vendors' own clients send for one order, each render of which is paid."""
    kinds: tuple[FaultKind, ...] = ("drop", "http_500", "page_502")
    pairs = [(client, kind) for client in CLIENTS for kind in kinds]
    posts = dict(
        zip(pairs, await asyncio.gather(*(count_posts(python, *pair) for pair in pairs)), strict=True)
    )
    figures = []
    for client in CLIENTS:
        said = ", ".join(f"{kind} {posts[client, kind]}" for kind in kinds)
        figures.append(Figure(client, f"POSTs of one submit: {said}", all(posts[client, k] for k in kinds)))
    return figures


async def run(jobs: int, clients: str | None) -> list[Figure]:
    """All classes at once, then the clients."""

    async def lose(offers: SubmitClass) -> Figure:
        with tempfile.TemporaryDirectory(prefix="fairstack-lost-") as folder:
            async with campaign_database() as dsn:
                return (await lose_answers(offers, jobs, dsn, Path(folder))).figure()

    figures = list(await asyncio.gather(*map(lose, SubmitClass)))
    return [*figures, *(await compare(clients) if clients else [])]


def main() -> int:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=200, help="jobs of each class and each way")
    parser.add_argument("--clients", help="python of a venv with the vendors' own clients")
    told = parser.parse_args()
    configure_logging("error", "json")
    leave_out_confined_processes()
    began = time.monotonic()
    figures = asyncio.run(run(told.jobs, told.clients))
    ways = f"{len(KINDS)} ways to lose an answer, {told.jobs} jobs each"
    return report(figures, f"{ways}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
