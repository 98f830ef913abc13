"""A whole gateway on loopback for a test: its own database, real HTTP, worker and webhook sender included."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from litestar import Litestar
from yarl import URL

from fairstack_server.accounts.first_start import FirstKeys, create_default_account
from fairstack_server.api.app import build_app
from fairstack_server.api.connections import PatientHttp
from fairstack_server.api.openapi import openapi
from fairstack_server.bootstrap import Gateway, open_gateway
from fairstack_server.db.dsn import Dsn
from fairstack_server.egress import Egress
from fairstack_server.settings import PROVIDER_SETTINGS, Settings, read_settings
from fairstack_server.wallet import store as wallet
from tests.gateway.conformity import Conformity

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
    dsn: Dsn
    conformity: Conformity

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **kwargs: Any
    ) -> Answer:
        """One request with the live key unless told otherwise (`key=""` sends none).

        Fails unless the answer is one that the OpenAPI document promises.
        """
        headers = dict(kwargs.pop("headers", {}))
        used = self.keys.live if key is None else key
        if used:
            headers["Authorization"] = f"Bearer {used}"
        if isinstance(body, bytes | AsyncIterator):
            kwargs["data"] = body
        elif body is not None:
            kwargs["json"] = body
        url = URL(self.base_url + path, encoded=True)
        async with self.http.request(method, url, headers=headers, **kwargs) as response:
            raw = await response.read()
        self.conformity.check(method, path, response.status, response.headers, raw)
        is_json = response.content_type == "application/json" and method != "HEAD"
        return Answer(response.status, response.headers, raw, json.loads(raw) if is_json else None)

    async def submit(self, body: Mapping[str, Any], *, key: str | None = None, **kwargs: Any) -> Answer:
        """POST a video order."""
        return await self.call("POST", VIDEO, dict(body), key=key, **kwargs)

    async def wait(self, job_id: str, *, key: str | None = None, seconds: int = 30) -> Any:
        """The job as it is when it has ended, or after so many seconds."""
        return (await self.call("GET", f"/v1/jobs/{job_id}?wait={seconds}", key=key)).json

    async def key(self, *scopes: str, mode: str = "live", key: str | None = None, **more: Any) -> str:
        """A new key of the default account with these scopes."""
        asked = {"scopes": list(scopes), "mode": mode, **more}
        made = await self.call("POST", "/v1/api-keys", asked, key=key)
        assert made.status == 201, made.body
        return str(made.json["key"])

    async def other_account(self, **wanted: Any) -> tuple[str, str]:
        """A new account; its live and its test key."""
        asked = {"name": f"account {secrets.token_hex(4)}", **wanted}
        made = await self.call("POST", "/v1/admin/accounts", asked)
        assert made.status == 201, made.body
        return made.json["live_key"], made.json["test_key"]

    async def ended(self, body: Mapping[str, Any], *, key: str | None = None) -> Any:
        """Submit, and give the job as it ends."""
        submitted = await self.submit(body, key=key)
        assert submitted.status == 202, submitted.body
        job = await self.wait(submitted.json["id"], key=key, seconds=60)
        assert job["status"] in ("completed", "failed", "cancelled"), job
        return job

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
        name if name in PROVIDER_SETTINGS else f"FAIRSTACK_{name.upper()}": value
        for name, value in environment.items()
    }
    base = {"FAIRSTACK_HOME": str(home), "FAIRSTACK_PORT": str(port), "FAIRSTACK_SWEEP_SECONDS": "0.5"}
    base["FAIRSTACK_LATE_SECONDS"] = "1"
    return read_settings({**base, **named})


@contextlib.asynccontextmanager
async def running_gateway(
    dsn: Dsn,
    home: Path,
    around: Callable[[Litestar], Any] = lambda app: app,
    /,
    *,
    works: bool = True,
    egress: Egress | None = None,
    **environment: str,
) -> AsyncIterator[Running]:
    """Start everything, hand it out, stop everything. `around` may stand between the app and its callers."""
    # Named as TCP: of a socket that is not, asyncio leaves Nagle's algorithm on, which costs 40 ms an answer.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    settings = settings_for(home, port, **environment)
    async with contextlib.AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(open_gateway(settings, dsn, works=works, egress=egress))
        keys = await create_default_account(gateway.pool)
        assert keys is not None
        app = build_app(gateway)
        server = uvicorn.Server(
            uvicorn.Config(
                around(app), http=PatientHttp, lifespan="off", log_config=None, ws="none", server_header=False
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
                base_url = f"http://127.0.0.1:{port}"
                yield Running(gateway, base_url, keys, http, dsn, Conformity(openapi(app)))
        finally:
            server.should_exit = True
            await gateway.stop_working()
            _, slow = await asyncio.wait(tasks, timeout=10)
            for task in slow:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
