"""A real `fairstack serve` in a process of its own, which can be killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from pathlib import Path

import httpx

START_SECONDS = 60
#: Asked much in a minute, and quick to find what a killed one left.
SETTINGS = {
    "FAIRSTACK_RATE_LIMIT_PER_MINUTE": "6000",
    "FAIRSTACK_SWEEP_SECONDS": "0.5",
    "FAIRSTACK_WORKER_TIMEOUT_SECONDS": "3",
    "FAIRSTACK_LOG_LEVEL": "warning",
}


class RealServer:
    """A server with a data folder and a database of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def test_key(self) -> str:
        """The test key that its first start made."""
        return str(json.loads((self.home / "credentials.json").read_text())["test_key"])

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it and wait until it takes jobs."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("FAIRSTACK_")} | SETTINGS
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fairstack.cli", "serve", "--port", str(self.port)),
            env=environment | {"FAIRSTACK_HOME": str(self.home)},
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            while True:
                assert self._process.returncode is None, "the server did not start"
                with contextlib.suppress(httpx.TransportError):
                    if (await http.get(f"{self.url}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    async def restart(self) -> None:
        """Killed without a word, and started again with the same data."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()
        await self.start()

    async def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self.is_running:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), 40)
