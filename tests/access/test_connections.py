"""Connections that do not move on, or bring too much, are ended; the others do not notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from fairstack_server.api.connections import HEADERS, Patience, PatientHttp

GOOD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BIG = 64 * 1024 * 1024


class Hasty(PatientHttp):
    """Waits for hundredths of a second, so that a test need not."""

    patience = Patience(
        head_seconds=0.2, head_bytes=2000, body_seconds=0.1, body_bytes_a_second=1000,
        answer_seconds=0.2, look_seconds=0.05,
    )  # fmt: skip


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body and says how long it was; under /big it answers more than anybody reads."""
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    body = b"x" * BIG if scope["path"] == "/big" else str(length).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    """A server of that app with little patience."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=Hasty, lifespan="off", log_config=None, ws="none"))
    task = asyncio.create_task(server._serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    await task


async def exchange(port: int, *parts: bytes, pause: float = 0.0) -> bytes:
    """Send these parts with pauses between them, until the server has closed; what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = asyncio.create_task(reader.read())
    for part in parts:
        if answer.done():
            break
        writer.write(part)
        await asyncio.wait({answer}, timeout=pause)
    try:
        return await asyncio.wait_for(answer, 10)
    finally:
        writer.close()


def refusal(answer: bytes, status: int) -> dict[str, Any]:
    """The error of a refusal, which has every header and the one shape."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0].startswith(f"http/1.1 {status} ".encode()), answer
    assert {name + b": " + value.lower() for name, value in HEADERS} <= set(lines)
    assert b"connection: close" in lines
    error: dict[str, Any] = json.loads(body)["error"]
    assert error["status"] == status
    assert f"x-request-id: {error['request_id']}".lower().encode() in lines
    return error


async def test_an_honest_request_is_served(port: int) -> None:
    """Also in two halves, and with a body in pieces."""
    assert (await exchange(port, GOOD)).endswith(b"\r\n\r\n0")
    assert (await exchange(port, GOOD[:20], GOOD[20:], pause=0.02)).endswith(b"\r\n\r\n0")
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\nConnection: close\r\n\r\n"
    assert (await exchange(port, head, *[b"x" * 300] * 3, pause=0.1)).endswith(b"\r\n\r\n900")


@pytest.mark.parametrize("start", [b"", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_is_not_waited_for(port: int, start: bytes) -> None:
    """Nothing, or a head that trickles byte by byte, is a 408 when its time is over."""
    trickle = [start, *[b"a"] * 8] if start else [b""]
    assert "in time" in refusal(await exchange(port, *trickle, pause=0.05), 408)["message"]


async def test_a_body_that_trickles_is_not_waited_for(port: int) -> None:
    """A body that comes more slowly than it may is a 408."""
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    refusal(await exchange(port, head, *[b"x"] * 10, pause=0.05), 408)


async def test_a_second_request_has_its_own_time(port: int) -> None:
    """On a connection that is kept, the slow head of a later request is a 408 as well."""
    kept = GOOD.replace(b"Connection: close\r\n", b"")
    answer = await exchange(port, kept, b"GET /", *[b"a"] * 8, pause=0.05)
    first, _, second = answer.partition(b"\r\n\r\n0")
    assert first.startswith(b"HTTP/1.1 200")
    refusal(second, 408)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: 1\r\n" * 400,
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 4000,
        b"GET /" + b"x" * 4000,
    ],
    ids=["many", "long", "url"],
)
async def test_a_head_without_end_is_refused(port: int, head: bytes) -> None:
    """Many headers, one long header or a long URL: 431, before they are whole."""
    assert refusal(await exchange(port, head), 431)["code"] == "payload_too_large"


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00", b"nonsense\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http_is_refused_in_the_one_shape(port: int, sent: bytes) -> None:
    """TLS on the plain port, nonsense, a protocol of the future: 400, as every other error is told."""
    assert refusal(await exchange(port, sent), 400)["code"] == "validation_error"


async def test_an_answer_that_nobody_reads_is_given_up(port: int) -> None:
    """A client that asks for much and reads nothing is cut off, and its memory is free."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n")
    transport = writer.transport
    assert isinstance(transport, asyncio.ReadTransport)
    transport.pause_reading()
    await asyncio.sleep(0.6)
    transport.resume_reading()
    received = 0
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(1 << 20), 10):
            received += len(piece)
    assert received < BIG
    writer.close()
