"""A proxy on loopback that loses requests and answers, whole or in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import socket
import struct
from collections.abc import AsyncIterator

_CHUNK = 64 * 1024


class Loss(enum.Enum):
    """Where a connection is cut."""

    NONE = "nothing is lost"
    REQUEST = "the request never arrives"
    ANSWER = "the answer is lost whole"
    MIDDLE = "half of the answer arrives"
    CALLER = "the caller is gone before there is an answer"


class DroppingProxy:
    """Forwards to a port, one request a connection; `loss` says what becomes of the next ones."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.loss = Loss.NONE
        self.base_url = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loss, request = self.loss, await _whole_message(reader)
        if loss is not Loss.REQUEST:
            await self._forward(request, writer, loss)
        _reset(writer) if loss is not Loss.NONE else writer.close()

    async def _forward(self, request: bytes, writer: asyncio.StreamWriter, loss: Loss) -> None:
        answers, sends = await asyncio.open_connection("127.0.0.1", self._port)
        sends.write(request)
        await sends.drain()
        if loss is not Loss.CALLER:
            answer = await _whole_message(answers)
            kept = {Loss.ANSWER: 0, Loss.MIDDLE: len(answer) // 2}.get(loss, len(answer))
            writer.write(answer[:kept])
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        sends.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[DroppingProxy]:
        """Listen for the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self


async def _whole_message(reader: asyncio.StreamReader) -> bytes:
    """Head and body of one HTTP message that says its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST, as a connection that broke does."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()
