"""xAI: objects for images, a 202 without a body, and a key that is told by words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    Failed,
    Fault,
    InputFile,
    Pending,
    ProviderError,
    Submission,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.xai import XAI
from tests.providers.test_vendors import CASES, IMAGE
from tests.upstreams.upstream import Script
from tests.upstreams.xai import FakeXAI

ORDER = CASES["xai"].order


def _xai(sessions: Sessions, fake: FakeXAI, key: str = "") -> XAI:
    return XAI(sessions, key or fake.key, fake.base_url, SystemClock())


async def test_references_are_objects(sessions: Sessions, fake_xai: FakeXAI) -> None:
    """Each reference image is sent as an object with its URL, in the order of the user."""
    other = InputFile("image/png", "01", "/nowhere/dog.png", "https://gate.example/f/dog.png")
    field_map = {"prompt": "prompt", "images": "reference_images"}
    order = replace(ORDER, image=None, images=(IMAGE, other), field_map=field_map)
    assert isinstance(await _xai(sessions, fake_xai).submit(order), Submission)
    assert fake_xai.last_task.body["reference_images"] == [{"url": IMAGE.url}, {"url": other.url}]


@pytest.mark.parametrize("kind", ["edits", "extensions"])
async def test_a_video_goes_on(sessions: Sessions, fake_xai: FakeXAI, kind: str) -> None:
    """An edit and an extension have a path of their own and take a video."""
    clip = InputFile("video/mp4", "02", "/nowhere/clip.mp4", "https://gate.example/f/clip.mp4")
    field_map = {"prompt": "prompt", "video": "video.url"}
    order = replace(ORDER, image=None, video=clip, endpoint=f"/v1/videos/{kind}", field_map=field_map)
    assert isinstance(await _xai(sessions, fake_xai).submit(order), Submission)
    assert fake_xai.last_task.body["video"] == {"url": clip.url}


async def test_progress_and_a_202_without_a_body(sessions: Sessions, fake_xai: FakeXAI) -> None:
    """A look before the render says nothing but that it goes on; one in its middle tells how far it is."""
    fake_xai.script = Script(queue_polls=1, render_polls=1)
    xai = _xai(sessions, fake_xai)
    taken = await xai.submit(ORDER)
    assert isinstance(taken, Submission)
    assert await xai.poll(taken.ref) == Pending()
    half = await xai.poll(taken.ref)
    assert isinstance(half, Pending) and half.progress is not None and 0 < half.progress < 1


async def test_a_wrong_key_is_not_the_orders_fault(sessions: Sessions, fake_xai: FakeXAI) -> None:
    """xAI refuses a wrong key with HTTP 400, as it refuses a wrong order: nobody is told that theirs was."""
    stranger = _xai(sessions, fake_xai, key="xai-wrong")
    with pytest.raises(ProviderError, match="key is not accepted") as caught:
        await stranger.submit(ORDER)
    assert (caught.value.sent, caught.value.permanent, caught.value.fault) == (False, True, Fault.KEY)
    assert (await stranger.check_key()).accepted is False
    refused = await _xai(sessions, fake_xai).submit(replace(ORDER, fixed={"model": "gpt"}))
    assert isinstance(refused, Failed) and refused.reason == "refused"


@pytest.mark.parametrize("shut", ["api_key_blocked", "api_key_disabled", "team_blocked"])
async def test_a_key_that_is_shut(sessions: Sessions, fake_xai: FakeXAI, shut: str) -> None:
    """A key that xAI knows and takes no orders from is told as such, with xAI's word for it."""
    xai = _xai(sessions, fake_xai)
    assert (await xai.check_key()).accepted is True
    fake_xai.shut = shut
    check = await xai.check_key()
    assert check.accepted is False and shut in check.message
