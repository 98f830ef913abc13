"""DashScope: what its list does not show, what its queue lets go, and an account that has not paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import (
    CancelOutcome,
    Fault,
    Order,
    ProviderError,
    Ref,
    Submission,
    Succeeded,
)
from fairstack_server.providers.dashscope import DashScope, media_list
from fairstack_server.providers.http import Sessions
from tests.providers.makers import image_file
from tests.providers.test_vendors import CASES
from tests.upstreams.dashscope import FakeDashScope
from tests.upstreams.upstream import Script

WORDS = CASES["dashscope"].order


@pytest.fixture
async def fake() -> AsyncIterator[FakeDashScope]:
    """A running stand-in, with an empty log."""
    async with FakeDashScope() as dashscope:
        yield dashscope


@pytest.fixture
def provider(sessions: Sessions, fake: FakeDashScope) -> DashScope:
    """The provider that is pointed at it."""
    return DashScope(sessions, fake.key, fake.base_url, SystemClock())


async def _submitted(provider: DashScope, order: Order) -> str:
    taken = await provider.submit(order)
    assert isinstance(taken, Submission), taken
    return str(taken.ref["id"])


async def test_equal_orders_are_all_found(provider: DashScope, fake: FakeDashScope) -> None:
    """Every finished task with the same words, length and size may be the lost one."""
    began = SystemClock().now() - timedelta(seconds=60)
    ids = [await _submitted(provider, WORDS) for _ in range(2)]
    await _submitted(provider, replace(WORDS, duration_seconds=10.0))
    await _submitted(provider, replace(WORDS, width=720, height=1280))
    found = await provider.find(WORDS, began)
    assert sorted(str(ref["id"]) for ref in found) == sorted(ids)


async def test_an_unfinished_task_is_not_found_yet(provider: DashScope, fake: FakeDashScope) -> None:
    """Until it is done no record shows its words, so nothing is said of it."""
    began = SystemClock().now() - timedelta(seconds=60)
    fake.script = Script(render_polls=1)
    task_id = await _submitted(provider, WORDS)
    assert await provider.find(WORDS, began) == []
    await provider.poll({"id": task_id})
    assert [ref["id"] for ref in await provider.find(WORDS, began)] == [task_id]


async def test_an_order_with_a_picture_is_never_found(
    provider: DashScope, fake: FakeDashScope, tmp_path: Path
) -> None:
    """No record shows pictures: the clip of another picture with the same words is not taken for ours."""
    began = SystemClock().now() - timedelta(seconds=60)
    order = CASES["dashscope"].image_order
    assert order is not None
    order = replace(order, image=image_file(tmp_path))
    await _submitted(provider, order)
    assert await provider.find(order, began) == []
    assert fake.log.of("list") == []


async def test_what_has_begun_goes_on(provider: DashScope, fake: FakeDashScope) -> None:
    """A task that left the queue cannot be stopped, and brings its clip."""
    fake.script = Script(render_polls=1)
    ref: Ref = {"id": await _submitted(provider, WORDS)}
    assert await provider.cancel(ref) is CancelOutcome.TOO_LATE
    await provider.poll(ref)
    assert isinstance(await provider.poll(ref), Succeeded)


async def test_an_unpaid_account_is_the_operator_s_business(provider: DashScope, fake: FakeDashScope) -> None:
    """Arrears come as HTTP 400 like a refused order, and are told as missing credit; nothing was sent."""
    fake.overdue = True
    with pytest.raises(ProviderError) as caught:
        await provider.submit(WORDS)
    assert (caught.value.sent, caught.value.permanent, caught.value.fault) == (False, True, Fault.CREDIT)
    assert fake.log.tasks == {}


def test_media_are_a_list_of_types() -> None:
    """Several references of one type are several entries, in their order."""
    named: JSONObject = {"first_frame": "https://a/1", "reference_image": ["https://a/2", "https://a/3"]}
    assert media_list(named) == [
        {"type": "first_frame", "url": "https://a/1"},
        {"type": "reference_image", "url": "https://a/2"},
        {"type": "reference_image", "url": "https://a/3"},
    ]
