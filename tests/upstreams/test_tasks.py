"""The stand-ins of vendors with a task API are as strict as they say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.upstreams.byteplus import TASKS, FakeBytePlus
from tests.upstreams.dashscope import SYNTHESIS, FakeDashScope
from tests.upstreams.fields import Field, complaint
from tests.upstreams.kling import FakeKling
from tests.upstreams.luma import FakeLuma
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.runway import VERSION, FakeRunway
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.vertex import FakeVertex
from tests.upstreams.vidu import FakeVidu
from tests.upstreams.xai import FakeXAI

URL = "https://a/b.png"
IMAGE = {"type": "image_url", "image_url": {"url": URL}}
VEO = "/v1/projects/demo/locations/us-central1/publishers/google/models/veo-3.0-generate-001"
#: Stand-in -> path of a submit, a body that it takes, and changes that it refuses.
GOOD: dict[type[TaskUpstream], tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    FakeReplicate: (
        "/v1/models/kwaivgi/kling-v2.1/predictions",
        {"input": {"prompt": "p", "start_image": URL, "duration": 5}},
        [
            {"input": {"prompt": "p", "start_image": "b.png"}},
            {"input": {"prompt": "p", "duration": "5"}},
            {"input": {"prompt": "p", "image": URL}},
            {"input": {"duration": 5}},
            {"webhook": "http://a/b"},
            {"webhook_events_filter": ["done"]},
            {"version": "1"},
        ],
    ),
    FakeRunway: (
        "/v1/image_to_video",
        {"model": "gen4_turbo", "promptImage": URL, "ratio": "1280:720", "duration": 5},
        [
            {"model": "gen5"},
            {"promptImage": "b.png"},
            {"ratio": "16:9"},
            {"duration": "5"},
            {"duration": 11},
            {"prompt": "p"},
        ],
    ),
    FakeLuma: (
        "/dream-machine/v1/generations/video",
        {
            "model": "ray-2",
            "prompt": "p",
            "duration": "5s",
            "keyframes": {"frame0": {"type": "image", "url": URL}},
        },
        [
            {"duration": 5},
            {"keyframes": {"frame0": {"url": URL}}},
            {"keyframes": {"frame2": {"type": "image", "url": URL}}},
            {"resolution": "720P"},
            {"model": "ray-3"},
            {"seed": 7},
        ],
    ),
    FakeVertex: (
        f"{VEO}:predictLongRunning",
        {"instances": [{"prompt": "p"}], "parameters": {"durationSeconds": 8, "generateAudio": True}},
        [
            {"instances": []},
            {"instances": [{"prompt": "p", "image": {"mimeType": "image/png"}}]},
            {"instances": [{"prompt": "p", "image": {"mimeType": "image/png", "bytesBase64Encoded": URL}}]},
            {"instances": [{"prompt": "p", "referenceImages": [{"image": {"mimeType": "image/png"}}]}]},
            {"parameters": {"durationSeconds": "8"}},
            {"parameters": {"duration": 8}},
        ],
    ),
    FakeKling: (
        "/v1/videos/image2video",
        {"model_name": "kling-v2-1", "mode": "std", "prompt": "p", "image": URL, "duration": "5"},
        [
            {"duration": 5},
            {"mode": "standard"},
            {"image": "data:image/png;base64,AAAA"},
            {"aspect_ratio": "16:9"},
            {"cfg_scale": "0.5"},
            {"sound": True},
        ],
    ),
    FakeDashScope: (
        SYNTHESIS,
        {
            "model": "wan2.7-i2v",
            "input": {"prompt": "p", "media": [{"type": "first_frame", "url": URL}]},
            "parameters": {"resolution": "720P", "duration": 5, "watermark": False},
        },
        [
            {"model": "wan2.6-i2v"},
            {"input": {"prompt": "p", "img_url": URL}},
            {"input": {"prompt": "p", "media": []}},
            {"input": {"prompt": "p", "media": {"first_frame": URL}}},
            {"input": {"prompt": "p", "media": [{"type": "last_frame", "url": URL}]}},
            {"input": {"prompt": "p", "media": [{"type": "first_frame", "url": URL}] * 2}},
            {"parameters": {"resolution": "720p"}},
            {"parameters": {"size": "1280*720"}},
            {"parameters": {"duration": "5"}},
            {"prompt": "p"},
        ],
    ),
    FakeBytePlus: (
        TASKS,
        {
            "model": "seedance-1-5-pro-251215",
            "content": [{"type": "text", "text": "p"}, IMAGE | {"role": "first_frame"}],
            "duration": 5,
        },
        [
            {"content": {"text": "p"}},
            {"content": [{"type": "text", "text": "p"}] * 2},
            {"content": [{"type": "image_url", "image_url": URL}]},
            {"content": [IMAGE | {"role": "last_frame"}]},
            {"content": [IMAGE | {"role": "reference_image"}]},
            {"model": "seedance-1-0-lite-t2v-250428"},
            {"duration": 3},
            {"ratio": "auto"},
            {"resolution": "720P"},
            {"safety_identifier": "n" * 65},
            {"frames": 49},
        ],
    ),
    FakeVidu: (
        "/ent/v2/img2video",
        {"model": "viduq2-pro", "prompt": "p", "images": [URL], "duration": 5, "resolution": "720p"},
        [
            {"model": "viduq2"},
            {"images": [URL, URL]},
            {"images": URL},
            {"images": ["b.png"]},
            {"duration": "5"},
            {"duration": 17},
            {"resolution": "520p"},
            {"aspect_ratio": "16:9"},
            {"audio": "on"},
        ],
    ),
    FakeXAI: (
        "/v1/videos/generations",
        {"model": "grok-imagine-video", "prompt": "p", "image": {"url": URL}, "duration": 6},
        [
            {"model": "grok-2-video"},
            {"image": URL},
            {"image": {"url": "b.png"}},
            {"reference_images": [URL]},
            {"reference_images": [{"url": URL}]},
            {"duration": "6"},
            {"duration": 16},
            {"resolution": "1080p"},
            {"seed": 7},
        ],
    ),
}


@pytest.fixture(params=GOOD, ids=lambda fake: fake.__name__)
async def fake(request: pytest.FixtureRequest) -> AsyncIterator[TaskUpstream]:
    """Each stand-in in turn."""
    kind: type[TaskUpstream] = request.param
    async with kind() as running:
        yield running


async def _post(fake: TaskUpstream, body: Any, *, key: str | None = None) -> int:
    scheme = "Token" if isinstance(fake, FakeVidu) else "Bearer"
    headers = {"Authorization": f"{scheme} {key or fake.key}", "X-Runway-Version": VERSION}
    headers["X-DashScope-Async"] = "enable"
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{fake.base_url}{GOOD[type(fake)][0]}", json=body, headers=headers) as answer,
    ):
        return answer.status


async def test_only_what_the_vendor_takes(fake: TaskUpstream) -> None:
    """A wrong key, no object, and each wrong field are refused without a task; the right order makes one."""
    _, good, wrongs = GOOD[type(fake)]
    # To xAI a wrong key is a wrong request.
    assert await _post(fake, good, key="wrong") == (400 if isinstance(fake, FakeXAI) else 401)
    assert await _post(fake, [good]) == 400
    for wrong in wrongs:
        assert await _post(fake, good | wrong) in (400, 422), wrong
    assert fake.log.tasks == {}
    assert await _post(fake, good) in (200, 201) and len(fake.log.tasks) == 1


async def test_runway_wants_its_version(fake_runway: FakeRunway) -> None:
    """A request that names no version of Runway's API is refused."""
    headers = {"Authorization": f"Bearer {fake_runway.key}"}
    path, good, _ = GOOD[FakeRunway]
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{fake_runway.base_url}{path}", json=good, headers=headers) as answer,
    ):
        assert answer.status == 400


async def test_dashscope_makes_clips_as_tasks_only() -> None:
    """A submit that does not ask for a task is refused."""
    path, good, _ = GOOD[FakeDashScope]
    async with FakeDashScope() as fake, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {fake.key}"}
        async with session.post(f"{fake.base_url}{path}", json=good, headers=headers) as answer:
            assert answer.status == 403


async def test_kling_takes_an_id_once(fake_kling: FakeKling) -> None:
    """An id of ours that was used is refused, so that it names one task."""
    good = GOOD[FakeKling][1] | {"external_task_id": "one"}
    assert [await _post(fake_kling, good) for _ in range(2)] == [200, 400]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (True, Field("integer")),
        (1.5, Field("integer")),
        (True, Field("number")),
        ("x", Field("url")),
        ("http://a/b c", Field("url")),
        ([1], Field("list", of=Field())),
        ({"a": 1}, Field("object", fields={"a": Field()})),
        ({}, Field("object", fields={"a": Field(required=True)})),
        (3, Field("integer", minimum=4)),
        (9, Field("integer", maximum=8)),
        ("c", Field(choices=("a", "b"))),
        ("ab", Field(pattern="a")),
    ],
)
def test_a_wrong_value_is_named(value: Any, field: Field) -> None:
    """Every kind of wrong value is a complaint that begins with the field's name."""
    wrong = complaint({"x": value}, {"x": field})
    assert wrong is not None and wrong.startswith("x")
