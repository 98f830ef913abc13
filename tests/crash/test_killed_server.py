"""Everything dies at once in the middle of a render: the next start brings the same job to its end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import aiohttp

from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.inputs import example_picture

OVERRIDES = '[models.local-parallax-i2v]\nprice_usd_per_clip = "0.01"\n'
PRICE_MICROS = 10_000
START_SECONDS = 60


class Server:
    """`fairstack serve` in a process of its own, on its own folder and embedded database."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until it takes jobs."""
        environment = {
            **os.environ,
            "FAIRSTACK_HOME": str(self.home),
            "FAIRSTACK_CATALOG_DIR": str(self.home / "catalog"),
            "FAIRSTACK_LOG_LEVEL": "warning",
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "fairstack.cli", "serve", "--port", str(self.port), env=environment
        )
        async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as http:
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    await asyncio.sleep(0.1)

    async def kill_everything(self) -> None:
        """SIGKILL for the server and its PostgreSQL; the renderers die with the server."""
        assert self.process is not None
        pid = EmbeddedPostgres(self.home).status().pid
        self.process.kill()
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> None:
        """End it in order."""
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await asyncio.wait_for(self.process.wait(), 40)

    async def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """The JSON answer of one request with the live key."""
        key = json.loads((self.home / "credentials.json").read_text())["live_key"]
        headers = {"Authorization": f"Bearer {key}", **kwargs.pop("headers", {})}
        async with aiohttp.ClientSession() as http:
            url = f"http://127.0.0.1:{self.port}{path}"
            async with http.request(method, url, headers=headers, **kwargs) as answer:
                return await answer.json()


async def test_a_render_survives_the_death_of_everything(home: Path) -> None:
    """Server, renderer and database are killed mid-render; the next start ends the same job, paid once."""
    (home / "catalog").mkdir()
    (home / "catalog" / "overrides.toml").write_text(OVERRIDES)
    server = Server(home)
    try:
        await server.start()
        await server.call("POST", "/v1/admin/accounts/default/grants", json={"micro": 1_000_000})
        picture = await server.call(
            "POST", "/v1/files", data=example_picture(), headers={"Content-Type": "image/png"}
        )
        order = {
            "model": "local-parallax-i2v",
            "prompt": "slow zoom in",
            "image": picture["id"],
            "duration": 3,
        }
        job_id = (await server.call("POST", "/v1/generations/video", json=order))["id"]
        async with asyncio.timeout(120):
            while not ((await server.call("GET", f"/v1/jobs/{job_id}")).get("progress") or 0) > 0.1:
                await asyncio.sleep(0.1)
        await server.kill_everything()
        await server.start()
        async with asyncio.timeout(180):
            while (job := await server.call("GET", f"/v1/jobs/{job_id}?wait=30"))["status"] == "processing":
                pass
        assert job["status"] == "completed", job
        assert job["cost"]["micro"] == PRICE_MICROS
        ledger = await server.call("GET", "/v1/ledger")
        assert [item["kind"] for item in ledger["items"]] == ["capture", "hold", "grant"]
        credits = await server.call("GET", "/v1/credits")
        assert credits["balance"]["micro"] == 1_000_000 - PRICE_MICROS
        assert credits["held"]["micro"] == 0
    finally:
        await server.stop()
