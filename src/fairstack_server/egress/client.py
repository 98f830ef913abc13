"""The only way out to addresses that came from a user or a provider."""

from __future__ import annotations

import asyncio
import enum
import math
import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urljoin

import aiohttp
import yarl

from fairstack_server.egress.address import judge_addresses
from fairstack_server.egress.connect import guarded_connector
from fairstack_server.egress.errors import AddressRefused, TransferFailed
from fairstack_server.egress.resolve import Resolver, SystemResolver
from fairstack_server.egress.transfer import MAX_HEADERS, Pace, Transfer, check_headers
from fairstack_server.egress.url import MAX_URL_CHARACTERS, Target, judge_url, origin_of, refuse_bad_bytes
from fairstack_server.settings import SettingsError

USER_AGENT = "FairStack/1 (+media fetch)"
MAX_REDIRECTS = 3
MAX_ANSWER_BYTES = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_FIELD_BYTES = 8190
_UNCAPPED = 2**63


class Purpose(enum.Enum):
    """Why a connection is opened; decides which schemes are fine."""

    IMAGE = "image"
    RESULT = "result"
    WEBHOOK = "webhook"
    MODERATION = "moderation"

    @property
    def https_only(self) -> bool:
        """Media comes by https; what is signed may be taken by http, if its owner wants that."""
        return self not in (Purpose.WEBHOOK, Purpose.MODERATION)

    @property
    def max_url_characters(self) -> int:
        """Signed URLs of clips carry whole tokens; what a user types is never that long."""
        return 8000 if self is Purpose.RESULT else MAX_URL_CHARACTERS

    @property
    def answer_seconds(self) -> float:
        """From the look-up to the answer's headers; stores of clips may have to fetch from cold.

        Who judges a clip has looked at all of it before the first word; the operator's own limit counts.
        """
        if self is Purpose.MODERATION:
            return math.inf
        return 30.0 if self is Purpose.RESULT else 10.0


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    purpose: Purpose
    headers: Mapping[str, str] | None
    body: bytes | None
    trusted: frozenset[str]
    deadline: float


@dataclass(frozen=True, slots=True)
class PostAnswer:
    """What a webhook receiver said: status, headers in lower case, the first 64 KiB of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Egress:
    """Fetches from and posts to foreign addresses: each judged, resolved once, pinned, limited.

    `trusted_origins` maps a provider to the origins that the operator configured for it, `webhook_allow`
    holds `host:port` of development receivers. Only these may be private. Raises SettingsError for an entry
    that is malformed.
    """

    def __init__(
        self,
        *,
        resolver: Resolver | None = None,
        trusted_origins: Mapping[str, Iterable[str]] | None = None,
        webhook_allow: Iterable[str] = (),
        ssl_context: ssl.SSLContext | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._resolver = resolver or SystemResolver()
        self._trusted = {
            provider: frozenset(_configured_origin(f"Address of {provider}", origin) for origin in origins)
            for provider, origins in (trusted_origins or {}).items()
        }
        self._webhook_origins = frozenset(_webhook_origins(webhook_allow))
        self._ssl: ssl.SSLContext | bool = ssl_context or True
        self._pace = pace or Pace()

    def trusted(self, provider: str) -> frozenset[str]:
        """The origins that the operator configured for this provider; empty for an unknown one."""
        return self._trusted.get(provider, frozenset())

    async def check_webhook(self, url: str) -> None:
        """Raises AddressRefused when this webhook may not be called; a name not known yet passes."""
        target = self._judge(url, Purpose.WEBHOOK, self._webhook_origins)
        if target.address is None and not target.trusted:
            await self._check_name(target.host)

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float = 15.0,
        purpose: Purpose = Purpose.WEBHOOK,
        trusted: frozenset[str] | None = None,
    ) -> PostAnswer:
        """POST a webhook once, without a retry and without following a redirect.

        `trusted`: origins that may be private instead of those of development receivers.
        An answer whose body breaks off is still an answer: the status has been said, the body is cut.
        Raises AddressRefused when the URL or its address may not be called, TransferFailed without an answer.
        """
        trusted = self._webhook_origins if trusted is None else trusted
        target = self._judge(url, purpose, trusted)
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        request = _Request("POST", purpose, headers, body, trusted, deadline)
        async with self._exchange(target, request) as response:
            transfer = Transfer(response, target, max_bytes=_UNCAPPED, pace=self._pace, deadline=deadline)
            answer = await transfer.read_up_to(MAX_ANSWER_BYTES)
            return PostAnswer(transfer.status, transfer.headers, answer)

    @asynccontextmanager
    async def get(
        self,
        url: str,
        *,
        purpose: Purpose,
        max_bytes: int,
        timeout_seconds: float,
        headers: Mapping[str, str] | None = None,
        max_redirects: int = MAX_REDIRECTS,
        trusted: frozenset[str] = frozenset(),
    ) -> AsyncIterator[Transfer]:
        """GET a URL and stream its body; every redirect passes the whole guard anew.

        `headers` go to the exact origin of `url` and nowhere else. Any final status is given as it came.
        Raises AddressRefused and TransferFailed, also while the body is read.
        """
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        first = target = self._judge(url, purpose, trusted)
        for _ in range(max_redirects + 1):
            own = headers if target.origin == first.origin else None
            request = _Request("GET", purpose, own, None, trusted, deadline)
            async with self._exchange(target, request) as response:
                if response.status not in _REDIRECTS:
                    check_headers(response, max_bytes)
                    yield Transfer(response, target, max_bytes=max_bytes, pace=self._pace, deadline=deadline)
                    return
                location = next_url(target, response, purpose.max_url_characters)
                target = self._judge(location, purpose, trusted, after=target)
        raise TransferFailed("redirect", f"more than {max_redirects} redirects")

    async def aclose(self) -> None:
        """Let go of the resolver's threads."""
        if isinstance(self._resolver, SystemResolver):
            self._resolver.close()

    @staticmethod
    def _judge(url: str, purpose: Purpose, trusted: frozenset[str], after: Target | None = None) -> Target:
        target = judge_url(
            url, trusted=trusted, https_only=purpose.https_only, max_characters=purpose.max_url_characters
        )
        if after is not None and after.scheme == "https" and target.scheme != "https":
            raise AddressRefused("redirect from https to http")
        return target

    async def _check_name(self, host: str) -> None:
        try:
            async with asyncio.timeout(self._pace.resolve_seconds):
                answers = await self._resolver.resolve(host)
        except OSError:
            return  # unknown or slow: the name may come to life later
        if answers:
            judge_addresses(host, answers)

    @asynccontextmanager
    async def _exchange(self, target: Target, request: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        # One connector for one exchange: what was approved for one URL is never there for another.
        connector = guarded_connector(
            self._resolver,
            request.trusted & {target.origin},
            resolve_seconds=self._pace.resolve_seconds,
            ssl_context=self._ssl,
        )
        async with (
            aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._pace.connect_seconds),
                max_line_size=_MAX_FIELD_BYTES,
                max_field_size=_MAX_FIELD_BYTES,
                max_headers=MAX_HEADERS,
            ) as session,
            await _send(session, target, request) as response,
        ):
            yield response


async def _send(session: aiohttp.ClientSession, target: Target, request: _Request) -> aiohttp.ClientResponse:
    own = request.headers or {}
    headers = {"User-Agent": USER_AGENT, "Accept": "*/*", **own, "Accept-Encoding": "identity"}
    answer_at = asyncio.get_running_loop().time() + request.purpose.answer_seconds
    try:
        async with asyncio.timeout_at(min(request.deadline, answer_at)):
            return await session.request(
                request.method,
                yarl.URL(target.url, encoded=True),
                headers=headers,
                data=request.body,
                allow_redirects=False,
            )
    except (TimeoutError, aiohttp.ServerTimeoutError):
        raise TransferFailed("timeout", "no answer in time") from None
    except aiohttp.ClientError as error:
        raise _named_failure(error) from error


def next_url(target: Target, response: aiohttp.ClientResponse, max_characters: int) -> str:
    """Where an answer redirects to, as an absolute URL that is still to be judged.

    Raises TransferFailed when `Location` is missing or given twice, AddressRefused when it is malformed.
    """
    locations = response.headers.getall("Location", [])
    if len(locations) != 1 or not locations[0]:
        raise TransferFailed("redirect", f"status {response.status} without exactly one Location")
    # Joining drops tabs and line ends without a word, so they are refused before.
    refuse_bad_bytes(locations[0], max_characters)
    try:
        return urljoin(target.url, locations[0])
    except ValueError:
        raise AddressRefused("Location is malformed") from None


def _webhook_origins(ends: Iterable[str]) -> Iterator[str]:
    for end in ends:
        if not end.rpartition(":")[2].isdigit():
            raise SettingsError(
                f"FAIRSTACK_WEBHOOK_ALLOW holds {end!r}: write host:port, such as 127.0.0.1:9000"
            )
        for scheme in ("http", "https"):
            yield _configured_origin("FAIRSTACK_WEBHOOK_ALLOW", f"{scheme}://{end}")


def _configured_origin(setting: str, url: str) -> str:
    try:
        return origin_of(url)
    except AddressRefused as refusal:
        raise SettingsError(f"{setting} cannot be used: {refusal.reason}") from None


def _named_failure(error: aiohttp.ClientError) -> TransferFailed:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return TransferFailed("dns", "name does not resolve")
        case aiohttp.ClientSSLError():
            return TransferFailed("tls", f"TLS failed: {type(error).__name__}")
        case aiohttp.ClientConnectorError():
            return TransferFailed("connect", "no connection")
        case aiohttp.ClientResponseError():
            return TransferFailed("headers", f"answer is not HTTP: {type(error).__name__}")
        case _:
            return TransferFailed("broken", f"connection broke: {type(error).__name__}")
