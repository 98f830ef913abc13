"""fal, against a strict stand-in of its queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    CallbackRequest,
    CancelOutcome,
    Failed,
    InputFile,
    Pending,
    ProviderError,
    Ref,
    Submission,
    Succeeded,
)
from fairstack_server.providers.fal import Fal, FalAddresses
from fairstack_server.providers.http import Sessions
from tests.providers.makers import NOON, ManualClock, image_file, kling_order
from tests.upstreams.fal import FakeFal
from tests.upstreams.upstream import Script

IMAGE = InputFile("image/png", "00", "/nowhere", "https://gate.example/f/cat.png")


@pytest.fixture
def fal(sessions: Sessions, fake_fal: FakeFal) -> Fal:
    """The provider, pointed at the stand-in, by the machine's clock."""
    return Fal(sessions, fake_fal.key, FalAddresses.all_under(fake_fal.base_url), SystemClock())


async def _submitted(fal: Fal) -> Ref:
    taken = await fal.submit(kling_order(IMAGE))
    assert isinstance(taken, Submission)
    return taken.ref


async def test_from_order_to_clip(fal: Fal, fake_fal: FakeFal) -> None:
    """Queued, rendering, then a clip on the stand-in; billed once."""
    fake_fal.script = Script(queue_polls=1, render_polls=1)
    ref = await _submitted(fal)
    assert await fal.poll(ref) == Pending(started=False)
    assert await fal.poll(ref) == Pending(started=True)
    done = await fal.poll(ref)
    assert isinstance(done, Succeeded) and done.clip.url is not None
    assert done.clip.url.startswith(fake_fal.base_url) and not done.clip.headers
    assert fake_fal.log.billed == {ref["id"]: 1}


async def test_a_private_image_travels_inline(fal: Fal, fake_fal: FakeFal, tmp_path: Path) -> None:
    """An image without a public URL is sent as a data URL, which the strict stand-in takes."""
    assert isinstance(await fal.submit(kling_order(image_file(tmp_path))), Submission)
    assert fake_fal.log.submits[0].body["image_url"].startswith("data:image/png;base64,")


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "http_500", "page_502", "malformed"])
async def test_a_lost_answer_is_found_in_the_list(fal: Fal, fake_fal: FakeFal, kind: str) -> None:
    """When the answer to a submit is lost, the task is found by its body, and was asked for once."""
    fake_fal.faults.add(kind)  # type: ignore[arg-type]
    order = kling_order(IMAGE)
    began = SystemClock().now() - timedelta(seconds=60)
    with pytest.raises(ProviderError) as caught:
        await fal.submit(order)
    assert caught.value.sent is True
    [ref] = await fal.find(order, began)
    assert ref is not None and isinstance(await fal.poll(ref), Succeeded)
    assert len(fake_fal.log.submits) == 1 and list(fake_fal.log.billed.values()) == [1]


async def test_a_list_that_lags_proves_nothing(fal: Fal, fake_fal: FakeFal) -> None:
    """A task that the list does not show yet is not found, nor is another order's."""
    fake_fal.script = Script(list_lag_seconds=3600)
    await _submitted(fal)
    began = SystemClock().now() - timedelta(seconds=60)
    assert await fal.find(kling_order(IMAGE), began) == []
    fake_fal.script = Script()
    await _submitted(fal)
    assert await fal.find(kling_order(IMAGE, prompt="another"), began) == []


async def test_a_callback_brings_a_lost_receipt_back(fal: Fal, fake_fal: FakeFal) -> None:
    """The ref of a signed callback, with the endpoint of its nonce, is a whole receipt."""
    order = kling_order(IMAGE)
    await fal.submit(order)
    body = fake_fal.callback_body(fake_fal.last_task)
    ref = await fal.read_callback(
        order.endpoint, CallbackRequest(fake_fal.callback_headers(body), body, order.nonce)
    )
    assert ref is not None and ref["id"] == fake_fal.last_task.id
    assert isinstance(await fal.poll(ref), Succeeded)


async def test_a_queued_task_is_cancelled(fal: Fal, fake_fal: FakeFal) -> None:
    """A queued task is taken out, its end says that it was cancelled, and nothing is billed."""
    fake_fal.script = Script(queue_polls=5)
    ref = await _submitted(fal)
    assert await fal.cancel(ref) is CancelOutcome.STOPPED
    ended = await fal.poll(ref)
    assert isinstance(ended, Failed) and ended.reason == "cancelled"
    assert fake_fal.log.billed == {}


async def test_a_running_render_may_go_on(fal: Fal, fake_fal: FakeFal) -> None:
    """A cancel during the render is a wish; the clip that comes all the same is the result, and billed."""
    fake_fal.script = Script(render_polls=1)
    ref = await _submitted(fal)
    assert await fal.cancel(ref) is CancelOutcome.REQUESTED
    await fal.poll(ref)
    assert isinstance(await fal.poll(ref), Succeeded) and fake_fal.log.billed == {ref["id"]: 1}
    assert await fal.cancel(ref) is CancelOutcome.TOO_LATE


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("moderated", "content_filtered"),
        ("invalid", "render_failed"),
        ("crashed", "render_failed"),
        ("expired", "expired"),
    ],
)
async def test_how_a_task_fails(fal: Fal, fake_fal: FakeFal, outcome: str, reason: str) -> None:
    """A task that ends without a clip says why, in our words."""
    fake_fal.script = Script(outcome=outcome)  # type: ignore[arg-type]
    ended = await fal.poll(await _submitted(fal))
    assert isinstance(ended, Failed) and ended.reason == reason


class TestCallbackKeys:
    """The published keys are fetched seldom, and again when they may have changed."""

    @pytest.fixture
    def still(self, sessions: Sessions, fake_fal: FakeFal, clock: ManualClock) -> Fal:
        """The provider with a clock that stands still."""
        return Fal(sessions, fake_fal.key, FalAddresses.all_under(fake_fal.base_url), clock)

    @staticmethod
    async def _read(
        fal: Fal, fake: FakeFal, clock: ManualClock, **changed: str
    ) -> Mapping[str, object] | None:
        body = b'{"request_id": "r", "status": "OK"}'
        headers = fake.callback_headers(body, at=clock.now().timestamp()) | changed
        order = kling_order(IMAGE)
        return await fal.read_callback(order.endpoint, CallbackRequest(headers, body, order.nonce))

    async def test_kept_for_a_day(self, still: Fal, fake_fal: FakeFal, clock: ManualClock) -> None:
        """Keys are fetched once a day at most while signatures are good."""
        for _ in range(3):
            assert await self._read(still, fake_fal, clock) is not None
        assert len(fake_fal.log.of("keys")) == 1
        clock.move(24 * 3600)
        assert await self._read(still, fake_fal, clock) is not None
        assert len(fake_fal.log.of("keys")) == 2

    async def test_a_new_key_is_learnt(self, still: Fal, fake_fal: FakeFal, clock: ManualClock) -> None:
        """After a rotation the new key is fetched, but not by every forged callback."""
        assert await self._read(still, fake_fal, clock) is not None
        fake_fal.signing_key = Ed25519PrivateKey.generate()
        assert await self._read(still, fake_fal, clock) is None
        clock.move(300)
        assert await self._read(still, fake_fal, clock) is not None
        for _ in range(20):
            assert await self._read(still, fake_fal, clock, **{"x-fal-webhook-user-id": "forged"}) is None
        assert len(fake_fal.log.of("keys")) == 2

    async def test_without_keys_nothing_is_judged(
        self, still: Fal, fake_fal: FakeFal, clock: ManualClock
    ) -> None:
        """When the keys cannot be had, the callback is neither trusted nor thrown away."""
        fake_fal.faults.add("page_502", on="keys")
        with pytest.raises(ProviderError):
            await self._read(still, fake_fal, clock)
        assert await self._read(still, fake_fal, clock) is not None


async def test_the_workflow_namespace_is_part_of_the_app(
    sessions: Sessions, fake_fal: FakeFal, clock: ManualClock
) -> None:
    """Where a receipt has no URLs, they are made as fal makes them, namespace included."""
    fal = Fal(sessions, fake_fal.key, FalAddresses.all_under(fake_fal.base_url), clock)
    body = b'{"request_id": "r/../1"}'
    headers = fake_fal.callback_headers(body, at=NOON.timestamp())
    ref = await fal.read_callback("workflows/me/film/step", CallbackRequest(headers, body, "nonce-1"))
    assert ref is not None
    assert ref["response_url"] == f"{fake_fal.base_url}/workflows/me/film/requests/r%2F..%2F1"
