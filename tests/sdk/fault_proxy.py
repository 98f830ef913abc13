"""A proxy on loopback that acts out one fault of spec/faults between a client and a server."""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import urlsplit

from tests.faults import SUBMIT, Act, Fault


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came in; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


class FaultProxy:
    """One request on each connection; what is not broken passes byte by byte."""

    def __init__(self, target: str, fault: Fault, restart: Callable[[], Awaitable[None]]) -> None:
        self._target = urlsplit(target)
        self._fault = fault
        self._left = math.inf if fault.times == "always" else fault.times
        self._restart = restart
        self._restarting: list[asyncio.Task[None]] = []
        self._let_go = asyncio.Event()
        self.seen: list[Seen] = []
        self.url = ""

    def mend(self) -> None:
        """From now on everything passes."""
        self._left = 0

    def submits(self) -> list[Seen]:
        """The orders that came in."""
        return [seen for seen in self.seen if (seen.method, seen.path) == SUBMIT]

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        # Whoever hangs up, client or server, is part of the tests.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(header(head, "content-length") or 0))
            seen = _seen(head, body)
            self.seen.append(seen)
            if self._breaks(seen):
                answer = await self._whole(head, body) if self._fault.reaches_server else b""
                await self._act(self._fault.act, answer, writer)
            else:
                writer.write(await self._whole(head, body))
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.close()
            await writer.wait_closed()

    async def close(self) -> None:
        """Let go of whoever is kept waiting; a server that is being restarted is there again afterwards."""
        self._let_go.set()
        await asyncio.gather(*self._restarting)

    def _breaks(self, seen: Seen) -> bool:
        meets = self._fault.meets
        if self._left <= 0 or seen.method != meets.method or not seen.path.startswith(meets.path):
            return False
        self._left -= 1
        return True

    async def _act(self, act: Act, answer: bytes, writer: asyncio.StreamWriter) -> None:
        match act.kind:
            case "close":
                pass
            case "restart":
                self._restarting.append(asyncio.create_task(_awaited(self._restart())))
            case "answer":
                body = act.body.encode()
                headers = {**act.headers, "Content-Length": str(len(body)), "Connection": "close"}
                lines = [
                    f"HTTP/1.1 {act.status} Fault",
                    *(f"{name}: {text}" for name, text in headers.items()),
                ]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
            case "half":
                await self._half(act, answer, writer)
            case "pieces":
                await _pieces(act, answer, writer)
            case _:
                assert_never(act.kind)

    async def _half(self, act: Act, answer: bytes, writer: asyncio.StreamWriter) -> None:
        head, body = _parted(answer)
        first = body[: len(body) // 2]
        if act.then == "end":
            head = re.sub(rb"(?i)(content-length: )\d+", rb"\g<1>%d" % len(first), head)
        writer.write(head + first)
        await writer.drain()
        if act.then == "silence":
            await self._let_go.wait()
        if act.then == "reset":
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _whole(self, head: bytes, body: bytes) -> bytes:
        """The server's whole answer, as it came; OSError where nobody is there."""
        reader, writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        try:
            first, _, rest = head.partition(b"\r\n")
            kept = re.sub(rb"(?im)^(host|connection):.*\r\n", b"", rest)
            own = f"Host: {self._target.netloc}\r\nConnection: close\r\n".encode()
            writer.write(first + b"\r\n" + own + kept + body)
            answer = await reader.read()
        finally:
            writer.close()
        if not answer:
            raise ConnectionError("the server hung up")
        return answer


@contextlib.asynccontextmanager
async def fault_proxy(
    target: str, fault: Fault, restart: Callable[[], Awaitable[None]]
) -> AsyncIterator[FaultProxy]:
    """A proxy before the server at `target` for the block; `restart` is for the fault that wants it."""
    proxy = FaultProxy(target, fault, restart)
    listening = await asyncio.start_server(proxy.meet, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        await proxy.close()
        listening.close()
        await listening.wait_closed()


def header(head: bytes, name: str) -> str | None:
    """A header of a request or answer."""
    found = re.search(rf"(?im)^{name}: *(.*?)\r$", head.decode("latin-1"))
    return found[1] if found else None


def _seen(head: bytes, body: bytes) -> Seen:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines)
    return Seen(method, path, {name.lower(): text for name, text in pairs}, body, time.monotonic())


def _parted(answer: bytes) -> tuple[bytes, bytes]:
    head, blank, body = answer.partition(b"\r\n\r\n")
    return head + blank, body


async def _pieces(act: Act, answer: bytes, writer: asyncio.StreamWriter) -> None:
    head, body = _parted(answer)
    writer.write(head)
    size = math.ceil(len(body) / act.count)
    for start in range(0, len(body), size):
        if start:
            await asyncio.sleep(act.pause_seconds)
        writer.write(body[start : start + size])
        await writer.drain()


async def _awaited(work: Awaitable[None]) -> None:
    await work
