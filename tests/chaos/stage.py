"""A stage: a database, vendors, a user and her webhook receiver, on which gateways live and die."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from fairstack_server.accounts.first_start import create_default_account
from fairstack_server.db.connections import Pool
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.pool import open_pool
from fairstack_server.wallet import store as wallet
from tests.chaos.courier import FakeCourier
from tests.chaos.time_machine import Dial
from tests.chaos.zygote import Forge, Process
from tests.conftest import make_folder
from tests.upstreams.kling import FakeKling
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.pixverse import FakePixVerse
from tests.upstreams.runway import FakeRunway
from tests.upstreams.upstream import Upstream

MONEY_MICROS = 1_000_000_000
_POST_SECONDS = 3.0
_POST_PAUSE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Posted:
    """One webhook that the receiver got."""

    headers: Mapping[str, str]
    body: bytes


class Vendors:
    """The stand-ins by submit class."""

    def __init__(self) -> None:
        self.pixverse, self.kling, self.videos = FakePixVerse(), FakeKling(), FakeOpenAIVideos()
        self.runway, self.courier = FakeRunway(), FakeCourier()
        self.by_class: Mapping[str, Upstream] = {
            "A": self.pixverse,
            "B": self.kling,
            "C": self.videos,
            "D": self.runway,
            "D+": self.courier,
        }

    @property
    def settings(self) -> dict[str, str]:
        """What makes a gateway use them."""
        return {
            "PIXVERSE_API_KEY": self.pixverse.key,
            "PIXVERSE_URL": self.pixverse.base_url,
            "KLING_API_KEY": self.kling.key,
            "KLING_URL": self.kling.base_url,
            "OPENAI_VIDEOS_KEY": self.videos.key,
            "OPENAI_VIDEOS_URL": self.videos.base_url,
            "RUNWAYML_API_SECRET": self.runway.key,
            "RUNWAYML_URL": self.runway.base_url,
            "COURIER_KEY": self.courier.key,
            "COURIER_URL": self.courier.base_url,
        }


MODELS = {
    "A": "chaos-pixverse",
    "B": "chaos-kling",
    "C": "chaos-videos",
    "D": "chaos-runway",
    "D+": "chaos-courier",
}


@dataclass
class Stage:
    """Everything around the gateways of one stage."""

    number: int
    port: int
    forge: Forge
    dsn: Dsn
    pool: Pool
    home: Path
    vendors: Vendors
    http: aiohttp.ClientSession
    key: str
    dial: Dial
    plants: tuple[str, ...] = ()
    receiver_port: int = 0
    posted: dict[str, list[Posted]] = field(default_factory=lambda: defaultdict(list))
    lives: list[Process] = field(default_factory=list)
    charged_micros: int = 0

    async def begin(self, **told: Any) -> Process:
        """Begin a life of a gateway."""
        process = await self.forge.begin(
            {
                "stage": self.number,
                "dsn": self.dsn.url,
                "home": str(self.home),
                "port": self.port,
                "receiver": f"127.0.0.1:{self.receiver_port}",
                "providers": self.vendors.settings,
                "dial": str(self.home / "dial"),
                "log": str(self.home / "log"),
                "plants": self.plants,
                **told,
            }
        )
        self.lives.append(process)
        return process

    async def order(self, klass: str, prompt: str, hook: str) -> dict[str, Any]:
        """POST the order, and again with the same key until it is answered, as a careful user does."""
        body = {
            "model": MODELS[klass],
            "prompt": prompt,
            "webhook_url": f"http://127.0.0.1:{self.receiver_port}/{hook}",
        }
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": hook}
        url = f"http://127.0.0.1:{self.port}/v1/generations/video"
        while True:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.http.post(url, json=body, headers=headers) as answer:
                    told = await answer.json()
                    if answer.status == 202:
                        return dict(told)
                    if answer.status not in (409, 500, 503):
                        raise AssertionError(f"the order was answered {answer.status}: {told}")
            await asyncio.sleep(_POST_PAUSE_SECONDS)

    async def pass_time(self, seconds: float) -> None:
        """Turn the clock of the gateways on, and let what the dead have picked grow old in the queue."""
        self.dial.ahead_seconds += seconds
        async with self.pool.acquire() as connection:
            await connection.execute("update pgqueuer set heartbeat = heartbeat - interval '60 seconds'")
            await connection.execute("select pg_notify('webhook_due', '')")

    async def end_lives(self) -> None:
        """SIGKILL for whoever still lives here."""
        lives, self.lives = self.lives, []
        await asyncio.gather(*(life.end() for life in lives))


async def _receiver(stage: Stage, stack: contextlib.AsyncExitStack) -> int:
    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        stage.posted[request.path.strip("/")].append(Posted(headers, await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{hook}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return int(runner.addresses[0][1])


@contextlib.asynccontextmanager
async def set_up(
    number: int, listener: socket.socket, forge: Forge, dsn: Dsn, plants: tuple[str, ...] = ()
) -> AsyncIterator[Stage]:
    """A stage on a fresh database; whoever lives on it at the end is killed."""
    home = make_folder()
    vendors = Vendors()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        for vendor in vendors.by_class.values():
            await stack.enter_async_context(vendor)
        pool = await open_pool(dsn, 2)
        stack.callback(pool.terminate)
        keys = await create_default_account(pool)
        assert keys is not None
        async with pool.acquire() as connection, connection.transaction():
            account = await connection.fetchval("select id from accounts")
            await wallet.grant(connection, account, "live", MONEY_MICROS, "of the campaign")
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(force_close=True),
                timeout=aiohttp.ClientTimeout(total=_POST_SECONDS),
            )
        )
        stage = Stage(
            number,
            listener.getsockname()[1],
            forge,
            dsn,
            pool,
            home,
            vendors,
            http,
            keys.live,
            Dial(home / "dial"),
            plants,
        )
        stage.receiver_port = await _receiver(stage, stack)
        stack.push_async_callback(stage.end_lives)
        yield stage
