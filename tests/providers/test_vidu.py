"""Vidu: a text of ours tells its tasks apart, and a stop is one only when the task says so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    CallbackRequest,
    CancelOutcome,
    Failed,
    Fault,
    InputFile,
    ProviderError,
    Ref,
    Submission,
    Succeeded,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.vidu import Vidu
from tests.providers.test_vendors import CASES, IMAGE
from tests.upstreams.upstream import Script
from tests.upstreams.vidu import FakeVidu

ORDER = CASES["vidu"].order


def _vidu(sessions: Sessions, fake: FakeVidu) -> Vidu:
    return Vidu(sessions, fake.key, fake.base_url, SystemClock())


async def _taken(vidu: Vidu, nonce: str) -> Ref:
    taken = await vidu.submit(replace(ORDER, nonce=nonce))
    assert isinstance(taken, Submission)
    return taken.ref


async def test_equal_orders_are_told_apart(sessions: Sessions, fake_vidu: FakeVidu) -> None:
    """Two orders with the same body but for our text: each finds its own task, and nobody else's."""
    vidu, began = _vidu(sessions, fake_vidu), SystemClock().now() - timedelta(seconds=60)
    first, second = await _taken(vidu, "one"), await _taken(vidu, "two")
    for nonce, ref in (("one", first), ("two", second)):
        assert [found["id"] for found in await vidu.find(replace(ORDER, nonce=nonce), began)] == [ref["id"]]
    assert await vidu.find(replace(ORDER, nonce="three"), began) == []


async def test_tasks_of_before_are_not_asked_for(sessions: Sessions, fake_vidu: FakeVidu) -> None:
    """Only what was made since the attempt can be its task."""
    vidu = _vidu(sessions, fake_vidu)
    await _taken(vidu, "one")
    later = SystemClock().now() + timedelta(seconds=60)
    assert await vidu.find(replace(ORDER, nonce="one"), later) == []


async def test_a_cancel_that_stops_nothing(sessions: Sessions, fake_vidu: FakeVidu) -> None:
    """Where Vidu takes the cancel and renders on, the order is only asked to stop; its clip comes."""
    fake_vidu.cancels, fake_vidu.script = False, Script(render_polls=3)
    vidu = _vidu(sessions, fake_vidu)
    ref = await _taken(vidu, "one")
    assert await vidu.cancel(ref) is CancelOutcome.REQUESTED
    await vidu.poll(ref)
    assert isinstance(await vidu.poll(ref), Succeeded)


async def test_another_orders_callback(sessions: Sessions, fake_vidu: FakeVidu) -> None:
    """A callback at one order's path about another order's task is nothing."""
    vidu = _vidu(sessions, fake_vidu)
    await _taken(vidu, "one")
    body = fake_vidu.callback_body(fake_vidu.last_task)
    assert await vidu.read_callback(ORDER.endpoint, CallbackRequest({}, body, "two")) is None
    assert await vidu.read_callback(ORDER.endpoint, CallbackRequest({}, body, "one")) is not None


async def test_two_images(sessions: Sessions, fake_vidu: FakeVidu) -> None:
    """First and last image go to the path for two, in their order; the path for one refuses them."""
    last = InputFile("image/png", "01", "/nowhere/last.png", "https://gate.example/f/dog.png")
    both = {**ORDER.field_map, "end_image": "images[1]"}
    vidu, order = _vidu(sessions, fake_vidu), replace(ORDER, end_image=last, field_map=both)
    assert isinstance(await vidu.submit(order), Failed)
    assert isinstance(await vidu.submit(replace(order, endpoint="/ent/v2/start-end2video")), Submission)
    assert fake_vidu.last_task.body["images"] == [IMAGE.url, last.url]


async def test_what_the_key_is_worth(sessions: Sessions, fake_vidu: FakeVidu) -> None:
    """The check tells the credits that are left, and orders nothing; without any Vidu takes no order."""
    vidu = _vidu(sessions, fake_vidu)
    assert "1,240 credits left" in (await vidu.check_key()).message
    fake_vidu.credits_left = 0
    assert (await vidu.check_key()).accepted is False
    assert fake_vidu.log.submits == []
    with pytest.raises(ProviderError) as caught:
        await vidu.submit(ORDER)
    assert (caught.value.sent, caught.value.fault) == (False, Fault.CREDIT) and fake_vidu.log.tasks == {}
