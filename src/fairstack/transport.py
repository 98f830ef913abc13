"""Between our requests and httpx: addresses, headers, timeouts, and what a broken exchange means."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypedDict

from fairstack.connection import Connection
from fairstack.flow import Broken, Manners, Reply, Request
from fairstack.version import __version__

if TYPE_CHECKING:
    import httpx

CONNECT_TIMEOUT_SECONDS = 10.0
#: Said instead of httpx's own words, which can be empty or quote headers.
_REASONS = {
    "ReadTimeout": "no answer within the timeout",
    "WriteTimeout": "the request could not be sent within the timeout",
    "ConnectTimeout": "no connection within the timeout",
    "PoolTimeout": "all connections of this client stayed busy",
    "RemoteProtocolError": "the answer broke off",
    "DecodingError": "the answer could not be decompressed",
    "TooManyRedirects": "too many redirects",
    "InvalidURL": "the address cannot be used",
    "UnsupportedProtocol": "the address cannot be used",
}


class HttpArguments(TypedDict):
    """What httpx's build_request takes."""

    method: str
    url: str
    params: tuple[tuple[str, str], ...] | None
    content: bytes | None
    headers: dict[str, str]
    timeout: httpx.Timeout


def user_agent() -> str:
    """Who is calling: this package and the Python that runs it."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    return f"fairstack-python/{__version__} python/{python}"


def api_call(connection: Connection, manners: Manners, request: Request) -> HttpArguments:
    """A request to the API, with the key."""
    headers = {
        "Authorization": f"Bearer {connection.api_key}",
        "User-Agent": user_agent(),
        "Accept": "application/json",
        **request.headers,
    }
    if request.content is not None:
        headers["Content-Type"] = request.content_type
    return {
        "method": request.method,
        "url": connection.base_url + request.path,
        "params": request.query or None,
        "content": request.content,
        "headers": headers,
        "timeout": timeouts(request.read_timeout_seconds or manners.timeout_seconds),
    }


def media_call(manners: Manners, url: str) -> HttpArguments:
    """A request for a clip: without the key, for media may lie with somebody else."""
    return {
        "method": "GET",
        "url": url,
        "params": None,
        "content": None,
        # The bytes as they are: a length can then be checked.
        "headers": {"User-Agent": user_agent(), "Accept-Encoding": "identity"},
        "timeout": timeouts(manners.timeout_seconds),
    }


def timeouts(read_seconds: float) -> httpx.Timeout:
    """Limits of one exchange; connecting gets 10 s at most."""
    import httpx

    return httpx.Timeout(read_seconds, connect=min(read_seconds, CONNECT_TIMEOUT_SECONDS))


def loopback_without_proxy() -> dict[str, Any]:
    """Mounts by which a proxy of the environment is not asked for this machine's own addresses."""
    return {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}


def breaks() -> tuple[type[Exception], ...]:
    """The exceptions that mean: no whole answer."""
    import httpx

    return (httpx.RequestError, httpx.InvalidURL)


def broken(error: Exception) -> Broken:
    """What httpx's exception means for whoever thinks of sending again."""
    import httpx

    never_left = (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
    )
    if isinstance(error, httpx.ConnectError):
        return Broken(sent=False, reason=str(error) or "no connection")
    reason = _REASONS.get(type(error).__name__, "the connection broke")
    return Broken(sent=not isinstance(error, never_left), reason=reason)


def reply_of(response: httpx.Response, body: bytes) -> Reply:
    """The answer, with header names in lower case."""
    return Reply(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)
