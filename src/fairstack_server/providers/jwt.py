"""Signed JSON web tokens, as two vendors want them for credentials."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable

import msgspec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from fairstack_server.jsonvalue import JSONObject


def hs256(claims: JSONObject, secret: str) -> str:
    """A token signed with a shared secret."""
    return _token(
        {"alg": "HS256", "typ": "JWT"}, claims, lambda text: hmac.digest(secret.encode(), text, "sha256")
    )


def rs256(claims: JSONObject, key: RSAPrivateKey, key_id: str) -> str:
    """A token signed with a private key whose public half the receiver knows by this id."""
    header: JSONObject = {"alg": "RS256", "typ": "JWT", "kid": key_id}
    return _token(header, claims, lambda text: key.sign(text, PKCS1v15(), SHA256()))


def _token(header: JSONObject, claims: JSONObject, sign: Callable[[bytes], bytes]) -> str:
    text = b".".join(_base64url(msgspec.json.encode(part)) for part in (header, claims))
    return (text + b"." + _base64url(sign(text))).decode()


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
