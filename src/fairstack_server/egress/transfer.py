"""One answer being read: every limit on size and speed is kept here, chunk by chunk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp

from fairstack_server.egress.errors import TransferFailed
from fairstack_server.egress.url import Target

CHUNK_BYTES = 256 * 1024
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How slow a peer may be. The defaults suit the public Internet."""

    resolve_seconds: float = 5.0
    connect_seconds: float = 10.0
    grace_seconds: float = 5.0
    """No minimum rate is asked for this long."""
    min_bytes_per_second: int = 1000


class Transfer:
    """An answer whose headers have arrived and whose body is still to be read, once."""

    def __init__(
        self, response: aiohttp.ClientResponse, target: Target, *, max_bytes: int, pace: Pace, deadline: float
    ) -> None:
        self._response = response
        self._max_bytes = max_bytes
        self._pace = pace
        self._deadline = deadline
        self.target = target
        self.status = response.status
        self.headers: Mapping[str, str] = {key.lower(): value for key, value in response.headers.items()}
        self.content_type = self.headers.get("content-type", "").split(";")[0].strip().lower()
        self.content_length = response.content_length

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in pieces of at most 256 KiB.

        Raises TransferFailed: `too_large` past the cap, `too_slow` below the minimum rate, `timeout` past the
        total deadline, `broken` when the body ends before its Content-Length.
        """
        started = asyncio.get_running_loop().time()
        received = 0
        while chunk := await self._read(started, received):
            received += len(chunk)
            if received > self._max_bytes:
                raise TransferFailed("too_large", f"body is larger than {self._max_bytes} bytes")
            yield chunk

    async def read(self) -> bytes:
        """The whole body. Raises TransferFailed as `chunks` does."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def read_up_to(self, max_bytes: int) -> bytes:
        """The first bytes of the body, the rest left unread; less when the body breaks off."""
        body = bytearray()
        with contextlib.suppress(TransferFailed):
            async for chunk in self.chunks():
                body += chunk
                if len(body) >= max_bytes:
                    break
        return bytes(body[:max_bytes])

    async def _read(self, started: float, received: int) -> bytes:
        # The moment at which the average rate would fall below the minimum if nothing more came.
        slow_at = started + self._pace.grace_seconds + received / self._pace.min_bytes_per_second
        try:
            async with asyncio.timeout_at(min(slow_at, self._deadline)):
                return await self._response.content.read(CHUNK_BYTES)
        except TimeoutError:
            if slow_at < self._deadline:
                raise TransferFailed(
                    "too_slow", f"slower than {self._pace.min_bytes_per_second} B/s"
                ) from None
            raise TransferFailed("timeout", "total time is over") from None
        except aiohttp.ClientError as error:
            raise TransferFailed("broken", f"body broke off: {type(error).__name__}") from error


def check_headers(response: aiohttp.ClientResponse, max_bytes: int) -> None:
    """Raises TransferFailed for too many headers, an encoded body, or a Content-Length over the cap."""
    raw = response.raw_headers
    if len(raw) > MAX_HEADERS or sum(len(key) + len(value) + 4 for key, value in raw) > MAX_HEADER_BYTES:
        raise TransferFailed("headers", "too many or too long headers")
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise TransferFailed(
            "encoding", f"body is encoded as {encoding[:40]!r} although identity was asked for"
        )
    if response.content_length is not None and response.content_length > max_bytes:
        raise TransferFailed(
            "too_large", f"body of {response.content_length} bytes, at most {max_bytes} taken"
        )
