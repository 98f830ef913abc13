"""Signatures of Standard Webhooks 1.0."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from fairstack_server.webhooks.sign import new_secret, signature

SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
MESSAGE_ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W"


def test_the_published_vector() -> None:
    """The vector made with the official library comes out byte for byte."""
    signed = signature([SECRET], MESSAGE_ID, 1674087231, b'{"id":"job_x"}')
    assert signed == "v1,ojMH6lXfZKOWIXfDZxrKeBJ4syxv/q7HHJcM8/9vMKY="


@given(
    key=st.binary(min_size=24, max_size=64),
    message_id=st.text("abcXYZ019_-", min_size=1, max_size=40),
    timestamp=st.integers(0, 2**33),
    body=st.text(st.characters(exclude_categories=["Cs"])),
)
def test_it_signs_like_the_official_library(key: bytes, message_id: str, timestamp: int, body: str) -> None:
    """For random secrets, ids, times and bodies both write the same signature."""
    secret = "whsec_" + base64.b64encode(key).decode()
    theirs = Webhook(secret).sign(message_id, datetime.fromtimestamp(timestamp, UTC), body)
    assert signature([secret], message_id, timestamp, body.encode()) == theirs


def test_during_a_rotation_either_secret_verifies() -> None:
    """A message signed with two secrets is taken by who knows one of them, and by nobody else."""
    old, new, foreign = new_secret(), new_secret(), new_secret()
    timestamp = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": MESSAGE_ID,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature([new, old], MESSAGE_ID, timestamp, b'{"id":"job_x"}'),
    }
    for known in (old, new):
        assert Webhook(known).verify(b'{"id":"job_x"}', headers) == {"id": "job_x"}
    with pytest.raises(WebhookVerificationError):
        Webhook(foreign).verify(b'{"id":"job_x"}', headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(b'{"id":"job_y"}', headers)


def test_new_secrets_have_32_bytes_and_differ() -> None:
    """A secret is `whsec_` and 32 random bytes."""
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert all(len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32 for secret in made)


def test_an_id_with_a_dot_is_refused() -> None:
    """A dot in the id would make two messages sign alike."""
    with pytest.raises(ValueError, match=r"msg_1\.2"):
        signature([SECRET], "msg_1.2", 0, b"")


@pytest.mark.parametrize(
    "secrets", [[], [""], ["whsec_"], ["whsec_%%"], ["MDEyMzQ1Njc4OWFiY2RlZjAx"], [SECRET, "x"]]
)
def test_what_is_no_secret_is_refused_without_being_shown(secrets: list[str]) -> None:
    """No secret, a malformed one, or one without its prefix signs nothing and is not in the error."""
    with pytest.raises(ValueError, match="secret") as refused:
        signature(secrets, MESSAGE_ID, 0, b"")
    assert all(len(secret) < 8 or secret not in str(refused.value) for secret in secrets)
