"""A gate in front of every connect of this process, scripted look-ups, and a peer that obeys a script."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from ipaddress import ip_address

import pytest


class ConnectGate:
    """Sees every connect before a packet leaves; lets only loopback through, and nothing at all when shut."""

    def __init__(self) -> None:
        self.watching = False
        self.shut = False
        self.seen: list[str] = []

    def on_event(self, event: str, arguments: tuple[object, ...]) -> None:
        if event != "socket.connect" or not self.watching:
            return
        address = arguments[1]
        host = str(address[0]) if isinstance(address, tuple) else str(address)
        self.seen.append(host)
        if self.shut or not ip_address(host).is_loopback:
            raise ConnectionRefusedError(f"the gate stopped a connect to {host}")


_GATE = ConnectGate()


@pytest.fixture(scope="session")
def installed_gate() -> ConnectGate:
    """The gate, in place for the rest of the process: audit hooks cannot be taken out again."""
    sys.addaudithook(_GATE.on_event)
    return _GATE


@pytest.fixture(autouse=True)
def gate(installed_gate: ConnectGate) -> Iterator[ConnectGate]:
    """The gate, watching during one test."""
    installed_gate.seen, installed_gate.shut, installed_gate.watching = [], False, True
    yield installed_gate
    installed_gate.watching = False


class ScriptedDns:
    """Answers each look-up of a name with the next line of its script; the last line stays."""

    def __init__(self, script: dict[str, list[list[str]]]) -> None:
        self._script = script
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        lines = self._script.get(host)
        if lines is None:
            raise OSError(f"no such name: {host}")
        return lines[min(self.asked.count(host), len(lines)) - 1]


class Peer:
    """An HTTP/1.1 server that writes the bytes set for a path, then closes or stalls; keeps what it got."""

    def __init__(self) -> None:
        self.pages: dict[str, list[bytes]] = {}
        self.stall: set[str] = set()
        self.requests: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._stop = asyncio.Event()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._stop.set()
        self._server.close()
        await self._server.wait_closed()

    def answer(self, path: str, *parts: bytes | str, stall: bool = False) -> str:
        """Set the raw answer of a path; with `stall` the connection stays open, silent. Returns its URL."""
        self.pages[path] = [part.encode() if isinstance(part, str) else part for part in parts]
        if stall:
            self.stall.add(path)
        return self.origin + path

    def redirect(self, path: str, location: str, status: int = 302) -> str:
        return self.answer(
            path, f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        )

    def page(self, path: str, body: bytes, *headers: str) -> str:
        lines = "".join(f"{line}\r\n" for line in headers)
        return self.answer(path, f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{lines}\r\n", body)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.requests.append(head)
            path = head.split(" ")[1]
            for part in self.pages.get(path, [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"]):
                writer.write(part)
            await writer.drain()
            if path in self.stall:
                await self._stop.wait()
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the client left early, as the tests of limits mean it to
        finally:
            writer.close()


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    """A running peer on loopback."""
    peer = Peer()
    await peer.start()
    yield peer
    await peer.stop()
