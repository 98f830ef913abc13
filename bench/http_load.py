"""The load generator, a process of its own: keep-alive connections on raw asyncio sockets, closed loop.

Each line on stdin is one round (`Round` as JSON); one line on stdout answers it (`Tally`). A client sends its
next request when its last one is answered, so a round with N clients has N requests in flight.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import cast

import msgspec
import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_GRACE_SECONDS = 10.0


class Round(msgspec.Struct):
    """Which requests to send, from how many clients, for how long."""

    port: int
    requests: list[str]
    clients: int
    seconds: float
    warm_up_seconds: float = 0.2


class Tally(msgspec.Struct):
    """What came back within the measured time: milliseconds of each answer, and how many of each status."""

    seconds: float
    latencies_ms: list[float]
    statuses: dict[int, int]


class _Window:
    """When answers count, and the answers that did."""

    def __init__(self, warm_up_seconds: float, seconds: float) -> None:
        self.start = time.perf_counter() + warm_up_seconds
        self.end = self.start + seconds
        self.latencies_ms: list[float] = []
        self.statuses: Counter[int] = Counter()

    def count(self, sent: float, answered: float, status: int) -> None:
        if self.start <= answered <= self.end:
            self.latencies_ms.append((answered - sent) * 1000)
            self.statuses[status] += 1


class _Client(asyncio.Protocol):
    """One connection: sends, reads one answer whole, sends the next, until the window closes."""

    def __init__(self, requests: Iterator[bytes], window: _Window) -> None:
        self._requests = requests
        self._window = window
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._sent = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head)
        if length is None:
            self._fail(RuntimeError("an answer without Content-Length"))
            return
        if len(self._buffer) < head + 4 + int(length[1]):
            return
        self._window.count(self._sent, time.perf_counter(), int(self._buffer[9:12]))
        self._buffer.clear()
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or RuntimeError("the server closed the connection"))

    def _send(self) -> None:
        assert self._transport is not None
        self._sent = time.perf_counter()
        if self._sent >= self._window.end:
            if not self.done.done():
                self.done.set_result(None)
            self._transport.close()
            return
        self._transport.write(next(self._requests))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


async def run(told: Round) -> Tally:
    """Carry out one round. Raises what broke a connection."""
    window = _Window(told.warm_up_seconds, told.seconds)
    requests = itertools.cycle([request.encode() for request in told.requests])
    loop = asyncio.get_running_loop()
    clients: list[_Client] = []
    for _ in range(told.clients):
        _, client = await loop.create_connection(lambda: _Client(requests, window), "127.0.0.1", told.port)
        clients.append(client)
    async with asyncio.timeout(told.warm_up_seconds + told.seconds + _GRACE_SECONDS):
        await asyncio.gather(*(client.done for client in clients))
    return Tally(told.seconds, window.latencies_ms, dict(window.statuses))


def main() -> None:
    """Answer rounds until stdin ends."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for line in sys.stdin.buffer:
            tally = runner.run(run(msgspec.json.decode(line, type=Round)))
            sys.stdout.buffer.write(msgspec.json.encode(tally) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
