"""Checks callbacks signed as Standard Webhooks are, with a secret that is asked of the vendor."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac

from fairstack_server.clock import Clock
from fairstack_server.providers.base import CallbackRequest, ProviderError
from fairstack_server.providers.http import ProviderHttp

TOLERANCE_SECONDS = 300
KEPT_SECONDS = 24 * 3600.0
#: An unknown signature may mean a new secret; forged ones must not make us ask more often than this.
SHORTEST_REFRESH_SECONDS = 300.0
_PREFIX = "whsec_"


class CallbackSecret:
    """The signing secret behind one address, fetched when first needed and kept for at most a day."""

    def __init__(self, http: ProviderHttp, path: str, clock: Clock) -> None:
        self._http = http
        self._path = path
        self._clock = clock
        self._secret = b""
        self._fetched_at: float | None = None
        self._fetching = asyncio.Lock()

    async def is_genuine(self, request: CallbackRequest) -> bool:
        """Whether the vendor signed this within five minutes of now. Raises ProviderError: no secret."""
        stamp = request.headers.get("webhook-timestamp", "")
        if not _is_recent(stamp, self._clock.now().timestamp()):
            return False
        signed = f"{request.headers.get('webhook-id', '')}.{stamp}.".encode() + request.body
        given = _signatures(request.headers.get("webhook-signature", ""))
        if not given:
            return False
        async with self._fetching:
            if self._age_seconds() >= KEPT_SECONDS:
                await self._fetch()
            elif not _matches(self._secret, signed, given):
                if self._age_seconds() < SHORTEST_REFRESH_SECONDS:
                    return False
                await self._fetch()
        return _matches(self._secret, signed, given)

    def _age_seconds(self) -> float:
        if self._fetched_at is None:
            return float("inf")
        return self._clock.monotonic() - self._fetched_at

    async def _fetch(self) -> None:
        answer = await self._http.get(self._path)
        secret = (answer.json_object() or {}).get("key")
        if not answer.ok or not isinstance(secret, str):
            raise ProviderError(f"{self._http.name}: its callback secret cannot be read", sent=False)
        try:
            self._secret = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except (ValueError, binascii.Error):
            raise ProviderError(f"{self._http.name}: its callback secret is malformed", sent=False) from None
        self._fetched_at = self._clock.monotonic()


def _is_recent(stamp: str, now: float) -> bool:
    return stamp.isascii() and stamp.isdecimal() and abs(now - int(stamp[:18])) <= TOLERANCE_SECONDS


def _signatures(header: str) -> list[bytes]:
    """The v1 signatures of a header such as `v1,<base64> v1,<base64>`."""
    found = []
    for entry in header.split():
        version, _, text = entry.partition(",")
        try:
            if version == "v1":
                found.append(base64.b64decode(text, validate=True))
        except (ValueError, binascii.Error):
            continue
    return found


def _matches(secret: bytes, signed: bytes, given: list[bytes]) -> bool:
    right = hmac.digest(secret, signed, "sha256")
    return any(hmac.compare_digest(right, signature) for signature in given)
