"""A receiver of webhooks on loopback that keeps what it got."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Got:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, by path; `statuses` says what a path answers instead of 200."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def address(self) -> str:
        """What FAIRSTACK_WEBHOOK_ALLOW names."""
        return f"127.0.0.1:{self.port}"

    def url(self, path: str) -> str:
        """The address of a path."""
        return f"http://{self.address}{path}"

    def at(self, path: str) -> list[Got]:
        """What came to a path."""
        return [got for got in self.got if got.path == path]

    async def wait(self, path: str, count: int = 1, seconds: float = 60) -> list[Got]:
        """What came to a path, once there are `count` of it. Raises TimeoutError."""
        async with asyncio.timeout(seconds), self.came:
            await self.came.wait_for(lambda: len(self.at(path)) >= count)
        return self.at(path)

    async def take(self, request: web.Request) -> web.Response:
        """Keep a request."""
        self.got.append(Got(request.path, dict(request.headers), await request.read()))
        async with self.came:
            self.came.notify_all()
        return web.Response(status=self.statuses.get(request.path, 200))


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    try:
        yield receiver
    finally:
        await runner.cleanup()
