"""BytePlus ModelArk: its typed parts, what its delete may touch, and an account that has not paid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import CancelOutcome, Fault, ProviderError, Ref, Submission, Succeeded
from fairstack_server.providers.byteplus import BytePlus
from fairstack_server.providers.content_parts import content_parts
from fairstack_server.providers.http import Sessions
from tests.providers.test_vendors import CASES, IMAGE
from tests.upstreams.byteplus import FakeBytePlus
from tests.upstreams.upstream import Script

ORDER = CASES["byteplus"].order


@pytest.fixture
async def fake() -> AsyncIterator[FakeBytePlus]:
    """A running stand-in, with an empty log."""
    async with FakeBytePlus() as byteplus:
        yield byteplus


@pytest.fixture
def provider(sessions: Sessions, fake: FakeBytePlus) -> BytePlus:
    """The provider that is pointed at it."""
    return BytePlus(sessions, fake.key, fake.base_url, SystemClock())


async def _submitted(provider: BytePlus) -> Ref:
    taken = await provider.submit(ORDER)
    assert isinstance(taken, Submission), taken
    return taken.ref


@pytest.mark.parametrize("script", [Script(render_polls=5), Script()], ids=["running", "ended"])
async def test_only_the_queue_is_deleted_from(provider: BytePlus, fake: FakeBytePlus, script: Script) -> None:
    """A delete of a running task is refused, that of an ended one loses its clip: neither is asked for."""
    fake.script = script
    ref = await _submitted(provider)
    assert await provider.cancel(ref) is CancelOutcome.TOO_LATE
    assert fake.log.of("cancel") == []
    while not isinstance(ended := await provider.poll(ref), Succeeded):
        assert fake.last_task.polls < 10, ended


async def test_an_unpaid_account_is_the_operator_s_business(provider: BytePlus, fake: FakeBytePlus) -> None:
    """An overdue balance comes as HTTP 403 like a wrong key, and is told as missing credit."""
    fake.overdue = True
    with pytest.raises(ProviderError, match="no credit") as caught:
        await provider.submit(ORDER)
    assert (caught.value.sent, caught.value.permanent, caught.value.fault) == (False, True, Fault.CREDIT)
    assert fake.log.tasks == {}


async def test_references_are_parts_of_their_own(provider: BytePlus, fake: FakeBytePlus) -> None:
    """A strict vendor takes several reference images, each as a part with its role."""
    fields = {"prompt": "content.text", "images": "content.reference_image"}
    fixed = {"model": "dreamina-seedance-2-0-260128"}
    order = replace(ORDER, image=None, images=(IMAGE, IMAGE), field_map=fields, fixed=fixed)
    assert isinstance(await provider.submit(order), Submission)
    part = {"type": "image_url", "image_url": {"url": IMAGE.url}, "role": "reference_image"}
    assert fake.log.submits[0].body["content"] == [{"type": "text", "text": "slow zoom"}, part, part]


def test_clips_and_sounds_have_types_of_their_own() -> None:
    """The role says which type a medium has."""
    assert content_parts({"reference_video": "https://a/v", "reference_audio": "https://a/s"}) == [
        {"type": "video_url", "video_url": {"url": "https://a/v"}, "role": "reference_video"},
        {"type": "audio_url", "audio_url": {"url": "https://a/s"}, "role": "reference_audio"},
    ]


def test_a_route_with_an_unknown_role_sends_nothing() -> None:
    """A mistake in a route is named with what would be right."""
    with pytest.raises(ProviderError, match=r"content\.middle_frame; known are first_frame") as caught:
        content_parts({"middle_frame": "https://a/1"})
    assert (caught.value.sent, caught.value.permanent) == (False, True)


async def test_an_unpaid_account_has_a_key_that_takes_no_order(
    provider: BytePlus, fake: FakeBytePlus
) -> None:
    """The check of the key names the balance, not the key, as what is wrong."""
    fake.overdue = True
    checked = await provider.check_key()
    assert not checked.accepted and "no credits left" in checked.message
