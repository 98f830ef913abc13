"""Two equal orders, one lost answer: the task that a list shows is given to one job only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
