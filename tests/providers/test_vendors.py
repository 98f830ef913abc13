"""What every vendor with a task API must do, against its strict stand-in."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    CanCancel,
    CancelOutcome,
    CanFind,
    Failed,
    InputFile,
    Order,
    Pending,
    Provider,
    ProviderError,
    RateLimitedUpstream,
    ReadsCallbacks,
    Ref,
    Submission,
    Succeeded,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.registry import build_providers
from fairstack_server.settings import Settings
from tests.upstreams.bfl import FakeBfl
from tests.upstreams.byteplus import FakeBytePlus
from tests.upstreams.dashscope import SYNTHESIS, FakeDashScope
from tests.upstreams.kling import FakeKling
from tests.upstreams.ltx import FakeLtx
from tests.upstreams.luma import FakeLuma
from tests.upstreams.minimax import FakeMiniMax
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.runway import FakeRunway
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Script
from tests.upstreams.vertex import FakeVertex
from tests.upstreams.vidu import FakeVidu
from tests.upstreams.xai import FakeXAI

IMAGE = InputFile("image/png", "00", "/nowhere", "https://gate.example/f/cat.png")
LOST = ["drop", "reset", "truncate", "http_500", "page_502", "malformed"]


@dataclass(frozen=True)
class Case:
    """A vendor: its stand-in, the settings that lead to it (`$base`, `$key`), an order for it."""

    fake: type[TaskUpstream]
    settings: Mapping[str, str]
    order: Order
    image_order: Order | None = None
    """The one that an image is given to, where `order` is for a model that takes none."""


def _order(endpoint: str, field_map: Mapping[str, str], **more: object) -> Order:
    told: dict[str, object] = {
        "nonce": "nonce-1",
        "model": "m",
        "prompt": "slow zoom",
        "duration_seconds": 5.0,
    }
    return Order(endpoint=endpoint, field_map=field_map, **(told | more))  # type: ignore[arg-type]


CASES = {
    "replicate": Case(
        FakeReplicate,
        {"REPLICATE_API_TOKEN": "$key", "REPLICATE_URL": "$base"},
        _order(
            "kwaivgi/kling-v2.1",
            {"prompt": "prompt", "image": "start_image", "duration": "duration"},
            image=IMAGE,
            fixed={"mode": "standard"},
        ),
    ),
    "runway": Case(
        FakeRunway,
        {"RUNWAYML_API_SECRET": "$key", "RUNWAYML_URL": "$base"},
        _order(
            "/v1/image_to_video",
            {"prompt": "promptText", "image": "promptImage", "duration": "duration", "aspect_ratio": "ratio"},
            image=IMAGE,
            aspect_ratio="16:9",
            width=1280,
            height=720,
            formats={"aspect_ratio": "pixels_colon"},
            fixed={"model": "gen4_turbo"},
        ),
    ),
    "luma": Case(
        FakeLuma,
        {"LUMAAI_API_KEY": "$key", "LUMA_URL": "$base"},
        _order(
            "/dream-machine/v1/generations/video",
            {"prompt": "prompt", "image": "keyframes.frame0.url", "duration": "duration"},
            image=IMAGE,
            formats={"duration": "seconds_suffix"},
            fixed={"model": "ray-2"},
        ),
    ),
    "bfl": Case(
        FakeBfl,
        {"BFL_API_KEY": "$key", "BFL_URL": "$base"},
        _order(
            "/v1/flux-3-video",
            {"prompt": "prompt", "image": "keyframes[0]", "duration": "duration"},
            image=IMAGE,
            fixed={"mode": "i2v", "generate_audio": True},
        ),
    ),
    "ltx": Case(
        FakeLtx,
        {"LTX_API_KEY": "$key", "LTX_URL": "$base"},
        _order(
            "/v2/image-to-video",
            {"prompt": "prompt", "image": "image_uri", "duration": "duration", "size": "resolution"},
            image=IMAGE,
            duration_seconds=6.0,
            width=1280,
            height=720,
            fixed={"model": "ltx-2-3-fast", "fps": 25},
        ),
    ),
    "google": Case(
        FakeVertex,
        {
            "GOOGLE_CLOUD_PROJECT": "demo",
            "GOOGLE_ACCESS_TOKEN": "$key",
            "GOOGLE_VERTEX_URL": "$base",
            "GOOGLE_STORAGE_URI": "gs://clips/veo",
        },
        _order(
            "veo-3.0-generate-001",
            {"prompt": "instances[0].prompt", "duration": "parameters.durationSeconds"},
            fixed={"parameters.sampleCount": 1},
        ),
    ),
    "kling": Case(
        FakeKling,
        {"KLING_API_KEY": "$key", "KLING_URL": "$base"},
        _order(
            "/v1/videos/image2video",
            {"prompt": "prompt", "image": "image", "duration": "duration"},
            image=IMAGE,
            formats={"duration": "string"},
            fixed={"model_name": "kling-v2-1", "mode": "std"},
        ),
    ),
    "dashscope": Case(
        FakeDashScope,
        {"DASHSCOPE_API_KEY": "$key", "DASHSCOPE_URL": "$base"},
        _order(
            SYNTHESIS,
            {"prompt": "input.prompt", "duration": "parameters.duration", "size": "parameters.size"},
            width=1280,
            height=720,
            formats={"duration": "integer", "size": "pixels_star"},
            fixed={"model": "wan2.6-t2v", "parameters.watermark": False},
        ),
        _order(
            SYNTHESIS,
            {"prompt": "input.prompt", "image": "input.media.first_frame", "duration": "parameters.duration"},
            image=IMAGE,
            fixed={"model": "wan2.7-i2v"},
        ),
    ),
    "byteplus": Case(
        FakeBytePlus,
        {"ARK_API_KEY": "$key", "BYTEPLUS_URL": "$base"},
        _order(
            "/api/v3/contents/generations/tasks",
            {"prompt": "content.text", "image": "content.first_frame", "duration": "duration"},
            image=IMAGE,
            fixed={"model": "seedance-1-5-pro-251215"},
        ),
    ),
    "minimax": Case(
        FakeMiniMax,
        {"MINIMAX_API_KEY": "$key", "MINIMAX_URL": "$base"},
        _order(
            "/v2/video_generation",
            {
                "prompt": "content.text",
                "image": "content.first_frame",
                "duration": "duration",
                "resolution": "resolution",
            },
            image=IMAGE,
            resolution="2k",
            formats={"duration": "integer", "resolution": "upper"},
            fixed={"model": "MiniMax-H3"},
        ),
    ),
    "pixverse": Case(
        FakePixVerse,
        {"PIXVERSE_API_KEY": "$key", "PIXVERSE_URL": "$base"},
        _order(
            "/openapi/v2/video/text/generate",
            {"prompt": "prompt", "duration": "duration", "resolution": "quality"},
            resolution="720p",
            fixed={"model": "v4.5", "aspect_ratio": "16:9"},
        ),
        _order(
            "/openapi/v2/video/img/generate",
            {"prompt": "prompt", "image": "img_id", "duration": "duration", "resolution": "quality"},
            image=IMAGE,
            resolution="720p",
            fixed={"model": "v4.5"},
        ),
    ),
    "vidu": Case(
        FakeVidu,
        {"VIDU_API_KEY": "$key", "VIDU_URL": "$base"},
        _order(
            "/ent/v2/img2video",
            {"prompt": "prompt", "image": "images[0]", "duration": "duration"},
            image=IMAGE,
            fixed={"model": "viduq3-turbo"},
        ),
    ),
    "xai": Case(
        FakeXAI,
        {"XAI_API_KEY": "$key", "XAI_URL": "$base"},
        _order(
            "/v1/videos/generations",
            {"prompt": "prompt", "image": "image.url", "duration": "duration"},
            image=IMAGE,
            fixed={"model": "grok-imagine-video"},
        ),
    ),
}
#: The other protocol of a vendor that speaks two.
DIALECTS = {
    "minimax/v1": replace(
        CASES["minimax"],
        order=_order(
            "/v1/video_generation",
            {"prompt": "prompt", "image": "first_frame_image", "duration": "duration"},
            image=IMAGE,
            duration_seconds=6.0,
            fixed={"model": "MiniMax-Hailuo-2.3"},
        ),
    ),
}
#: Endpoints whose tasks nothing stops, though their vendor stops others.
UNSTOPPABLE = {"/v1/video_generation"}


@dataclass
class Vendor:
    """A running stand-in and the provider that is pointed at it."""

    fake: TaskUpstream
    provider: Provider
    order: Order
    image_order: Order

    async def submitted(self) -> Ref:
        """The receipt of the order, taken."""
        taken = await self.provider.submit(self.order)
        assert isinstance(taken, Submission), taken
        return taken.ref


@pytest.fixture(params=sorted(CASES | DIALECTS))
async def vendor(request: pytest.FixtureRequest, sessions: Sessions, tmp_path: Path) -> AsyncIterator[Vendor]:
    """Each vendor in turn, in each of its protocols, by the machine's clock."""
    case = (CASES | DIALECTS)[request.param]
    async with case.fake() as fake:
        values = {
            name: value.replace("$key", fake.key).replace("$base", fake.base_url)
            for name, value in case.settings.items()
        }
        built = build_providers(Settings(home=tmp_path, providers=values), sessions, SystemClock())
        yield Vendor(fake, built[request.param.partition("/")[0]], case.order, case.image_order or case.order)


async def test_from_order_to_clip(vendor: Vendor) -> None:
    """Pending while queued and rendered, then a clip that downloads with what comes along; billed once."""
    vendor.fake.script = Script(queue_polls=1, render_polls=1)
    ref = await vendor.submitted()
    for _ in range(2):
        assert isinstance(await vendor.provider.poll(ref), Pending)
    done = await vendor.provider.poll(ref)
    assert isinstance(done, Succeeded) and done.clip.url is not None
    async with (
        aiohttp.ClientSession() as session,
        session.get(done.clip.url, headers=done.clip.headers) as answer,
    ):
        assert (await answer.read())[4:8] == b"ftyp"
    assert vendor.fake.log.billed == {ref["id"]: 1}


@pytest.mark.parametrize("kind", LOST)
async def test_a_lost_answer_is_found_where_the_vendor_shows_it(vendor: Vendor, kind: str) -> None:
    """A submit whose answer is lost was perhaps sent; it is never sent again, and found by class B and C."""
    vendor.fake.faults.add(kind)  # type: ignore[arg-type]
    began = SystemClock().now() - timedelta(seconds=60)
    with pytest.raises(ProviderError) as caught:
        await vendor.provider.submit(vendor.order)
    assert caught.value.sent is True and len(vendor.fake.log.submits) == 1
    able = vendor.provider.submit_class.name in "BC"
    assert isinstance(vendor.provider, CanFind) is able
    if isinstance(vendor.provider, CanFind):
        [ref] = await vendor.provider.find(vendor.order, began)
        assert ref is not None and isinstance(await vendor.provider.poll(ref), Succeeded)
    assert list(vendor.fake.log.billed.values()) == [1]


async def test_a_lost_answer_is_asked_for_again_where_the_vendor_promises_one_task(vendor: Vendor) -> None:
    """With class A the same order sent again is answered with the task that it made; billed once."""
    if vendor.provider.submit_class.name != "A":
        assert vendor.provider.name != "pixverse"
        return
    vendor.fake.faults.add("drop")
    with pytest.raises(ProviderError):
        await vendor.provider.submit(vendor.order)
    again = await vendor.submitted()
    assert vendor.fake.log.billed == {again["id"]: 1} and len(vendor.fake.log.submits) == 2
    another = await vendor.provider.submit(replace(vendor.order, nonce="nonce-2"))
    assert isinstance(another, Submission) and another.ref["id"] != again["id"]


async def test_another_order_is_not_taken_for_ours(vendor: Vendor) -> None:
    """What a list shows of other orders is never found."""
    if not isinstance(vendor.provider, CanFind):
        assert vendor.provider.submit_class.name in "AD"
        return
    began = SystemClock().now() - timedelta(seconds=60)
    await vendor.submitted()
    other = replace(vendor.order, prompt="another", nonce="nonce-2")
    assert await vendor.provider.find(other, began) == []


async def test_a_callback_tells_equal_orders_apart(vendor: Vendor) -> None:
    """Where the vendor repeats the callback's URL or our id, two equal orders are not mixed up."""
    if not isinstance(vendor.provider, CanFind) or not isinstance(vendor.provider, ReadsCallbacks):
        assert vendor.provider.submit_class.name in "AD" or vendor.provider.name == "dashscope"
        return
    began = SystemClock().now() - timedelta(seconds=60)
    ids = []
    for nonce in ("one", "two"):
        url = f"https://gate.example/callbacks/{vendor.provider.name}/{nonce}"
        vendor.order = replace(vendor.order, nonce=nonce, callback_url=url)
        ids.append((await vendor.submitted())["id"])
    [found] = await vendor.provider.find(vendor.order, began)
    assert found is not None and found["id"] == ids[1]


@pytest.mark.parametrize("outcome", ["moderated", "invalid", "crashed", "expired"])
async def test_a_failed_task_is_a_failure(vendor: Vendor, outcome: str) -> None:
    """A task that fails says why in words that may be shown, and bills nothing."""
    vendor.fake.script = Script(outcome=outcome)  # type: ignore[arg-type]
    ended = await vendor.provider.poll(await vendor.submitted())
    assert isinstance(ended, Failed)
    assert (ended.reason == "content_filtered") is (outcome == "moderated")
    assert vendor.fake.log.billed == {}


@pytest.mark.parametrize("word", ["COMPLETE", "done", ""])
async def test_an_unknown_status_is_never_an_end(vendor: Vendor, word: str) -> None:
    """Only the words of the protocol mean anything."""
    ref = await vendor.submitted()
    vendor.fake.odd_status = word or " "
    with pytest.raises(ProviderError):
        await vendor.provider.poll(ref)


async def test_no_room_makes_no_task(vendor: Vendor) -> None:
    """A full vendor is a wait, and nothing exists because of it."""
    vendor.fake.max_in_flight = 0
    assert await vendor.provider.submit(vendor.order) == RateLimitedUpstream(1.0)
    assert vendor.fake.log.tasks == {}


async def test_what_the_vendor_does_not_take_is_refused(vendor: Vendor) -> None:
    """A field that the vendor does not know is a refusal in its words, and no task."""
    place = "parameters.bogus" if vendor.provider.name == "google" else "bogus"
    answer = await vendor.provider.submit(replace(vendor.order, fixed={**vendor.order.fixed, place: "x"}))
    assert isinstance(answer, Failed) and answer.reason == "refused" and "bogus" in answer.message
    assert vendor.fake.log.tasks == {}


async def test_a_task_that_is_gone_is_gone(vendor: Vendor) -> None:
    """A task that the vendor no longer knows will bring no clip."""
    ref = await vendor.submitted()
    vendor.fake.last_task.forgotten = True
    ended = await vendor.provider.poll(ref)
    assert isinstance(ended, Failed) and ended.reason == "not_found"


async def test_cancel(vendor: Vendor) -> None:
    """An unfinished task is stopped and never billed; a finished one keeps its clip."""
    if not isinstance(vendor.provider, CanCancel):
        assert vendor.provider.name in ("bfl", "google", "kling", "ltx", "pixverse", "xai")
        return
    if vendor.order.endpoint in UNSTOPPABLE:
        assert await vendor.provider.cancel(await vendor.submitted()) is CancelOutcome.TOO_LATE
        return
    # In the queue, since some vendors stop nothing that has begun.
    vendor.fake.next_scripts = [Script(queue_polls=5), Script()]
    running, finished = await vendor.submitted(), await vendor.submitted()
    assert await vendor.provider.cancel(running) is CancelOutcome.STOPPED
    assert await vendor.provider.cancel(finished) is CancelOutcome.TOO_LATE
    assert isinstance(await vendor.provider.poll(finished), Succeeded)
    stopped = await vendor.provider.poll(running)
    assert isinstance(stopped, Failed) and stopped.reason in ("cancelled", "not_found")
    assert vendor.fake.log.billed == {finished["id"]: 1}


async def test_only_some_vendors_call_back(vendor: Vendor) -> None:
    """The abilities are those that the vendors' documents name."""
    without = ("bfl", "dashscope", "google", "ltx", "pixverse", "runway", "xai")
    assert isinstance(vendor.provider, ReadsCallbacks) is (vendor.provider.name not in without)


async def test_a_private_image_travels_inline(vendor: Vendor, tmp_path: Path) -> None:
    """An image without a public URL is in a body, in the form that the strict stand-in takes."""
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG not really")
    field_map = {"image": "instances[0].image", **vendor.image_order.field_map}
    image = InputFile("image/png", "ab" * 32, str(path))
    vendor.order = replace(vendor.image_order, image=image, field_map=field_map)
    await vendor.submitted()
    sent = str([call.body for call in vendor.fake.log.seen])
    assert base64.b64encode(path.read_bytes()).decode() in sent
