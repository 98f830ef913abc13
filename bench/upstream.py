"""The instant providers, a process of their own: the tests' stand-ins, which also note when a call came."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web
from tests.upstreams.fal import FakeFal
from tests.upstreams.faults import Operation
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.upstream import Upstream

from fairstack_server.media.testcard import make_test_card


class Call(msgspec.Struct):
    """One call that a stand-in got, and when (Unix time)."""

    operation: str
    at: float


class _Stamped(Upstream):
    def __init__(self, clip: bytes) -> None:
        super().__init__()
        self.clip = clip
        self.calls: list[Call] = []

    async def note(
        self, operation: Operation, request: web.Request, body: Any = None, task_id: str | None = None
    ) -> None:
        self.calls.append(Call(operation, time.time()))
        await super().note(operation, request, body, task_id)

    async def _report(self, _: web.Request) -> web.Response:
        calls, self.calls = self.calls, []
        return web.Response(body=msgspec.json.encode(calls), content_type="application/json")

    async def _give_clip(self, request: web.Request) -> web.Response:
        await self.note("content", request)
        return web.Response(body=self.clip, content_type="video/mp4")


class StampedFal(_Stamped, FakeFal):
    """fal, instant."""

    async def _file(self, request: web.Request) -> web.Response:
        return await self._give_clip(request)


class StampedVideos(_Stamped, FakeOpenAIVideos):
    """A server of `/v1/videos`, instant."""

    async def _content(self, request: web.Request) -> web.Response:
        return await self._give_clip(request)


def make_clip() -> bytes:
    """A clip with a picture in every frame: 1280x720, 24 fps, 5 seconds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        make_test_card(path, width=1280, height=720, duration_seconds=5.0, title="bench", fps=24)
        return path.read_bytes()


async def serve() -> None:
    """Print where the two are, as one line of JSON, then serve until ended."""
    async with AsyncExitStack() as stack:
        clip = make_clip()
        fal = await stack.enter_async_context(StampedFal(clip))
        videos = await stack.enter_async_context(StampedVideos(clip))
        told = {
            "FAL_QUEUE_URL": fal.base_url,
            "FAL_KEY": fal.key,
            "OPENAI_VIDEOS_URL": videos.base_url,
            "OPENAI_VIDEOS_KEY": videos.key,
        }
        sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
        sys.stdout.buffer.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
