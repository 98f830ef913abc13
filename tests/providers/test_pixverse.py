"""PixVerse: pictures are uploaded before anything is ordered, and one trace is one task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    Failed,
    Fault,
    InputFile,
    Order,
    ProviderError,
    RateLimitedUpstream,
    Submission,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.pixverse import PixVerse
from tests.providers.makers import image_file
from tests.providers.test_vendors import CASES
from tests.upstreams.faults import Kind
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.upstream import Script

TEXT = CASES["pixverse"].order
PICTURE = CASES["pixverse"].image_order
assert PICTURE is not None


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """An order with a picture that can be read."""
    assert PICTURE is not None
    return replace(PICTURE, image=image_file(tmp_path, url="https://gate.example/f/cat.png"))


@pytest.fixture
def pixverse(sessions: Sessions, fake_pixverse: FakePixVerse) -> PixVerse:
    """The provider, pointed at the stand-in."""
    return PixVerse(sessions, fake_pixverse.key, fake_pixverse.base_url, SystemClock())


async def test_a_picture_is_uploaded_and_named_by_its_number(
    pixverse: PixVerse, fake_pixverse: FakePixVerse, order: Order
) -> None:
    """The file's bytes go first, as they are; the order names the number that came back."""
    assert isinstance(await pixverse.submit(order), Submission)
    assert list(fake_pixverse.pictures.values()) == [b"\x89PNG not really"]
    assert fake_pixverse.log.submits[0].body["img_id"] == next(iter(fake_pixverse.pictures))
    assert [call.operation for call in fake_pixverse.log.seen] == ["upload", "submit"]


async def test_both_frames_are_uploaded(
    pixverse: PixVerse, fake_pixverse: FakePixVerse, order: Order, tmp_path: Path
) -> None:
    """A transition has two pictures, and each stands in its own field."""
    end = tmp_path / "end.png"
    end.write_bytes(b"\x89PNG the end")
    both = replace(
        order,
        endpoint="/openapi/v2/video/transition/generate",
        end_image=InputFile("image/png", "cd" * 32, str(end)),
        field_map={**order.field_map, "image": "first_frame_img", "end_image": "last_frame_img"},
    )
    assert isinstance(await pixverse.submit(both), Submission)
    body = fake_pixverse.log.submits[0].body
    assert fake_pixverse.pictures[body["first_frame_img"]] == b"\x89PNG not really"
    assert fake_pixverse.pictures[body["last_frame_img"]] == b"\x89PNG the end"


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "http_500", "page_502", "malformed"])
async def test_a_broken_upload_orders_nothing(
    pixverse: PixVerse, fake_pixverse: FakePixVerse, order: Order, kind: Kind
) -> None:
    """Whatever became of the picture, no order was sent: all may be tried again, and then costs one clip."""
    fake_pixverse.faults.add(kind, on="upload")
    with pytest.raises(ProviderError) as caught:
        await pixverse.submit(order)
    assert (caught.value.sent, caught.value.permanent) == (False, False)
    assert fake_pixverse.log.submits == []
    assert isinstance(await pixverse.submit(order), Submission)
    assert len(fake_pixverse.log.billed) == 1


async def test_a_busy_upload_is_a_wait(pixverse: PixVerse, fake_pixverse: FakePixVerse, order: Order) -> None:
    """No room for a picture is no room for the order."""
    fake_pixverse.faults.add("rate_limited", on="upload")
    assert await pixverse.submit(order) == RateLimitedUpstream(2.0)
    assert fake_pixverse.log.submits == []


async def test_a_picture_that_pixverse_does_not_take_is_refused(
    pixverse: PixVerse, fake_pixverse: FakePixVerse, order: Order
) -> None:
    """A refusal of the picture is one of the order, in PixVerse's words, and makes no task."""
    assert order.image is not None
    answer = await pixverse.submit(replace(order, image=replace(order.image, content_type="image/gif")))
    assert isinstance(answer, Failed) and answer.reason == "refused" and "image/gif" in answer.message
    assert fake_pixverse.log.submits == []


async def test_a_picture_that_is_gone_orders_nothing(pixverse: PixVerse, fake_pixverse: FakePixVerse) -> None:
    """A file of ours that cannot be read is an error before anything is sent."""
    assert PICTURE is not None
    with pytest.raises(ProviderError) as caught:
        await pixverse.submit(PICTURE)
    assert not caught.value.sent and fake_pixverse.log.seen == []


async def test_a_strangers_key_uploads_nothing(
    sessions: Sessions, fake_pixverse: FakePixVerse, order: Order
) -> None:
    """A key that is not accepted is told as that, already by the upload."""
    stranger = PixVerse(sessions, "wrong-key", fake_pixverse.base_url, SystemClock())
    with pytest.raises(ProviderError, match="key is not accepted") as caught:
        await stranger.submit(order)
    assert (caught.value.sent, caught.value.permanent) == (False, True)
    assert caught.value.fault is Fault.KEY
    assert fake_pixverse.pictures == {}


async def test_an_order_sent_again_is_one_task_though_its_picture_is_uploaded_again(
    pixverse: PixVerse, fake_pixverse: FakePixVerse, order: Order
) -> None:
    """The trace made of the nonce decides, not the picture's new number."""
    fake_pixverse.faults.add("drop", on="submit")
    with pytest.raises(ProviderError) as caught:
        await pixverse.submit(order)
    assert caught.value.sent
    again = await pixverse.submit(order)
    assert isinstance(again, Submission) and fake_pixverse.log.billed == {again.ref["id"]: 1}
    assert len(fake_pixverse.pictures) == 2


async def test_an_order_that_never_arrived_is_made_when_sent_again(
    pixverse: PixVerse, fake_pixverse: FakePixVerse
) -> None:
    """Where the first request was lost on its way, the second makes the one task."""
    fake_pixverse.faults.add("drop", on="submit", after=False)
    with pytest.raises(ProviderError):
        await pixverse.submit(TEXT)
    again = await pixverse.submit(TEXT)
    assert isinstance(again, Submission) and fake_pixverse.log.billed == {again.ref["id"]: 1}


async def test_every_look_has_a_trace_of_its_own(pixverse: PixVerse, fake_pixverse: FakePixVerse) -> None:
    """A repeated trace would give an old answer, so no two calls share one, and none holds the nonce."""
    fake_pixverse.script = Script(render_polls=3)
    taken = await pixverse.submit(TEXT)
    assert isinstance(taken, Submission)
    for _ in range(3):
        await pixverse.poll(taken.ref)
    traces = [call.headers["ai-trace-id"] for call in fake_pixverse.log.seen]
    assert len(set(traces)) == 4 and not any(TEXT.nonce in trace for trace in traces)


async def test_an_empty_account_takes_no_orders(pixverse: PixVerse, fake_pixverse: FakePixVerse) -> None:
    """Monthly and bought credits count together; with none left the key is good for nothing."""
    assert (await pixverse.check_key()).message == "the key works; 1,240 credits left"
    fake_pixverse.credits_left = 0
    assert not (await pixverse.check_key()).accepted
