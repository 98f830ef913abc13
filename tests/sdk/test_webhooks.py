"""Webhooks: what Standard Webhooks accepts we accept, and what it refuses we refuse."""

from __future__ import annotations

import base64
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from fairstack import BadArgument, FairStack, WebhookRefused, webhooks

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
BODY = json.dumps({"id": "job_1", "status": "completed", "url": "https://x.example/a.mp4", "é": "✓"}).encode()


def signed(body: bytes = BODY, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    """Headers as the reference library signs them."""
    stamp = int(time.time() if at is None else at)
    signature = Webhook(secret).sign("msg_1", datetime.fromtimestamp(stamp, UTC), body.decode())
    return {"Webhook-Id": "msg_1", "Webhook-Timestamp": str(stamp), "Webhook-Signature": signature}


def test_gives_the_job() -> None:
    """A true webhook gives the job it tells of, through the client as well as without one."""
    job = FairStack("fs_live_a").webhooks.verify(BODY, signed(), SECRET)
    assert (job.id, job.status, job.ended, job.url) == ("job_1", "completed", True, "https://x.example/a.mp4")
    assert webhooks.verify(BODY.decode(), signed(), SECRET) == job


DAMAGES = (
    "",
    "",
    "",
    "body",
    "id",
    "stamp",
    "signature",
    "secret",
    "old",
    "new",
    "version",
    "rotated",
    "missing",
)


def test_agrees_with_the_reference_on_random_webhooks() -> None:
    """1,000 random webhooks, most of them damaged, are judged alike, whichever side signed them."""
    chance = random.Random(20_261_122)
    tally: Counter[tuple[str, bool]] = Counter()
    for number in range(1000):
        signer = ("ours", "theirs")[number % 2]
        webhook = random_webhook(number, signer, chance)
        damage = chance.choice(DAMAGES)
        body, headers, secret = damaged(damage, *webhook, chance)
        verdict = accepts_theirs(body, headers, secret)
        assert accepts_ours(body, headers, secret) == verdict == (damage in ("", "rotated")), damage
        tally[signer, verdict] += 1
    assert tally.total() == 1000
    assert min(tally.values()) > 100
    assert len(tally) == 4


def random_webhook(number: int, signer: str, chance: random.Random) -> tuple[bytes, dict[str, str], str]:
    """Body, headers and secret of a true webhook that one of the two libraries signed."""
    secret = "whsec_" + base64.b64encode(chance.randbytes(chance.randint(1, 100))).decode()
    text = chance.randbytes(chance.randint(0, 200)).decode("latin-1")
    body = json.dumps({"id": f"job_{number}", "status": "failed", "text": text}, ensure_ascii=False).encode()
    message_id, stamp = f"msg_{number}", int(time.time()) + chance.randint(-250, 250)
    ours = webhooks.sign(body, message_id, stamp, secret)
    theirs = Webhook(secret).sign(message_id, datetime.fromtimestamp(stamp, UTC), body.decode())
    assert ours["webhook-signature"] == theirs
    headers = {"webhook-id": message_id, "webhook-timestamp": str(stamp), "webhook-signature": theirs}
    return body, ours if signer == "ours" else headers, secret


def damaged(
    damage: str, body: bytes, headers: dict[str, str], secret: str, chance: random.Random
) -> tuple[bytes, dict[str, str], str]:
    """The webhook with one thing wrong; or, rotated, with two signatures of which one is right."""
    signature, other = headers["webhook-signature"], "v1," + base64.b64encode(chance.randbytes(32)).decode()
    far = 302 + chance.randint(0, 10_000)
    match damage:
        case "body":
            body = body.replace(b"failed", b"completed")
        case "id":
            headers = headers | {"webhook-id": "msg_other"}
        case "stamp":
            headers = headers | {"webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}
        case "signature":
            headers = headers | {"webhook-signature": other}
        case "secret":
            secret = SECRET
        case "old" | "new":
            stamp = int(time.time()) + (far if damage == "new" else -far)
            headers = webhooks.sign(body, headers["webhook-id"], stamp, secret)
        case "version":
            headers = headers | {"webhook-signature": signature.replace("v1,", "v2,")}
        case "rotated":
            headers = headers | {"webhook-signature": f"{other} {signature}"}
        case "missing":
            headers = headers | {"webhook-signature": ""}
    return body, headers, secret


def accepts_ours(body: bytes, headers: dict[str, str], secret: str) -> bool:
    """Whether this package takes the webhook."""
    try:
        webhooks.verify(body, headers, secret)
    except WebhookRefused:
        return False
    return True


def accepts_theirs(body: bytes, headers: dict[str, str], secret: str) -> bool:
    """Whether the reference library takes the webhook."""
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def test_rotation() -> None:
    """With two signatures, as during a rotation of the secret, either secret verifies."""
    other = "whsec_" + base64.b64encode(b"another secret of the account").decode()
    both = signed()
    both["Webhook-Signature"] += " " + signed(secret=other)["Webhook-Signature"] + " v1a,xyz nonsense"
    for secret in (SECRET, other):
        assert webhooks.verify(BODY, both, secret).id == "job_1"


@pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
def test_missing_header(name: str) -> None:
    """A webhook without one of its three headers is refused."""
    headers = signed()
    del headers[name]
    with pytest.raises(WebhookRefused, match="lacks"):
        webhooks.verify(BODY, headers, SECRET)


@pytest.mark.parametrize("age", [-301, 301])
def test_stamp_out_of_tolerance(age: int) -> None:
    """A webhook from too long ago or too far ahead is refused, unless more tolerance is given."""
    headers = signed(at=time.time() - age - (1 if age > 0 else -1))
    with pytest.raises(WebhookRefused, match="300 s"):
        webhooks.verify(BODY, headers, SECRET)
    assert webhooks.verify(BODY, headers, SECRET, tolerance_seconds=600).id == "job_1"


@pytest.mark.parametrize("stamp", ["soon", "1e9", "-5", "٣", "nan"])
def test_stamp_that_is_no_number(stamp: str) -> None:
    """A stamp that is not a whole number of seconds is refused."""
    with pytest.raises(WebhookRefused, match="not a number"):
        webhooks.verify(BODY, signed() | {"Webhook-Timestamp": stamp}, SECRET)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!"])
def test_useless_secret(secret: str) -> None:
    """A secret that is none is the caller's mistake, said as such and not repeated."""
    with pytest.raises(BadArgument, match="whsec_ and base64"):
        webhooks.verify(BODY, signed(), secret)
