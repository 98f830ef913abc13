"""Orders, clocks and servers that the tests of providers are made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fairstack_server.providers.base import InputFile, Order

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment
        self.ticks = 0.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.ticks

    async def sleep(self, seconds: float) -> None:
        self.move(seconds)

    def move(self, seconds: float) -> None:
        """Let that much time pass."""
        self.moment += timedelta(seconds=seconds)
        self.ticks += seconds


def image_file(folder: Path, *, url: str | None = None) -> InputFile:
    """A small file of ours that stands for an image."""
    path = folder / "image.png"
    path.write_bytes(b"\x89PNG not really")
    return InputFile("image/png", "ab" * 32, str(path), url)


def kling_order(image: InputFile, **changed: object) -> Order:
    """An order for Kling 2.1 on fal, as its route has it."""
    told: dict[str, object] = {
        "nonce": "nonce-1",
        "model": "kling-2-1-std-i2v",
        "endpoint": "fal-ai/kling-video/v2.1/standard/image-to-video",
        "prompt": "slow zoom",
        "duration_seconds": 5.0,
        "image": image,
        "field_map": {"prompt": "prompt", "image": "image_url", "duration": "duration"},
        "formats": {"duration": "string"},
    }
    return Order(**(told | changed))  # type: ignore[arg-type]


def wan_order(**changed: object) -> Order:
    """An order for Wan 2.1 on a server of `/v1/videos`, as its route has it."""
    told: dict[str, object] = {
        "nonce": "nonce-2",
        "model": "wan-2-1-t2v",
        "endpoint": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "prompt": "a dog on a beach",
        "duration_seconds": 5.0,
        "width": 1280,
        "height": 720,
        "fps": 24,
        "seed": 7,
        "field_map": {
            "prompt": "prompt",
            "duration": "seconds",
            "size": "size",
            "fps": "fps",
            "seed": "seed",
            "image": "input_reference",
        },
        "formats": {"duration": "string", "size": "pixels"},
    }
    return Order(**(told | changed))  # type: ignore[arg-type]


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawServer:
    """A TCP server on 127.0.0.1 that counts connections and keeps every byte that it reads."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def raw_server(serve: Serve, **listening: object) -> AsyncIterator[RawServer]:
    """Run a RawServer; `listening` goes to `asyncio.start_server` (ssl)."""
    raw = RawServer(serve)
    server = await asyncio.start_server(raw._connected, "127.0.0.1", 0, **listening)  # type: ignore[arg-type]
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One whole request: head, and as many bytes as its Content-Length says."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ),
        0,
    )
    return head + await reader.readexactly(length)
