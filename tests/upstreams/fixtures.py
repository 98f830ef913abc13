"""Pytest fixtures of the stand-ins: import the ones you use into your folder's conftest.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.upstreams.fal import FakeFal
from tests.upstreams.openai_videos import FakeOpenAIVideos


@pytest.fixture
async def fake_fal() -> AsyncIterator[FakeFal]:
    """A running stand-in of fal, with an empty log."""
    async with FakeFal() as fal:
        yield fal


@pytest.fixture
async def fake_videos() -> AsyncIterator[FakeOpenAIVideos]:
    """A running stand-in of a `/v1/videos` server, with an empty log."""
    async with FakeOpenAIVideos() as videos:
        yield videos
