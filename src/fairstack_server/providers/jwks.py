"""Checks ED25519 signatures against the keys that a vendor publishes (JWKS), kept for at most a day."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fairstack_server.clock import Clock
from fairstack_server.jsonvalue import JSON
from fairstack_server.providers.base import ProviderError
from fairstack_server.providers.http import ProviderHttp

KEPT_SECONDS = 24 * 3600.0
#: An unknown signature may mean new keys; forged ones must not make us ask more often than this.
SHORTEST_REFRESH_SECONDS = 300.0


class PublishedKeys:
    """The ED25519 keys behind one JWKS address."""

    def __init__(self, http: ProviderHttp, path: str, clock: Clock) -> None:
        self._http = http
        self._path = path
        self._clock = clock
        self._keys: tuple[Ed25519PublicKey, ...] = ()
        self._fetched_at: float | None = None
        self._fetching = asyncio.Lock()

    async def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether any published key made this signature. Raises ProviderError when no keys can be had."""
        async with self._fetching:
            if self._age_seconds() >= KEPT_SECONDS:
                await self._fetch()
            elif not _any_verifies(self._keys, message, signature):
                if self._age_seconds() < SHORTEST_REFRESH_SECONDS:
                    return False
                await self._fetch()
        return _any_verifies(self._keys, message, signature)

    def _age_seconds(self) -> float:
        if self._fetched_at is None:
            return float("inf")
        return self._clock.monotonic() - self._fetched_at

    async def _fetch(self) -> None:
        answer = await self._http.get(self._path)
        listed = (answer.json_object() or {}).get("keys")
        if not answer.ok or not isinstance(listed, list):
            raise ProviderError(f"{self._http.name}: its callback keys cannot be read", sent=False)
        self._keys = tuple(key for entry in listed if (key := _read_key(entry)) is not None)
        self._fetched_at = self._clock.monotonic()


def _read_key(entry: JSON) -> Ed25519PublicKey | None:
    match entry:
        case {"kty": "OKP", "crv": "Ed25519", "x": str(x)}:
            try:
                return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
            except (ValueError, binascii.Error):
                return None
        case _:
            return None


def _any_verifies(keys: Sequence[Ed25519PublicKey], message: bytes, signature: bytes) -> bool:
    return any(_verifies(key, message, signature) for key in keys)


def _verifies(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
