"""What every test of providers may use."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fairstack_server.providers.http import Sessions, provider_sessions
from tests.providers.makers import ManualClock
from tests.upstreams.fixtures import (
    fake_fal,
    fake_kling,
    fake_minimax,
    fake_pixverse,
    fake_vertex,
    fake_videos,
    fake_vidu,
    fake_xai,
)

__all__ = [
    "fake_fal",
    "fake_kling",
    "fake_minimax",
    "fake_pixverse",
    "fake_vertex",
    "fake_videos",
    "fake_vidu",
    "fake_xai",
]


@pytest.fixture
async def sessions() -> AsyncIterator[Sessions]:
    """The sessions that providers share."""
    async with provider_sessions() as opened:
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()
