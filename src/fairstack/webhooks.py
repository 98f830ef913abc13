"""Check that a webhook is FairStack's (Standard Webhooks 1.0), and sign one for tests of a receiver."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

from fairstack.errors import BadArgument, WebhookRefused
from fairstack.types import JobRecord, read


def verify(
    body: bytes | str,
    headers: Mapping[str, str],
    secret: str,
    tolerance_seconds: float = 300,
) -> JobRecord:
    """The job that this webhook tells of; `body` is the raw body, `secret` the account's `whsec_…`.

    Raises WebhookRefused if it is not signed by this secret, was altered, or its stamp is more than
    `tolerance_seconds` away. A webhook may come twice: `webhook-id` is the same for every attempt.
    """
    raw = body.encode() if isinstance(body, str) else bytes(body)
    found = {str(name).lower(): value for name, value in headers.items()}
    message_id, stamp = found.get("webhook-id", ""), found.get("webhook-timestamp", "")
    signatures = found.get("webhook-signature", "")
    if not (message_id and stamp and signatures):
        raise WebhookRefused("The webhook lacks webhook-id, webhook-timestamp or webhook-signature")
    if not (stamp.isascii() and stamp.isdigit()):
        raise WebhookRefused("webhook-timestamp is not a number of seconds")
    expected = _digest(_key(secret), message_id, stamp, raw)
    if not any(_matches(signature, expected) for signature in signatures.split(" ")):
        raise WebhookRefused("No signature of this webhook fits the secret")
    if abs(time.time() - int(stamp)) > tolerance_seconds:
        raise WebhookRefused(f"The webhook is more than {tolerance_seconds:g} s away from now")
    return _job(raw)


def sign(body: bytes | str, message_id: str, timestamp: int, secret: str) -> dict[str, str]:
    """The three headers of a webhook with this body, as the server would send them."""
    raw = body.encode() if isinstance(body, str) else bytes(body)
    digest = _digest(_key(secret), message_id, str(timestamp), raw)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: str) -> bytes:
    encoded = secret.strip().removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise BadArgument("The webhook secret is not whsec_ and base64", param="secret")
    return key


def _digest(key: bytes, message_id: str, stamp: str, raw: bytes) -> bytes:
    return hmac.new(key, b".".join((message_id.encode(), stamp.encode(), raw)), hashlib.sha256).digest()


def _matches(signature: str, expected: bytes) -> bool:
    version, _, encoded = signature.partition(",")
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return version == "v1" and hmac.compare_digest(given, expected)


def _job(raw: bytes) -> JobRecord:
    try:
        answer = json.loads(raw)
    except ValueError:
        raise WebhookRefused("The webhook's body is not JSON") from None
    return read(JobRecord, {**answer, "text": raw.decode()} if isinstance(answer, dict) else answer)
