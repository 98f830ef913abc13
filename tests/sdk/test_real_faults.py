"""The faults of spec/faults, acted out between both clients and a real server: never a second job.

They take their time in pauses and timeouts, so they are all begun at once and judged one by one.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import fairstack
from fairstack import AsyncFairStack, FairStack, FairStackError
from tests.conftest import make_folder
from tests.faults import Fault, read_faults
from tests.sdk.fault_proxy import FaultProxy, fault_proxy
from tests.sdk.real_server import RealServer

FAULTS = read_faults()
FACES = ("sync", "async")
#: One second, small: rendered quickly.
ORDER = {"model": "grok-imagine-t2v", "prompt": "A dog", "duration": 1, "resolution": "480p"}
AT_A_TIME = 10


@dataclass(kw_only=True)
class End:
    """How one order ended for its client, and what the server has in its books."""

    clip_bytes: tuple[int, int] | None = None
    error: FairStackError | None = None
    jobs: int = 0
    jobs_after_resuming: int | None = None
    proxy: FaultProxy
    key: str = field(repr=False)


class Order:
    """One order by one client, through a proxy that acts out a fault."""

    def __init__(self, fault: Fault, face: str, proxy: FaultProxy, server: RealServer, folder: Path) -> None:
        self._fault = fault
        self._face = face
        self._proxy = proxy
        self._server = server
        self._folder = folder
        self._tag = f"{fault.name}-{face}-{secrets.token_hex(4)}"
        self._wishes = {**ORDER, **fault.order, "tags": {"fault": self._tag}}
        set_ = {"timeout": fault.client.timeout_seconds, "max_retries": fault.client.max_retries}
        self._settings: dict[str, Any] = {k: v for k, v in set_.items() if v is not None}

    async def act_out(self, pool: ThreadPoolExecutor) -> End:
        """Order, wait, and look into the books; where the fault leaves a way back, go it."""
        end = End(proxy=self._proxy, key=self._server.test_key)
        try:
            end.clip_bytes = await self._clip(pool, wait_seconds=self._fault.client.wait_seconds)
        except FairStackError as error:
            end.error = error
        end.jobs = await asyncio.to_thread(self._booked)
        if self._fault.ends.resume and end.error is not None:
            self._proxy.mend()
            end.clip_bytes = await self._clip(pool, resumed_from=end.error)
            end.jobs_after_resuming = await asyncio.to_thread(self._booked)
        return end

    async def _clip(self, pool: ThreadPoolExecutor, **how: Any) -> tuple[int, int]:
        if self._face == "async":
            return await self._awaited(**how)
        return await asyncio.get_running_loop().run_in_executor(pool, lambda: self._blocking(**how))

    def _blocking(
        self, wait_seconds: float | None = None, resumed_from: FairStackError | None = None
    ) -> tuple[int, int]:
        with FairStack(self._server.test_key, self._proxy.url, **self._settings) as client:
            if resumed_from is not None and self._fault.ends.resume == "wait":
                job = client.jobs.get(str(resumed_from.job_id))
            else:
                job = client.generate.video(**self._wishes, idempotency_key=key_of(resumed_from))
            result = job.wait(wait_seconds)
            return result.save(self._folder).bytes, result.metadata.bytes or 0

    async def _awaited(
        self, wait_seconds: float | None = None, resumed_from: FairStackError | None = None
    ) -> tuple[int, int]:
        async with AsyncFairStack(self._server.test_key, self._proxy.url, **self._settings) as client:
            if resumed_from is not None and self._fault.ends.resume == "wait":
                job = await client.jobs.get(str(resumed_from.job_id))
            else:
                job = await client.generate.video(**self._wishes, idempotency_key=key_of(resumed_from))
            result = await job.wait(wait_seconds)
            return (await result.save(self._folder)).bytes, result.metadata.bytes or 0

    def _booked(self) -> int:
        """The jobs of this order in the server's books, asked without the proxy."""
        with FairStack(self._server.test_key, self._server.url) as client:
            jobs = client.jobs.list(page_size=100)
            return sum(job.record.tags.get("fault") == self._tag for job in jobs)


def key_of(error: FairStackError | None) -> str | None:
    """The idempotency key that an error tells; none on the first try."""
    return error.idempotency_key if error is not None else None


class Stage:
    """Two servers, of which one is there to be killed; each is started by the first order that needs it."""

    def __init__(self, pool: ThreadPoolExecutor, folder: Path) -> None:
        self._pool = pool
        self._folder = folder
        self._shared = RealServer(make_folder())
        self._doomed = RealServer(make_folder())
        # One death at a time.
        self._rooms = {self._shared: asyncio.Semaphore(AT_A_TIME), self._doomed: asyncio.Semaphore(1)}
        self._starts = {server: asyncio.Lock() for server in self._rooms}

    async def act_out(self, fault: Fault, face: str) -> End:
        """Let the client meet the fault."""
        server = self._doomed if fault.act.kind == "restart" else self._shared
        async with self._starts[server]:
            if not server.is_running:
                await server.start()
        async with self._rooms[server], fault_proxy(server.url, fault, server.restart) as proxy:
            return await Order(fault, face, proxy, server, self._folder).act_out(self._pool)

    async def clear(self) -> None:
        """Stop both servers and remove their folders."""
        await asyncio.gather(self._shared.stop(), self._doomed.stop())
        for server in self._rooms:
            shutil.rmtree(server.home, ignore_errors=True)


@pytest.fixture(scope="module")
async def ends(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[tuple[str, str], asyncio.Task[End]]]:
    """The ends to come of every fault that is asked for, by its name and the client's face."""
    asked = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    cases = [(p["fault"], p["face"]) for p in asked if isinstance(p.get("fault"), Fault) and "face" in p]
    with ThreadPoolExecutor(AT_A_TIME + 1) as pool:
        stage = Stage(pool, tmp_path_factory.mktemp("clips"))
        tasks = {(fault.name, face): asyncio.create_task(stage.act_out(fault, face)) for fault, face in cases}
        yield tasks
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        await stage.clear()


def test_there_are_faults_of_every_kind() -> None:
    """The list has every kind of act, and every way to an end."""
    assert len(FAULTS) >= 15
    assert {fault.act.kind for fault in FAULTS} == {"close", "answer", "half", "pieces", "restart"}
    assert {fault.ends.with_ for fault in FAULTS} == {"clip", "error"}
    assert {fault.ends.resume for fault in FAULTS} == {"", "submit", "wait"}
    assert all(fault.ends.jobs <= 1 for fault in FAULTS)


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_a_fault_is_one_job(
    fault: Fault, face: str, ends: dict[tuple[str, str], asyncio.Task[End]]
) -> None:
    """One job in the server's books at most, and the clip in hand or an error that says how to get it."""
    end = await ends[fault.name, face]
    assert end.jobs == fault.ends.jobs
    if fault.ends.with_ == "clip":
        assert end.error is None
    else:
        judge_error(fault, end)
    judge_orders(fault, end.proxy)
    if fault.ends.with_ == "clip" or fault.ends.resume:
        assert end.clip_bytes is not None
        saved, promised = end.clip_bytes
        assert saved == promised > 0
    if fault.ends.resume:
        assert end.jobs_after_resuming == 1


def judge_error(fault: Fault, end: End) -> None:
    """It is of the class that the list names, and says what the list wants said."""
    error = end.error
    assert error is not None
    assert type(error) is getattr(fairstack, fault.ends.error)
    for fact in fault.ends.tells:
        if fact == "how_to_resume":
            assert f'client.jobs.get("{error.job_id}").wait()' in str(error)
        else:
            assert getattr(error, fact), f"{fact} is not told"
    assert end.key not in f"{error!r} {error} {vars(error)}"


def judge_orders(fault: Fault, proxy: FaultProxy) -> None:
    """All with one key and one body, as many and as far apart as the list says."""
    tries = proxy.submits()[: None if fault.ends.resume != "submit" else -1]
    assert len(tries) == fault.ends.submits
    assert len({(seen.headers["idempotency-key"], seen.body) for seen in tries}) == 1
    if fault.ends.pause_seconds:
        assert tries[1].at - tries[0].at >= fault.ends.pause_seconds
    if fault.ends.resume == "submit":
        again = proxy.submits()[-1]
        assert (again.headers["idempotency-key"], again.body) == (
            tries[0].headers["idempotency-key"],
            tries[0].body,
        )
