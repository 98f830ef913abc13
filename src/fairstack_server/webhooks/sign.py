"""Signatures of Standard Webhooks 1.0, pure: HMAC-SHA256 over `{id}.{timestamp}.{body}`."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public prefix of every secret, not one
_SECRET_BYTES = 32


def new_secret() -> str:
    """Make a signing secret: `whsec_` and 32 random bytes in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signature(signing_secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` header: one `v1,<base64>` for each secret, separated by spaces, in their order.

    `timestamp` is the attempt's, in seconds. Raises ValueError for an id with a dot (it would make the signed
    bytes ambiguous), for no secret, and for a text that is not a secret; the error never holds the secret.
    """
    if "." in message_id:
        raise ValueError(f"webhook-id {message_id!r} holds a dot")
    if not signing_secrets:
        raise ValueError("a webhook needs at least one secret to sign with")
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_hmac(_key(secret), signed)}" for secret in signing_secrets)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not key:
        raise ValueError("a webhook secret must be whsec_ and base64")
    return key


def _hmac(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
