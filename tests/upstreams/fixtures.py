"""Pytest fixtures of the stand-ins: import the ones you use into your folder's conftest.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.upstreams.byteplus import FakeBytePlus
from tests.upstreams.dashscope import FakeDashScope
from tests.upstreams.fal import FakeFal
from tests.upstreams.kling import FakeKling
from tests.upstreams.luma import FakeLuma
from tests.upstreams.minimax import FakeMiniMax
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.runway import FakeRunway
from tests.upstreams.vertex import FakeVertex
from tests.upstreams.vidu import FakeVidu
from tests.upstreams.xai import FakeXAI


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


@pytest.fixture
async def fake_replicate() -> AsyncIterator[FakeReplicate]:
    """A running stand-in of Replicate, with an empty log."""
    async with FakeReplicate() as replicate:
        yield replicate


@pytest.fixture
async def fake_runway() -> AsyncIterator[FakeRunway]:
    """A running stand-in of Runway, with an empty log."""
    async with FakeRunway() as runway:
        yield runway


@pytest.fixture
async def fake_luma() -> AsyncIterator[FakeLuma]:
    """A running stand-in of Luma, with an empty log."""
    async with FakeLuma() as luma:
        yield luma


@pytest.fixture
async def fake_vertex() -> AsyncIterator[FakeVertex]:
    """A running stand-in of Vertex AI, with an empty log."""
    async with FakeVertex() as vertex:
        yield vertex


@pytest.fixture
async def fake_kling() -> AsyncIterator[FakeKling]:
    """A running stand-in of Kling, with an empty log."""
    async with FakeKling() as kling:
        yield kling


@pytest.fixture
async def fake_dashscope() -> AsyncIterator[FakeDashScope]:
    """A running stand-in of DashScope, with an empty log."""
    async with FakeDashScope() as dashscope:
        yield dashscope


@pytest.fixture
async def fake_byteplus() -> AsyncIterator[FakeBytePlus]:
    """A running stand-in of ModelArk, with an empty log."""
    async with FakeBytePlus() as byteplus:
        yield byteplus


@pytest.fixture
async def fake_minimax() -> AsyncIterator[FakeMiniMax]:
    """A running stand-in of MiniMax, with an empty log."""
    async with FakeMiniMax() as minimax:
        yield minimax


@pytest.fixture
async def fake_pixverse() -> AsyncIterator[FakePixVerse]:
    """A running stand-in of PixVerse, with an empty log."""
    async with FakePixVerse() as pixverse:
        yield pixverse


@pytest.fixture
async def fake_vidu() -> AsyncIterator[FakeVidu]:
    """A running stand-in of Vidu, with an empty log."""
    async with FakeVidu() as vidu:
        yield vidu


@pytest.fixture
async def fake_xai() -> AsyncIterator[FakeXAI]:
    """A running stand-in of xAI, with an empty log."""
    async with FakeXAI() as xai:
        yield xai
