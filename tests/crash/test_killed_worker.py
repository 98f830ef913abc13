"""Workers die by SIGKILL at every step of a job; the next one takes over and nobody is billed twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.wallet.verify import verify
from tests.crash.doomed import PLACES
from tests.crash.lives import second_life
from tests.gateway.running import Running, running_gateway
from tests.upstreams.fal import FakeFal
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.upstream import Script

KLING = {"model": "kling-2-1-std-i2v", "prompt": "Camera slowly zooms in", "duration": 5}
WAN = {"model": "wan-2-1-t2v", "prompt": "A red kite over the sea"}
PRICE_MICROS = 280_000


@pytest.mark.parametrize("place", [place for place in PLACES if place != "before_send"])
async def test_a_job_outlives_its_worker(place: str, database: Dsn, home: Path) -> None:
    """Wherever the worker dies once the order is out, the job completes: one task, one hold, one capture."""
    async with FakeFal() as fal:
        settings: dict[str, Any] = {"FAL_QUEUE_URL": fal.base_url, "FAL_KEY": fal.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            job_id = await _submit_kling(gateway)
            await _run_doomed(place, gateway)
            async with second_life(gateway):
                job = await gateway.wait(job_id)
            assert job["status"] == "completed", job
            assert list(fal.log.billed.values()) == [1]
            assert await gateway.money() == (1_000_000 - PRICE_MICROS, 0)
            assert await _movements(gateway) == ["capture", "hold", "grant"]


async def test_an_intent_that_was_never_sent_is_not_sent_by_a_successor(database: Dsn, home: Path) -> None:
    """Killed between intent and send: no request ever leaves, and in time the hold is released."""
    async with FakeFal() as fal:
        settings: dict[str, Any] = {"FAL_QUEUE_URL": fal.base_url, "FAL_KEY": fal.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            job_id = await _submit_kling(gateway)
            await _run_doomed("before_send", gateway)
            await gateway.gateway.pool.execute("update jobs set deadline_at = now() + interval '3 seconds'")
            async with second_life(gateway):
                job = await gateway.wait(job_id)
            assert job["status"] == "failed", job
            assert job["error"]["code"] == "provider_unavailable"
            assert fal.log.submits == []
            assert await gateway.money() == (1_000_000, 0)


async def test_an_answer_that_was_never_read_is_found_at_a_v1_videos_server(
    database: Dsn, home: Path
) -> None:
    """Killed between receive and receipt: the successor finds the task in the list and never sends again."""
    async with FakeOpenAIVideos() as engine:
        settings: dict[str, Any] = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            submitted = await gateway.submit(WAN)
            await _run_doomed("after_answer", gateway)
            async with second_life(gateway):
                job = await gateway.wait(submitted.json["id"])
            assert job["status"] == "completed", job
            assert list(engine.log.billed.values()) == [1]
            assert await gateway.money() == (952_000, 0)


async def test_a_worker_that_is_told_to_stop_hands_its_jobs_back(database: Dsn, home: Path) -> None:
    """SIGTERM in the middle: the receipt is kept, the job is free at once, and the next worker ends it."""
    async with FakeFal() as fal:
        fal.script = Script(render_polls=1000)
        settings: dict[str, Any] = {"FAL_QUEUE_URL": fal.base_url, "FAL_KEY": fal.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            job_id = await _submit_kling(gateway)
            async with second_life(gateway):
                await _until(gateway, "select state = 'running' from jobs")
            assert await gateway.gateway.pool.fetchval("select worker_id from jobs") is None
            fal.last_task.script = Script()
            async with second_life(gateway):
                job = await gateway.wait(job_id)
            assert job["status"] == "completed", job
            assert list(fal.log.billed.values()) == [1]


async def test_a_lost_wake_up_is_found_by_the_sweep(database: Dsn, home: Path) -> None:
    """A job whose queue row was deleted is swept up and completed."""
    async with FakeFal() as fal:
        settings: dict[str, Any] = {"FAL_QUEUE_URL": fal.base_url, "FAL_KEY": fal.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            job_id = await _submit_kling(gateway)
            await gateway.gateway.pool.execute("delete from pgqueuer")
            async with second_life(gateway):
                job = await gateway.wait(job_id)
            assert job["status"] == "completed", job


async def _submit_kling(gateway: Running) -> str:
    from fairstack_server.inputs import example_picture

    uploaded = await gateway.call(
        "POST", "/v1/files", example_picture(), headers={"Content-Type": "image/png"}
    )
    submitted = await gateway.submit({**KLING, "image": uploaded.json["id"]})
    assert submitted.status == 202, submitted.body
    return str(submitted.json["id"])


async def _run_doomed(place: str, gateway: Running) -> None:
    """Run a worker that dies at the place; its death is checked."""
    settings = gateway.gateway.settings
    environment = {
        **os.environ,
        "FAIRSTACK_HOME": str(settings.home),
        "FAIRSTACK_PORT": str(settings.port),
        "FAIRSTACK_DATABASE_URL": await _database_url(gateway),
        "FAIRSTACK_SWEEP_SECONDS": "0.5",
        **settings.providers,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.crash.doomed", place, env=environment
    )
    try:
        assert await asyncio.wait_for(process.wait(), 60) == -signal.SIGKILL
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _database_url(gateway: Running) -> str:
    assert gateway.dsn is not None
    return gateway.dsn.url


async def _until(gateway: Running, question: str) -> None:
    """Wait until the database says yes."""
    async with asyncio.timeout(20):
        while not await gateway.gateway.pool.fetchval(question):
            await asyncio.sleep(0.02)


async def _movements(gateway: Running) -> list[Any]:
    """Kinds of the wallet's movements, newest first; and the books are right."""
    async with gateway.gateway.pool.acquire() as connection:
        assert await verify(connection) == []
    return [item["kind"] for item in (await gateway.call("GET", "/v1/ledger")).json["items"]]
