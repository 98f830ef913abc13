"""Replicate: versions of community models beside official ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import ProviderError, Submission, Succeeded
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.replicate import Replicate
from tests.providers.test_vendors import CASES
from tests.upstreams.replicate import FakeReplicate

VERSION = "8" * 64
ORDER = replace(CASES["replicate"].order, endpoint=f"someone/film:{VERSION}")


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    """A running stand-in of Replicate."""
    async with FakeReplicate() as replicate:
        yield replicate


async def test_a_version_is_named_in_the_body(sessions: Sessions, fake: FakeReplicate) -> None:
    """An endpoint `owner/name:version` is ordered by its version, and its clip comes like any other."""
    replicate = Replicate(sessions, fake.key, fake.base_url, SystemClock())
    taken = await replicate.submit(ORDER)
    assert isinstance(taken, Submission) and isinstance(await replicate.poll(taken.ref), Succeeded)
    sent = fake.log.submits[0]
    assert (sent.path, sent.body["version"]) == ("/v1/predictions", VERSION)


async def test_versions_are_told_apart(sessions: Sessions, fake: FakeReplicate) -> None:
    """A lost answer is found by version and input, not by input alone."""
    replicate = Replicate(sessions, fake.key, fake.base_url, SystemClock())
    began = SystemClock().now() - timedelta(seconds=60)
    await replicate.submit(replace(ORDER, endpoint=f"someone/film:{'9' * 64}"))
    assert await replicate.find(ORDER, began) == []
    fake.faults.add("drop")
    with pytest.raises(ProviderError):
        await replicate.submit(ORDER)
    [found] = await replicate.find(ORDER, began)
    assert found is not None and found["id"] == fake.last_task.id
