"""The HTTP calls of providers: one request, one answer, and exact knowledge of what a broken call means.

Nothing here follows a redirect, retries, or leaves the provider's configured origin. A submit goes over a
fresh connection, because on a kept one the peer's closing cannot be told from the peer's taking the order.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
import msgspec
import structlog
from yarl import URL

from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import Fault, ProviderError
from fairstack_server.providers.plain_text import plain

log = structlog.get_logger("fairstack.providers")

MAX_ANSWER_BYTES = 4 * 1024 * 1024
TIMEOUT_SECONDS = 60.0
CONNECT_SECONDS = 10.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0
CALLS_AT_ONCE = 100
USER_AGENT = "fairstack"

#: The statuses with which a vendor says that it made nothing of the request, provided that the vendor itself
#: says so (a JSON object): a page of some proxy on the way may hide a task that exists.
REFUSAL_STATUSES = frozenset({400, 401, 402, 403, 404, 405, 410, 413, 415, 422, 429})
#: Redirects that promise that the request was not performed. 302 and 303 may follow a performed POST.
UNPERFORMED_REDIRECTS = frozenset({301, 307, 308})

#: What a call does that sends an order. Said to `ProviderHttp.broken`: a 404 means that the route is gone.
SUBMIT = "a submit"

#: Raised by aiohttp before the first byte of a request is written: no name, connection or TLS (in time).
_BEFORE_SENDING = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
    aiohttp.InvalidURL,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer: header names in lower case, at most the agreed number of body bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json_object(self) -> JSONObject | None:
        """The body as a JSON object; None when it is anything else."""
        try:
            value: JSON = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return value if isinstance(value, dict) else None

    @property
    def ok(self) -> bool:
        """The status is 2xx."""
        return 200 <= self.status < 300

    @property
    def is_refusal(self) -> bool:
        """The vendor says for certain that no task came of this request."""
        return self.status in REFUSAL_STATUSES and self.json_object() is not None

    def retry_after_seconds(self) -> float | None:
        """`Retry-After` in seconds, at most an hour; None when it is missing or not a number."""
        try:
            seconds = float(self.headers.get("retry-after", ""))
        except ValueError:
            return None
        return min(seconds, LONGEST_RETRY_AFTER_SECONDS) if seconds >= 0 else None


@dataclass(frozen=True, slots=True)
class Part:
    """A file in a multipart form, sent from memory."""

    content: bytes = field(repr=False)
    content_type: str
    filename: str


#: Gives the credentials of the next call. Raises ProviderError (not sent) when there are none to be had.
Authorize = Callable[[], Awaitable[Mapping[str, str]]]
#: Sees every piece of an answer's body and gives back what of it stays in memory.
Sift = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Sessions:
    """The two aiohttp sessions that all providers share."""

    reads: aiohttp.ClientSession
    """For calls that are safe to repeat; keeps connections."""
    submits: aiohttp.ClientSession
    """For calls that are not; every one opens a connection of its own."""


@asynccontextmanager
async def provider_sessions() -> AsyncIterator[Sessions]:
    """Open the sessions for as long as the block runs; no cookies, and nothing read from the environment."""
    # Without limits of their own: waiting for a place must not count as failing to connect (CALLS_AT_ONCE).
    reading = aiohttp.TCPConnector(limit=0)
    submitting = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        aiohttp.ClientSession(connector=reading, cookie_jar=aiohttp.DummyCookieJar()) as reads,
        aiohttp.ClientSession(connector=submitting, cookie_jar=aiohttp.DummyCookieJar()) as submits,
    ):
        yield Sessions(reads, submits)


class ProviderHttp:
    """Calls of one provider to one base address, with its credentials.

    Every method sends at most once and gives any whole answer back, whatever its status. When no whole answer
    came it raises ProviderError, whose `sent` is False only if not one byte of the request can have left.
    """

    def __init__(
        self,
        name: str,
        sessions: Sessions,
        base_url: str,
        *,
        headers: Mapping[str, str] | None = None,
        public_headers: Mapping[str, str] | None = None,
        authorize: Authorize | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        calls_at_once: int = CALLS_AT_ONCE,
    ) -> None:
        """`headers` hold credentials, `public_headers` none; `authorize` gives those that change by call."""
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._base = URL(self.base_url)
        if self._base.scheme not in ("http", "https") or not self._base.host:
            raise ValueError(f"{name}: {self.base_url!r} is no http(s) address")
        self._sessions = sessions
        credentials = dict(headers or {})
        self._secrets = _secrets_of(credentials)
        self._fresh_secrets: tuple[str, ...] = ()
        self._authorize = authorize
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": USER_AGENT,
            **(public_headers or {}),
            **credentials,
        }
        if any(not value.isascii() or not value.isprintable() for value in self._headers.values()):
            raise ValueError(f"{name}: its key holds a character that no HTTP header can carry")
        self._timeout_seconds = timeout_seconds
        # Well inside the total, so that running out of time while connecting is always told apart.
        connect_seconds = min(CONNECT_SECONDS, timeout_seconds / 2)
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=connect_seconds, sock_connect=connect_seconds
        )
        self._max_answer_bytes = max_answer_bytes
        # Apart from each other, so that status calls that hang hold up no submit.
        self._read_places = asyncio.Semaphore(calls_at_once)
        self._submit_places = asyncio.Semaphore(calls_at_once)

    def __repr__(self) -> str:
        return f"<ProviderHttp {self.name} {self._base.origin()}>"

    def is_ours(self, url: str) -> bool:
        """Whether this absolute URL is on the configured origin (same scheme, host and port)."""
        try:
            return URL(url).origin() == self._base.origin()
        except ValueError:
            return False

    async def get(
        self,
        target: str,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Read. `target` is a path under the base address, or an absolute URL on the same origin.

        `headers`, here and below, are those of this one call; no credentials.
        """
        return await self._call("GET", target, query, headers=headers)

    async def put(self, target: str) -> Answer:
        """PUT with no body; only for what is safe to repeat."""
        return await self._call("PUT", target, None)

    async def delete(self, target: str) -> Answer:
        """DELETE; only for what is safe to repeat."""
        return await self._call("DELETE", target, None)

    async def post(self, target: str) -> Answer:
        """POST with no body; only for what is safe to repeat (a cancel)."""
        return await self._call("POST", target, None)

    async def ask_json(self, target: str, body: JSONObject, sift: Sift | None = None) -> Answer:
        """POST this object where that only reads: safe to repeat, over a kept connection."""
        return await self._call("POST", target, None, _json_payload(body), sift=sift)

    async def ask_form(self, target: str, fields: Mapping[str, str]) -> Answer:
        """POST these fields, URL-encoded, where that may be repeated: over a kept connection."""
        return await self._call("POST", target, None, aiohttp.FormData(dict(fields)))

    async def post_json(
        self,
        target: str,
        body: JSONObject,
        query: Mapping[str, str] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        sift: Sift | None = None,
    ) -> Answer:
        """Send this object once, over a fresh connection."""
        payload = _json_payload(body)
        return await self._call("POST", target, query, payload, submits=True, headers=headers, sift=sift)

    async def post_multipart(
        self, target: str, fields: Mapping[str, str | Part], *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send this form once, over a fresh connection."""
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields.items():
            if isinstance(value, Part):
                content = io.BytesIO(value.content)
                form.add_field(name, content, content_type=value.content_type, filename=value.filename)
            else:
                form.add_field(name, value)
        return await self._call("POST", target, None, form, submits=True, headers=headers)

    def broken(self, answer: Answer, doing: str) -> ProviderError:
        """What an answer means that is neither a success nor something the vendor's own rules explain."""
        said = f"{self.name}: {doing} was answered with HTTP {answer.status}"
        match answer.status:
            case 401 | 403 if answer.is_refusal:
                return self._error(
                    f"{said}: our key is not accepted; check its setting", False, True, Fault.KEY
                )
            case 402 if answer.is_refusal:
                return self._error(f"{said}: our account there has no credit", False, True, Fault.CREDIT)
            case 404 | 410 if answer.is_refusal and doing == SUBMIT:
                return self._error(f"{said}: it does not have that", False, True, Fault.ROUTE)
            case _ if answer.is_refusal:
                return self._error(said, False, True)
            case status if status in UNPERFORMED_REDIRECTS:
                return self._error(f"{said}: redirects are not followed; check its address", False, True)
            case _:
                return self._error(said, True, False, Fault.PROVIDER)

    def malformed(self, doing: str) -> ProviderError:
        """A success whose body is not what the vendor's protocol promises; the task may well exist."""
        return self._error(f"{self.name}: the answer to {doing} cannot be read", True, False, Fault.PROVIDER)

    def plain(self, text: str) -> str:
        """A vendor's words made safe to show: no markup, no key of ours, at most 300 characters."""
        return plain(text, hide=self._secrets + self._fresh_secrets)

    async def _call(
        self,
        method: str,
        target: str,
        query: Mapping[str, str] | None,
        data: aiohttp.BytesIOPayload | aiohttp.FormData | None = None,
        *,
        submits: bool = False,
        sift: Sift | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        url = self._url(target, query)
        headers = {**(headers or {}), **await self._signed_headers()}
        session = self._sessions.submits if submits else self._sessions.reads
        try:
            async with self._submit_places if submits else self._read_places:
                began = time.monotonic()
                async with asyncio.timeout(self._timeout_seconds):
                    answer = await self._exchange(session, method, url, headers, data, sift)
        except _BEFORE_SENDING as error:
            said = f"{self.name}: no connection ({type(error).__name__})"
            raise self._error(said, False, False, Fault.PROVIDER) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            what = f"no whole answer to {method} ({type(error).__name__})"
            raise self._error(f"{self.name}: {what}", True, False, Fault.PROVIDER) from None
        log.debug(
            "provider.called",
            provider=self.name,
            method=method,
            status=answer.status,
            seconds=round(time.monotonic() - began, 3),
        )
        return answer

    async def _exchange(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        headers: Mapping[str, str],
        data: aiohttp.BytesIOPayload | aiohttp.FormData | None,
        sift: Sift | None,
    ) -> Answer:
        async with session.request(
            method,
            url,
            data=data,
            headers=headers,
            skip_auto_headers=() if data is not None else ("Content-Type",),
            allow_redirects=False,
            timeout=self._timeout,
        ) as response:
            body = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                body += chunk if sift is None else sift(chunk)
                if len(body) > self._max_answer_bytes:
                    raise self._error(
                        f"{self.name}: the answer is larger than {self._max_answer_bytes} bytes", True, False
                    )
            told = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, told, bytes(body))

    async def _signed_headers(self) -> Mapping[str, str]:
        if self._authorize is None:
            return self._headers
        credentials = await self._authorize()
        self._fresh_secrets = _secrets_of(credentials)
        return {**self._headers, **credentials}

    def _url(self, target: str, query: Mapping[str, str] | None) -> URL:
        absolute = self.base_url + target if target.startswith("/") else target
        if not self.is_ours(absolute):
            raise self._error(f"{self.name}: refused to call an address that is not its own", False, True)
        # Encoded here, not by yarl, so that the bytes of a query are those of the vendors' own clients.
        return URL(f"{absolute}?{urlencode(query)}" if query else absolute, encoded=True)

    @staticmethod
    def _error(message: str, sent: bool, permanent: bool, fault: Fault = Fault.CALL) -> ProviderError:
        return ProviderError(message, sent=sent, permanent=permanent, fault=fault)


def _json_payload(body: JSONObject) -> aiohttp.BytesIOPayload:
    # A stream is written piece by piece: a clip inside the order in one block would hold the event loop.
    return aiohttp.BytesIOPayload(
        io.BytesIO(msgspec.json.encode(body)), content_type="application/json", disposition=None
    )


def _secrets_of(credentials: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(value.split()[-1] for value in credentials.values() if value.strip())
