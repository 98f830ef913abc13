"""A whole gateway on loopback for a test: its own database, real HTTP, worker and webhook sender included."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from fairstack_server.accounts.first_start import FirstKeys, create_default_account
from fairstack_server.api.app import build_app
from fairstack_server.bootstrap import Gateway, open_gateway
from fairstack_server.db.dsn import Dsn
from fairstack_server.settings import Settings, read_settings
from fairstack_server.wallet import store as wallet

VIDEO = "/v1/generations/video"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any


@dataclass(slots=True)
class Running:
    """A running gateway and a client of it."""

    gateway: Gateway
    base_url: str
    keys: FirstKeys
    http: aiohttp.ClientSession
    dsn: Dsn | None = None

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **kwargs: Any
    ) -> Answer:
        """One request with the live key unless told otherwise (`key=""` sends none)."""
        headers = dict(kwargs.pop("headers", {}))
        used = self.keys.live if key is None else key
        if used:
            headers["Authorization"] = f"Bearer {used}"
        if isinstance(body, bytes):
            kwargs["data"] = body
        elif body is not None:
            kwargs["json"] = body
        async with self.http.request(method, self.base_url + path, headers=headers, **kwargs) as response:
            raw = await response.read()
            is_json = response.content_type == "application/json"
            return Answer(response.status, response.headers, raw, await response.json() if is_json else None)

    async def submit(self, body: Mapping[str, Any], *, key: str | None = None, **kwargs: Any) -> Answer:
        """POST a video order."""
        return await self.call("POST", VIDEO, dict(body), key=key, **kwargs)

    async def wait(self, job_id: str, *, key: str | None = None, seconds: int = 30) -> Any:
        """The job as it is when it has ended, or after so many seconds."""
        return (await self.call("GET", f"/v1/jobs/{job_id}?wait={seconds}", key=key)).json

    async def grant(self, micros: int) -> None:
        """Give the default account live money."""
        account = await self.gateway.accounts.find("default")
        async with self.gateway.pool.acquire() as connection, connection.transaction():
            await wallet.grant(connection, account.id, "live", micros, "of a test")

    async def money(self, *, key: str | None = None) -> tuple[int, int]:
        """Available and held micros."""
        credits = (await self.call("GET", "/v1/credits", key=key)).json
        return credits["balance"]["micro"], credits["held"]["micro"]


def settings_for(home: Path, port: int, **environment: str) -> Settings:
    """Settings of a test's gateway; provider settings by their own names, ours without the prefix."""
    named = {
        name
        if name.isupper() and not name.startswith("FAIRSTACK") and name in _PROVIDER_NAMES
        else f"FAIRSTACK_{name.upper()}": value
        for name, value in environment.items()
    }
    base = {"FAIRSTACK_HOME": str(home), "FAIRSTACK_PORT": str(port), "FAIRSTACK_SWEEP_SECONDS": "0.5"}
    return read_settings({**base, **named})


_PROVIDER_NAMES = (
    "FAL_KEY",
    "FAL_QUEUE_URL",
    "OPENAI_VIDEOS_URL",
    "OPENAI_VIDEOS_KEY",
    "OPENAI_VIDEOS_DIALECT",
)


@contextlib.asynccontextmanager
async def running_gateway(
    dsn: Dsn, home: Path, *, works: bool = True, **environment: str
) -> AsyncIterator[Running]:
    """Start everything, hand it out, stop everything."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    settings = settings_for(home, port, **environment)
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(open_gateway(settings, dsn, works=works))
        keys = await create_default_account(gateway.pool)
        assert keys is not None
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(gateway), lifespan="off", log_config=None, ws="none", server_header=False
            )
        )
        tasks = [
            asyncio.create_task(server._serve(sockets=[listener])),
            asyncio.create_task(gateway.run_worker()),
            asyncio.create_task(gateway.deliver_webhooks()),
        ]
        try:
            while not server.started:
                await asyncio.sleep(0.01)
            async with aiohttp.ClientSession() as http:
                yield Running(gateway, f"http://127.0.0.1:{port}", keys, http, dsn)
        finally:
            server.should_exit = True
            await gateway.stop_working()
            _, slow = await asyncio.wait(tasks, timeout=10)
            for task in slow:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
