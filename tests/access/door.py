"""Stands between a gateway and its callers: counts the requests that arrive, and acts out planted faults."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_CASE = b"x-schemathesis-testcaseid"


@dataclass(frozen=True, slots=True)
class Fault:
    """A server that is wrong in one way, and the check that has to notice."""

    name: str
    check: str
    path: str
    """Where it is wrong; a regular expression of paths of the document."""
    phase: str = "coverage"


FAULTS: Sequence[Fault] = (
    Fault("a 500", "not_a_server_error", "^/v1/credits$"),
    Fault("a status that is not documented", "status_code_conformance", "^/v1/credits$"),
    Fault("HTML instead of JSON", "content_type_conformance", "^/v1/credits$"),
    Fault("a balance that is a text", "response_schema_conformance", "^/v1/credits$"),
    Fault("a request id that is none", "response_headers_conformance", "^/v1/credits$"),
    Fault("every body is taken", "negative_data_rejection", "^/v1/api-keys$"),
    Fault("no key is asked for", "ignored_auth", "^/v1/credits$"),
    Fault("requests without a key are answered", "missing_required_header", "^/v1/credits$"),
    Fault("every method is taken", "unsupported_method", "^/v1/credits$"),
    Fault("a method that is left out of Allow", "allow_header_conformance", "^/v1/api-keys$"),
    Fault("a deleted file is still given out", "use_after_free", "^/v1/files", "stateful"),
    Fault("an uploaded file is not there", "ensure_resource_availability", "^/v1/files", "stateful"),
)


@dataclass(slots=True)
class Door:
    """The app behind it, the key it lends when nobody needs one, and what it saw."""

    key: str = field(default="", repr=False)
    fault: Fault | None = None
    requests: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    """Requests by the test case that they say they belong to; "" for those that say none."""
    _files: dict[str, bytes] = field(default_factory=dict)

    def around(self, app: Any) -> Asgi:
        """The app as its callers see it."""

        async def through(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
            headers = dict(scope["headers"])
            self.requests += 1
            self.cases[headers.get(_CASE, b"").decode("latin-1")] += 1
            self._meddle_with_request(scope, headers)
            answer = _Answer()
            whole = self.fault is not None

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self.statuses[message["status"]] += 1
                if not whole:
                    await send(message)
                else:
                    answer.take(message)

            await app(scope, receive, told)
            if whole:
                self._meddle_with_answer(scope, answer)
                await answer.give(send)

        return through

    def _meddle_with_request(self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes]) -> None:
        without = b"authorization" not in headers
        name = None if self.fault is None else self.fault.name
        if name == "no key is asked for" or (name == "requests without a key are answered" and without):
            kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
            scope["headers"] = [*kept, (b"authorization", f"Bearer {self.key}".encode())]

    def _meddle_with_answer(self, scope: Mapping[str, Any], answer: _Answer) -> None:
        assert self.fault is not None
        method, path, good = scope["method"], scope["path"], answer.status in (200, 201)
        match self.fault.name:
            case "a deleted file is still given out" if method == "GET" and good:
                self._files[path] = answer.body
            case "a deleted file is still given out" if method == "GET" and path in self._files:
                answer.status, answer.body = 200, self._files[path]
            case "an uploaded file is not there" if method == "GET":
                answer.status = 404
            case "every body is taken" if method == "POST" and answer.status == 400:
                answer.status = 201
            case "every method is taken" if answer.status == 405:
                answer.status = 200
            case "a method that is left out of Allow" if b"allow" in answer.headers:
                answer.headers[b"allow"] = b"GET, OPTIONS"
            case name if good:
                _spoil(name, answer)


@dataclass(slots=True)
class _Answer:
    """An answer that is held back until it is whole."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""

    def take(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.lower(): value for name, value in message.get("headers", ())}
        else:
            self.body += message.get("body", b"")

    async def give(self, send: Send) -> None:
        self.headers.pop(b"content-length", None)
        if self.status != 204:
            self.headers[b"content-length"] = str(len(self.body)).encode()
        await send(
            {"type": "http.response.start", "status": self.status, "headers": list(self.headers.items())}
        )
        await send({"type": "http.response.body", "body": self.body})


def _spoil(name: str, answer: _Answer) -> None:
    """A good answer made wrong."""
    match name:
        case "a 500":
            answer.status = 500
        case "a status that is not documented":
            answer.status = 418
        case "HTML instead of JSON":
            answer.headers[b"content-type"] = b"text/html"
        case "a balance that is a text":
            answer.body = json.dumps({**json.loads(answer.body), "balance": "much"}).encode()
        case "a request id that is none":
            answer.headers[b"x-request-id"] = b"none"
        case _:
            pass
