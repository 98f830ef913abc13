"""A server on loopback whose every path is another way of misbehaving: lengths, chunks, pace, headers."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from tests.media.conftest import encoded
from tests.media.hostile import gzip_bomb, photo

Play = Callable[[asyncio.StreamWriter], AsyncIterator[bytes]]
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"
_BLOCK = bytes(256 * 1024)


@dataclass(frozen=True, slots=True)
class RunningPeer:
    """A server in a process of its own."""

    origin: str
    ways: dict[str, str]
    """The URL of each way to misbehave, by its name."""

    @property
    def honest(self) -> str:
        """The URL of a picture that is served as it should be."""
        return f"{self.origin}/{len(self.ways)}"


@contextlib.asynccontextmanager
async def running_peer() -> AsyncIterator[RunningPeer]:
    """A running one; what it holds in memory is not the memory of whoever is attacked."""
    command = [sys.executable, "-m", "tests.media.hostile_peers"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        origin = f"http://127.0.0.1:{port}"
        yield RunningPeer(origin, {way: f"{origin}/{number}" for number, way in enumerate(_ways())})
    finally:
        process.kill()
        await process.wait()


async def _serve_for_ever() -> None:
    picture = encoded(photo(350, 240), "PNG")
    ways = [*_ways().values(), _once(_headers(f"Content-Length: {len(picture)}"), picture)]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Who is attacked leaves early; that is the point.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            async for piece in ways[int(path.strip("/"))](writer):
                writer.write(piece)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def _once(*pieces: bytes) -> Play:
    async def play(_: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return play


def _endless(head: bytes, again: bytes) -> Play:
    async def play(writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        yield head
        while not writer.is_closing():
            yield again

    return play


def _slow(head: bytes, body: bytes) -> Play:
    """`head` at once, then a byte a second."""

    async def play(writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
        yield head
        for byte in body:
            if writer.is_closing():
                return
            yield bytes([byte])
            await asyncio.sleep(1)

    return play


def _headers(*lines: str) -> bytes:
    return _OK + "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def _ways() -> dict[str, Play]:
    picture = encoded(photo(64, 48), "PNG")
    packed = gzip_bomb(64 << 20)
    chunked = "Transfer-Encoding: chunked"
    length = f"Content-Length: {len(picture)}"
    ways = {
        "length too small": _once(_headers("Content-Length: 100"), picture),
        "length too large": _once(_headers(f"Content-Length: {len(picture) + 100}"), picture),
        "length of 2^63": _once(_headers("Content-Length: 9223372036854775808"), picture),
        "length of 10^400": _once(_headers("Content-Length: " + "9" * 400), picture),
        "length twice, different": _once(_headers(length, "Content-Length: 10"), picture),
        "length negative": _once(_headers("Content-Length: -1"), picture),
        "length with a plus": _once(_headers(f"Content-Length: +{len(picture)}"), picture),
        "length in words": _once(_headers("Content-Length: ten"), picture),
        "length and chunks": _once(_headers(length, chunked), b"5\r\nhello\r\n0\r\n\r\n"),
        "chunks without end": _endless(_headers(chunked), b"40000\r\n" + _BLOCK + b"\r\n"),
        "tiny chunks without end": _endless(_headers(chunked), b"1\r\nx\r\n" * 9000),
        "a chunk of 2^64-1": _endless(_headers(chunked) + b"f" * 16 + b"\r\n", _BLOCK),
        "a chunk of -1": _once(_headers(chunked), b"-1\r\nx\r\n0\r\n\r\n"),
        "a chunk whose size has no end": _endless(_headers(chunked), b"0" * 9000),
        "an extension without end": _endless(_headers(chunked) + b"1;", b"x" * 9000),
        "trailers without end": _endless(_headers(chunked) + b"0\r\n", b"X: y\r\n" * 900),
        "a body without end": _endless(_OK + b"\r\n", _BLOCK),
        "one byte a second": _slow(_headers(length), picture),
        "headers a byte a second": _slow(b"", _OK * 20),
        "silence": _slow(b"", b""),
        "10,000 headers": _once(_headers(*(f"X-{number}: y" for number in range(10_000)), length), picture),
        "a header of 10 MB": _once(_headers("X: " + "y" * 10_000_000, length), picture),
        "headers without end": _endless(_OK, b"X: y\r\n" * 900),
        "a status line without end": _endless(b"HTTP/1.1 200 ", b"O" * 9000),
        "interim answers without end": _endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 90),
        "another protocol": _once(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        "an answer of HTTP/0.9": _once(picture),
        "nothing": _once(b""),
    }
    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip", "identity, gzip"):
        head = _headers(f"Content-Encoding: {coding}", f"Content-Length: {len(packed)}")
        ways[f"64 MB packed as {coding}"] = _once(head, packed)
    for to in (
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:image/png;base64,AAAA",
        "//[::1]:1/",
        "gopher://x",
    ):
        ways[f"a redirect to {to}"] = _once(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\n\r\n".encode())
    here = len(ways)
    ways["a redirect to itself"] = _once(f"HTTP/1.1 307 X\r\nLocation: /{here}\r\n\r\n".encode())
    return ways


if __name__ == "__main__":
    asyncio.run(_serve_for_ever())
