"""Two equal orders, one lost answer: the task that a list shows is given to one job only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from tests.crash.lives import second_life
from tests.gateway.running import running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos

WAN = {"model": "wan-2-1-t2v", "prompt": "A red kite over the sea"}


async def test_one_task_never_pays_two_jobs(database: Dsn, home: Path) -> None:
    """The second of two equal orders never arrived: it does not take the first one's task."""
    async with FakeOpenAIVideos() as engine:
        settings: dict[str, Any] = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            first = await gateway.submit(WAN)
            async with second_life(gateway):
                done = await gateway.wait(first.json["id"])
            assert done["status"] == "completed", done
            engine.faults.add("drop", on="submit", after=False)
            second = await gateway.submit(WAN)
            await gateway.gateway.pool.execute(
                "update jobs set deadline_at = now() + interval '3 seconds' where terminal is null"
            )
            async with second_life(gateway):
                lost = await gateway.wait(second.json["id"])
            assert lost["status"] == "failed", lost
            assert lost["error"]["code"] == "provider_unavailable"
            assert await gateway.money() == (952_000, 0)
            assert list(engine.log.billed.values()) == [1]


@pytest.mark.parametrize("lost", [1, 2])
async def test_equal_orders_each_get_a_task_of_their_own(database: Dsn, home: Path, lost: int) -> None:
    """Two equal orders were taken, one or both answers lost: both complete, each with its own render."""
    async with FakeOpenAIVideos() as engine:
        engine.faults.add("drop", on="submit", after=True, times=lost)
        settings: dict[str, Any] = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
        async with running_gateway(database, home, **settings) as gateway:
            await gateway.grant(1_000_000)
            placed = [(await gateway.submit(WAN)).json["id"] for _ in range(2)]
            done = [await gateway.wait(job_id) for job_id in placed]
            assert [job["status"] for job in done] == ["completed", "completed"], done
            tasks = await gateway.gateway.pool.fetch("select distinct ref ->> 'id' from receipts")
            assert len(tasks) == 2 and sorted(engine.log.billed.values()) == [1, 1]
            assert len(engine.log.submits) == 2


async def test_somebody_elses_tasks_are_not_taken(database: Dsn, home: Path) -> None:
    """Two equal tasks of another application on our account, one lost order of ours: none is guessed at."""
    async with FakeOpenAIVideos() as engine:
        settings: dict[str, Any] = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
        async with running_gateway(database, home, works=False, **settings) as gateway:
            await gateway.grant(1_000_000)
            first = await gateway.submit(WAN)
            async with second_life(gateway):
                await gateway.wait(first.json["id"])
            for _ in range(2):
                engine.take(engine.last_task.body)
            engine.faults.add("drop", on="submit", after=False)
            placed = await gateway.submit(WAN)
            await gateway.gateway.pool.execute(
                "update jobs set deadline_at = now() + interval '3 seconds' where terminal is null"
            )
            async with second_life(gateway):
                lost = await gateway.wait(placed.json["id"])
            assert lost["status"] == "failed", lost
            assert await gateway.gateway.pool.fetchval("select count(*) from receipts") == 1
            assert await gateway.money() == (952_000, 0)
