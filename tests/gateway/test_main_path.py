"""The main path over HTTP: price, submit, wait, result, money."""

from __future__ import annotations

from pathlib import Path

from fairstack_server.db.dsn import Dsn
from tests.gateway.running import Running, running_gateway
from tests.upstreams.fal import FakeFal
from tests.upstreams.openai_videos import FakeOpenAIVideos

PROMPT = "A golden retriever running on a beach at sunset, slow motion"
WAN = {"model": "wan-2-1-t2v", "prompt": PROMPT}


async def test_an_estimate_is_the_seeds_bytes(gateway: Running) -> None:
    """`confirm: false` without a JSON content type answers the seed's bytes and holds nothing."""
    body = b'{"model": "wan-2-1-t2v", "prompt": "test", "confirm": false}'
    answer = await gateway.call("POST", "/v1/generations/video", body, headers={"Content-Type": "text/plain"})
    assert answer.body == b'{"estimated_cost":{"micro":48000,"display":"$0.048"}}'
    assert await gateway.money() == (0, 0)


async def test_a_test_key_makes_the_seeds_clip(gateway: Running) -> None:
    """The seed's request with a test key completes with the seed's keys in its order, for test money."""
    submitted = await gateway.submit(WAN, key=gateway.keys.test)
    assert submitted.status == 202
    job = await gateway.wait(submitted.json["id"], key=gateway.keys.test)
    assert list(job)[:7] == ["id", "status", "url", "model", "modality", "cost", "metadata"]
    assert job["status"] == "completed"
    assert job["cost"] == {"micro": 48000, "display": "$0.048", "currency": "USD"}
    assert list(job["metadata"].items())[:4] == [
        ("width", 1280),
        ("height", 720),
        ("duration", 5),
        ("fps", 24),
    ]
    assert await gateway.money(key=gateway.keys.test) == (100_000_000 - 48_000, 0)


async def test_a_live_key_through_v1_videos(database: Dsn, home: Path) -> None:
    """A live job goes out once through /v1/videos, is stored as our own copy and charged what was quoted."""
    async with (
        FakeOpenAIVideos() as engine,
        running_gateway(
            database, home, OPENAI_VIDEOS_URL=engine.base_url, OPENAI_VIDEOS_KEY=engine.key
        ) as gateway,
    ):
        await gateway.grant(1_000_000)
        submitted = await gateway.submit(WAN)
        assert submitted.status == 202, submitted.body
        job = await gateway.wait(submitted.json["id"])
        assert job["status"] == "completed", job
        assert job["cost"]["micro"] == 48000
        assert job["url"].startswith(gateway.base_url)
        assert list(engine.log.billed.values()) == [1]
        assert await gateway.money() == (952_000, 0)


async def test_a_live_key_through_fal(database: Dsn, home: Path) -> None:
    """An image-to-video job with a ratio that its route does not take goes to fal and is charged once."""
    async with (
        FakeFal() as fal,
        running_gateway(database, home, FAL_QUEUE_URL=fal.base_url, FAL_KEY=fal.key) as gateway,
    ):
        await gateway.grant(1_000_000)
        picture = await gateway.call("POST", "/v1/files", _picture(), headers={"Content-Type": "image/png"})
        assert picture.status == 201, picture.body
        submitted = await gateway.submit(
            {
                "model": "kling-2-1-std-i2v",
                "prompt": "Camera slowly zooms in, soft wind blowing hair",
                "image": picture.json["id"],
                "duration": 5,
                "aspect_ratio": "16:9",
            }
        )
        assert submitted.status == 202, submitted.body
        job = await gateway.wait(submitted.json["id"])
        assert job["status"] == "completed", job
        assert job["cost"]["micro"] == 280_000
        assert list(fal.log.billed.values()) == [1]
        assert await gateway.money() == (720_000, 0)


def _picture() -> bytes:
    from fairstack_server.inputs import example_picture

    return example_picture()
