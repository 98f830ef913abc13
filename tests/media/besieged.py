"""A whole server in a process of its own, and what the system says of that process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.conftest import make_folder
from tests.media.watched import Watch, code

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 90
#: `fairstack serve` as it is, but that its confined children are watched.
_PROGRAM = (
    "import sys; from fairstack_server.media import sandbox; sandbox._CHILD_CODE = sys.argv.pop(1); "
    "from fairstack.cli.main import main; main()"
)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the server answered to an upload, and after how long."""

    status: int
    json: Any
    seconds: float


class Besieged:
    """A running server and a client of it."""

    def __init__(self, process: asyncio.subprocess.Process, home: Path, url: str) -> None:
        self._process = process
        self._http = aiohttp.ClientSession()
        self._url = url
        self._key = ""
        self._home = home

    @property
    def alive(self) -> bool:
        """The process that was started still runs."""
        return self._process.returncode is None

    @property
    def resident_bytes(self) -> int:
        """Memory of the server that is really there, as the system counts it; its children's not included."""
        return resident_bytes(self._process.pid)

    async def ready(self) -> None:
        """Wait until it takes requests."""
        async with asyncio.timeout(_START_SECONDS):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with self._http.get(f"{self._url}/readyz") as answer:
                        if answer.status == 200:
                            break
                if not self.alive:
                    raise RuntimeError("the server did not start")
                await asyncio.sleep(0.1)
        self._key = json.loads((self._home / "credentials.json").read_text())["live_key"]

    async def upload(self, data: bytes, declared: str) -> Sent:
        """POST a file as whoever holds a key can."""
        started = asyncio.get_running_loop().time()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": declared}
        async with self._http.post(f"{self._url}/v1/files", data=data, headers=headers) as answer:
            is_json = answer.content_type == "application/json"
            body = await answer.json() if is_json else None
            return Sent(answer.status, body, asyncio.get_running_loop().time() - started)

    async def kept(self, sent: Sent) -> bytes:
        """What the server made of an upload that it took."""
        async with self._http.get(sent.json["url"]) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def stop(self) -> None:
        """End it in order."""
        await self._http.close()
        if self.alive:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), 40)


def resident_bytes(pid: int | str = "self") -> int:
    """Memory of a process that is really there (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


@contextlib.asynccontextmanager
async def besieged_server(watch: Watch) -> AsyncIterator[Besieged]:
    """`fairstack serve` with its own folder and database; its confined children are watched."""
    home = make_folder()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": str(_ROOT / "src"),
        "FAIRSTACK_HOME": str(home),
        "FAIRSTACK_LOG_LEVEL": "error",
        "FAIRSTACK_RATE_LIMIT_PER_MINUTE": "1000000",
    }
    command = [sys.executable, "-c", _PROGRAM, code(watch.folder), "serve", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    server = Besieged(process, home, f"http://127.0.0.1:{port}")
    try:
        await server.ready()
        yield server
    finally:
        await server.stop()
        shutil.rmtree(home, ignore_errors=True)
