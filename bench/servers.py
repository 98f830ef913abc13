"""Starting and stopping what is measured: databases, servers, the load generator, the instant providers."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import aiohttp
import msgspec

from bench.http_load import Round, Tally
from bench.upstream import Call
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.db.migrate import migrate
from fairstack_server.jobs.queue import install_queue_schema

READY_SECONDS = 60.0
_STOP_SECONDS = 25.0
_LOOK_SECONDS = 0.005
_LINE_LIMIT = 64 * 1024 * 1024
_RATE_LIMIT = "1000000000"


@dataclass(frozen=True, slots=True)
class Server:
    """A running `fairstack` process."""

    port: int
    pid: int
    ready_seconds: float

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def temporary_home() -> AsyncIterator[Path]:
    """An empty data folder, removed afterwards; others may pass through it, as root's PostgreSQL must."""
    home = Path(tempfile.mkdtemp(prefix="fairstack-bench-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


@asynccontextmanager
async def database(home: Path) -> AsyncIterator[Dsn]:
    """The embedded PostgreSQL as the server runs it, migrated; several servers may share it."""
    postgres = EmbeddedPostgres(home)
    dsn = await postgres.start()
    try:
        await migrate(dsn, extra_steps=[("pgqueuer", install_queue_schema)])
        yield dsn
    finally:
        await postgres.stop()


@asynccontextmanager
async def server(
    part: str, home: Path, settings: Mapping[str, str], *, module: str = "fairstack.cli"
) -> AsyncIterator[Server]:
    """A `fairstack serve` or `fairstack api` that is ready; its log goes to `<home>/<part>-<port>.log`."""
    port = _free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FAIRSTACK_")},
        "FAIRSTACK_HOME": str(home),
        "FAIRSTACK_RATE_LIMIT_PER_MINUTE": _RATE_LIMIT,
        **settings,
    }
    log = home / f"{part}-{port}.log"
    started = time.perf_counter()
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, part, "--port", str(port)),
            env=environment,
            stdout=out,
            stderr=out,
        )
    try:
        await _until_ready(process, port, log)
        yield Server(port, process.pid, time.perf_counter() - started)
    finally:
        await _end(process)


class LoadGenerator:
    """The other end of `http_load.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, told: Round) -> Tally:
        """One round."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(told) + b"\n")
        await self._process.stdin.drain()
        return msgspec.json.decode(await self._process.stdout.readline(), type=Tally)


@asynccontextmanager
async def load_generator() -> AsyncIterator[LoadGenerator]:
    """A load generator in a process of its own."""
    async with _module("bench.http_load") as process:
        yield LoadGenerator(process)


class Upstreams:
    """The instant providers: the settings that make a server use them, and what they were asked."""

    def __init__(self, http: aiohttp.ClientSession, settings: Mapping[str, str]) -> None:
        self._http = http
        self.settings = settings
        self._urls = (settings["FAL_QUEUE_URL"], settings["OPENAI_VIDEOS_URL"])

    async def calls(self) -> list[Call]:
        """The calls since the last time this was asked, oldest first."""
        seen: list[Call] = []
        for url in self._urls:
            async with self._http.get(f"{url}/_control") as answer:
                seen += msgspec.json.decode(await answer.read(), type=list[Call])
        return sorted(seen, key=lambda call: call.at)

    async def take(self, render_seconds: float) -> None:
        """From now on, let every render take that long."""
        for url in self._urls:
            await self._http.post(f"{url}/_control", json={"script": {"render_seconds": render_seconds}})


@asynccontextmanager
async def upstreams(http: aiohttp.ClientSession) -> AsyncIterator[Upstreams]:
    """Stand-ins for fal and `/v1/videos` in a process of their own."""
    async with _module("bench.upstream") as process:
        assert process.stdout is not None
        settings = msgspec.json.decode(await process.stdout.readline(), type=dict[str, str])
        yield Upstreams(http, settings)


@asynccontextmanager
async def _module(name: str, arguments: Sequence[str] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", name, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_LIMIT,
    )
    try:
        yield process
    finally:
        await _end(process)


async def _until_ready(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    deadline = time.perf_counter() + READY_SECONDS
    async with aiohttp.ClientSession() as http:
        while time.perf_counter() < deadline:
            if process.returncode is not None:
                raise RuntimeError(f"The server ended with {process.returncode}:\n{log.read_text()[-2000:]}")
            with suppress(aiohttp.ClientConnectionError):
                async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"The server is not ready after {READY_SECONDS:g} s:\n{log.read_text()[-2000:]}")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return cast(int, probe.getsockname()[1])
