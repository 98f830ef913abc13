"""From an order with a clip or a sound to a stored clip, charged by the length of what was given."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from tests.conftest import make_folder
from tests.gateway.detour import PUBLIC as OUTSIDE
from tests.gateway.detour import Detour, serving
from tests.gateway.pictures import PHOTO, data_url
from tests.gateway.running import Running, running_gateway
from tests.recordings import clip, wav
from tests.upstreams.fal import FakeFal

PUBLIC = "https://gate.example"
PAGES = {
    "/3s.mp4": (200, "video/mp4", clip(3)),
    "/2.25s.mp4": (200, "video/mp4", clip(2.25)),
    "/7.5s.wav": (200, "audio/x-wav", wav(7.5)),
}


@dataclass
class Stage:
    """A gateway before a stand-in for fal, with money in the wallet."""

    gateway: Running
    fal: FakeFal


@pytest.fixture(scope="module")
async def stage(module_database: Dsn) -> AsyncIterator[Stage]:
    """Everything running; `OUTSIDE` leads to the test's own clips and sounds."""
    home = make_folder()
    async with (
        serving(PAGES) as origin,
        FakeFal() as fal,
        running_gateway(
            module_database,
            home,
            egress=Detour(origin, {"fal": [fal.base_url]}),
            public_url=PUBLIC,
            FAL_QUEUE_URL=fal.base_url,
            FAL_KEY=fal.key,
        ) as gateway,
    ):
        await gateway.grant(100_000_000)
        yield Stage(gateway, fal)
    shutil.rmtree(home)


#: Model, what is given beside the prompt, the vendor's field for it, what that costs.
ORDERS: list[tuple[str, dict[str, Any], str, int]] = [
    # 3 s at $0.35.
    ("luma-ray-2-modify", {"video": f"{OUTSIDE}/3s.mp4"}, "video_url", 1_050_000),
    # 7.5 s at $0.0562.
    (
        "kling-avatar-2-std",
        {"audio_url": f"{OUTSIDE}/7.5s.wav", "image": data_url(PHOTO)},
        "audio_url",
        421_500,
    ),
    # 6 s more at $0.07, and 2.25 s that are read at $0.01.
    ("grok-imagine-extend", {"video": f"{OUTSIDE}/2.25s.mp4"}, "video_url", 442_500),
]


@pytest.mark.parametrize(("model", "given", "field", "micros"), ORDERS, ids=[row[0] for row in ORDERS])
async def test_the_length_of_what_is_given_makes_the_price(
    stage: Stage, model: str, given: dict[str, Any], field: str, micros: int
) -> None:
    """Estimate, hold and charge are one amount by the measured length; the vendor gets our own copy."""
    gateway, order = stage.gateway, {"model": model, "prompt": "make it snow", **given}
    estimate = await gateway.submit({**order, "confirm": False})
    assert (estimate.status, estimate.json["estimated_cost"]["micro"]) == (200, micros), estimate.body
    before = await gateway.money()
    job = await gateway.ended(order)
    assert (job["status"], job["cost"]["micro"]) == ("completed", micros), job
    assert await gateway.money() == (before[0] - micros, before[1])
    sent = stage.fal.last_task.body
    assert sent[field].startswith(f"{PUBLIC}/media/file/")
    copy = await gateway.call("GET", sent[field].removeprefix(PUBLIC), key="")
    path = next(iter(given.values())).removeprefix(OUTSIDE)
    assert copy.body == PAGES[path][2]
    # Some vendors, such as xAI, go by the end of the address.
    endings = {"video/mp4": "/clip.mp4", "audio/wav": "/sound.wav"}
    assert sent[field].endswith(endings[copy.headers["Content-Type"]])
