"""A provider that does not accept the operator's key: the user's order is not to blame, and costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairstack_server.db.dsn import Dsn
from tests.gateway.running import running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos


async def test_a_wrong_provider_key_is_the_operators_business(database: Dsn, home: Path) -> None:
    """The job fails as provider_unavailable, names no key, releases its hold, and was asked for once."""
    async with FakeOpenAIVideos() as engine:
        settings: dict[str, Any] = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": "wrong-key"}
        async with running_gateway(database, home, **settings) as gateway:
            await gateway.grant(1_000_000)
            submitted = await gateway.submit({"model": "wan-2-1-t2v", "prompt": "A red kite"})
            job = await gateway.wait(submitted.json["id"])
            assert job["status"] == "failed", job
            assert job["error"]["code"] == "provider_unavailable"
            assert "wrong-key" not in str(job)
            assert await gateway.money() == (1_000_000, 0)
            assert len(engine.log.submits) == 1
            assert engine.log.billed == {}
