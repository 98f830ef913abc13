"""The strict FairStack on loopback, over HTTP, breaking on demand."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.sdk.clocks import FakeClock
from tests.sdk.fake_fairstack import Asked, Books, FakeFairStack, Fault, Refusal, as_json


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        books = self.server.fake.books
        query = dict(parse_qsl(parts.query))
        body = self.rfile.read(length)
        asked = Asked(self.command, parts.path, query, headers, body, books.clock.now())
        books.asked.append(asked)
        fault = books.fault_for(asked.path)
        if asked.path.startswith("/media/"):
            self._media(fault)
        elif asked.path.endswith("/events") and fault is None:
            self._events(asked)
        else:
            self._api(asked, fault)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def _api(self, asked: Asked, fault: Fault | None) -> None:
        if fault is not None and self._instead(fault):
            return
        try:
            status, body, headers = self.server.fake.answer(asked)
        except Refusal as refusal:
            status, body, headers = refusal.status, as_json({"error": refusal.body}), {}
        match fault:
            case "drop_after":
                self._hang_up()
            case "reset":
                self._start(status, len(body), "application/json", headers)
                self.wfile.write(body[: len(body) // 2])
                self._hang_up(reset=True)
            case "cut_body":
                self._start(status, len(body), "application/json", headers)
                self.wfile.write(body[: len(body) // 2])
                self._hang_up()
            case "truncated_json":
                self._reply(status, body[: len(body) // 2], "application/json", headers)
            case _:
                self._reply(status, body, "application/json", headers)

    def _instead(self, fault: Fault) -> bool:
        """Answer with the fault, the request not done; False if the fault comes after the deed."""
        refusals: dict[str, tuple[int, str, dict[str, str]]] = {
            "429": (429, "rate_limited", {"Retry-After": "3"}),
            "408": (408, "internal_error", {}),
            "500": (500, "internal_error", {}),
            "503": (503, "provider_unavailable", {}),
            "in_flight": (409, "idempotency_in_flight", {}),
        }
        match fault:
            case "drop_before":
                self._hang_up()
            case "no_answer":
                self.server.let_go.wait(10)
                self._hang_up()
            case "502_page":
                self._reply(502, b"<html><h1>502 Bad Gateway</h1></html>", "text/html", {})
            case "200_page":
                self._reply(200, b"<html>Welcome!</html>", "text/html", {})
            case "302":
                self._reply(302, b"", "text/html", {"Location": "https://elsewhere.example/"})
            case _ if fault in refusals:
                status, code, headers = refusals[fault]
                error = {"code": code, "message": "Not now.", "status": status, "request_id": "req_fake"}
                self._reply(status, as_json({"error": error}), "application/json", headers)
            case _:
                return False
        return True

    def _media(self, fault: Fault | None) -> None:
        clip = self.server.fake.books.clip
        if fault is not None and self._instead(fault):
            return
        if fault == "cut_body":
            self._start(200, len(clip), "video/mp4", {})
            self.wfile.write(clip[: len(clip) // 2])
            self._hang_up()
        else:
            self._reply(200, clip, "video/mp4", {})

    def _events(self, asked: Asked) -> None:
        """Five events; with cuts ordered, the stream breaks after two of them each time."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        start = int(asked.headers.get("last-event-id", 0))
        books = self.server.fake.books
        for number in range(start + 1, 6):
            data = (
                {"status": "completed"} if number == 5 else {"status": "processing", "progress": number / 5}
            )
            event = "status" if number == 5 else "progress"
            text = f": keep-alive\nid: {number}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
            self.wfile.write(text.encode())
            if books.event_cuts and number == start + 2:
                books.event_cuts -= 1
                # Half an event is lost with the stream.
                self.wfile.write(f"id: {number + 1}\nevent: progress\n".encode())
                break
        self._hang_up()

    def _start(self, status: int, length: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("X-Request-Id", "req_fake")
        if status != 204:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _reply(self, status: int, body: bytes, kind: str, headers: Mapping[str, str]) -> None:
        self._start(status, len(body), kind, headers)
        self.wfile.write(body)

    def _hang_up(self, *, reset: bool = False) -> None:
        self.close_connection = True
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, fake: FakeFairStack) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake
        self.let_go = threading.Event()
        fake.base_url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def fake_server(clock: FakeClock) -> Iterator[FakeFairStack]:
    """A running server; stopped at the end."""
    fake = FakeFairStack(Books(clock))
    with _Server(fake) as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01), daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            server.let_go.set()
            server.shutdown()
            thread.join()
