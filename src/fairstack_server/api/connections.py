"""The HTTP/1.1 of the server, with an end to its patience: heads, bodies and answers that do not move on.

Uvicorn waits for ever for a request to be complete, and keeps what came so far. Here a head has a size and a
time, a body a least speed, and an answer that nobody reads is given up. Refusals have the one shape of error.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fairstack_server.api import wire
from fairstack_server.errors import ErrorCode
from fairstack_server.ids import new_id

#: On every answer that has no headers of its own by these names. No CORS header is among them, on purpose:
#: a key in a web page is a key given away.
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, and for how much, one connection is waited for."""

    head_seconds: float = 20.0
    """From the first byte of a request, or from the connection, to the end of its headers."""
    head_bytes: int = 64 * 1024
    body_seconds: float = 30.0
    """Before the speed of a body counts."""
    body_bytes_a_second: int = 1024
    answer_seconds: float = 60.0
    """That an answer may wait for a client that reads nothing of it."""
    look_seconds: float = 1.0
    """Between two looks at the speed of a body."""


class PatientHttp(HttpToolsProtocol):
    """One connection. A subclass may set another `patience`."""

    patience = Patience()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a head from now on."""
        self._head_bytes = 0
        self._body_bytes = 0
        self._in_head = True
        self._waiting: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        self._take_reading()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what came of a head that is not complete, for it is all kept in memory."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.patience.head_bytes:
                self._refuse(431, "payload_too_large", "The headers are larger than this server takes.")
        else:
            self._body_bytes += len(data)

    def on_message_begin(self) -> None:
        """A request begins: its head has a time."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        """The head is there: its body has a least speed."""
        self._in_head = False
        self._body_bytes = 0
        self._stop_waiting()
        self._body_since = self.loop.time()
        self._waiting = self.loop.call_later(self.patience.look_seconds, self._look_at_body)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of the request is there."""
        self._stop_waiting()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client reads too slowly; after a while it is taken for gone."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self.patience.answer_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read something."""
        self._take_reading()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused in the one shape of error."""
        self._refuse(400, "validation_error", "This is not a request of HTTP/1.1 that can be read.")

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._waiting = self.loop.call_later(self.patience.head_seconds, self._too_slow)

    def _look_at_body(self) -> None:
        """Refuse a body that comes more slowly than it may; while we do not read, the client is not slow."""
        if self.flow.read_paused:
            self._body_since, self._body_bytes = self.loop.time(), 0
        due = (
            self.loop.time() - self._body_since - self.patience.body_seconds
        ) * self.patience.body_bytes_a_second
        if self._body_bytes < due:
            self._too_slow()
        else:
            self._waiting = self.loop.call_later(self.patience.look_seconds, self._look_at_body)

    def _too_slow(self) -> None:
        self._refuse(408, "validation_error", "The request did not arrive in time.")

    def _refuse(self, status: int, code: ErrorCode, message: str) -> None:
        """Say why, where no answer has begun, and close."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not begun:
            request_id = new_id("req")
            error = wire.ErrorBody(code=code, message=message, status=status, request_id=request_id)
            self.transport.write(_answer(status, msgspec.json.encode(wire.ErrorAnswer(error)), request_id))
        self.transport.close()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _take_reading(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None


def _answer(status: int, body: bytes, request_id: str) -> bytes:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", request_id.encode()),
        *HEADERS,
    ]
    return b"".join(
        [STATUS_LINE[status], *(name + b": " + value + b"\r\n" for name, value in headers), b"\r\n", body]
    )
