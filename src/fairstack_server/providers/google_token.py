"""Where Google's access tokens come from: a service account's key file, or one that was made elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from yarl import URL

from fairstack_server.clock import Clock
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import ProviderError
from fairstack_server.providers.http import ProviderHttp, Sessions
from fairstack_server.providers.jwt import rs256

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASKED_SECONDS = 3600
#: A token is renewed this long before its end, so that none runs out on the way.
SPARE_SECONDS = 300.0


class TokenSource(Protocol):
    """Gives an access token that is good for the next minutes."""

    async def token(self) -> str:
        """The token. Raises ProviderError (not sent) when there is none to be had."""
        ...


@dataclass(frozen=True, slots=True)
class GivenToken:
    """A token that the operator made, and renews. Raises ValueError for one that no header can carry."""

    value: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _is_token(self.value):
            raise ValueError("GOOGLE_ACCESS_TOKEN holds a character that no HTTP header can carry")

    async def token(self) -> str:
        """As it was given."""
        return self.value


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """What a service account's key file says."""

    email: str
    key_id: str
    token_address: str
    private_key: RSAPrivateKey = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> ServiceAccount:
        """The account of this JSON file. Raises ValueError saying what is wrong, never what it holds."""
        try:
            told = msgspec.json.decode(path.read_bytes())
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror}") from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise ValueError(f"{path} is no JSON") from None
        match told:
            case {
                "type": "service_account",
                "client_email": str(email),
                "private_key_id": str(key_id),
                "private_key": str(pem),
                "token_uri": str(token_address),
            }:
                return cls(email, key_id, token_address, _read_key(pem, path))
            case _:
                raise ValueError(f"{path} is no service account's key file")


class ServiceAccountTokens:
    """Tokens for a service account, each kept until shortly before its end."""

    def __init__(self, sessions: Sessions, account: ServiceAccount, clock: Clock) -> None:
        """Raises ValueError when the file's `token_uri` is no http(s) address."""
        address = URL(account.token_address)
        self._http = ProviderHttp("google", sessions, str(address.origin()))
        self._path = address.raw_path
        self._account = account
        self._clock = clock
        self._token = ""
        self._good_until = float("-inf")
        self._fetching = asyncio.Lock()

    async def token(self) -> str:
        """The kept token, or a new one; callers at the same time share one request."""
        async with self._fetching:
            if self._clock.monotonic() >= self._good_until:
                await self._fetch()
            return self._token

    async def _fetch(self) -> None:
        fields = {"grant_type": GRANT, "assertion": self._assertion()}
        try:
            answer = await self._http.ask_form(self._path, fields)
        except ProviderError as error:
            # Whatever was sent, it was no order.
            raise ProviderError(f"{error} (asking for a token)", sent=False) from None
        match answer.json_object():
            case {"access_token": str(token), "expires_in": int(seconds)} if answer.ok and _is_token(token):
                self._token = token
                self._good_until = self._clock.monotonic() + seconds - SPARE_SECONDS
            case _:
                said = f"google: no access token was given (HTTP {answer.status})"
                raise ProviderError(
                    f"{said}; check GOOGLE_APPLICATION_CREDENTIALS", sent=False, permanent=answer.is_refusal
                )

    def _assertion(self) -> str:
        now = int(self._clock.now().timestamp())
        claims: JSONObject = {
            "iss": self._account.email,
            "scope": SCOPE,
            "aud": self._account.token_address,
            "iat": now,
            "exp": now + ASKED_SECONDS,
        }
        return rs256(claims, self._account.private_key, self._account.key_id)


def _is_token(text: str) -> bool:
    return text != "" and text.isascii() and text.isprintable() and " " not in text


def _read_key(pem: str, path: Path) -> RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"the private key in {path} cannot be read") from None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"the private key in {path} is no RSA key")
    return key
