"""The secret behind Replicate's callbacks: asked for once, again when it changes, not on every forgery."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import CallbackRequest, ProviderError
from fairstack_server.providers.http import ProviderHttp, Sessions
from fairstack_server.providers.signed_callbacks import CallbackSecret
from tests.providers.makers import ManualClock
from tests.upstreams.replicate import FakeReplicate

BODY = b'{"id": "x"}'


@pytest.fixture
async def fake() -> AsyncIterator[FakeReplicate]:
    """A running stand-in of Replicate."""
    async with FakeReplicate() as replicate:
        yield replicate


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still at the machine's time."""
    return ManualClock(SystemClock().now())


def _secret(sessions: Sessions, fake: FakeReplicate, clock: ManualClock) -> CallbackSecret:
    headers = {"Authorization": f"Bearer {fake.key}"}
    http = ProviderHttp("replicate", sessions, fake.base_url, headers=headers)
    return CallbackSecret(http, "/v1/webhooks/default/secret", clock)


def _signed(fake: FakeReplicate, clock: ManualClock) -> CallbackRequest:
    return CallbackRequest(fake.callback_headers(BODY, at=clock.now().timestamp()), BODY, "nonce-1")


async def test_one_secret_for_many_callbacks(
    sessions: Sessions, fake: FakeReplicate, clock: ManualClock
) -> None:
    """The secret is asked for with the first callback and kept for a day."""
    secret = _secret(sessions, fake, clock)
    for _ in range(3):
        assert await secret.is_genuine(_signed(fake, clock))
    assert len(fake.log.of("keys")) == 1
    clock.move(24 * 3600)
    assert await secret.is_genuine(_signed(fake, clock))
    assert len(fake.log.of("keys")) == 2


async def test_a_new_secret_is_noticed(sessions: Sessions, fake: FakeReplicate, clock: ManualClock) -> None:
    """After a rotation the first callback that does not fit brings the new secret, but not every minute."""
    secret = _secret(sessions, fake, clock)
    assert await secret.is_genuine(_signed(fake, clock))
    fake.secret = "whsec_bmV3IHNlY3JldCBvZiB0aGUgdmVuZG9y"
    assert not await secret.is_genuine(_signed(fake, clock))
    clock.move(301)
    assert await secret.is_genuine(_signed(fake, clock))


async def test_forgeries_ask_for_nothing(sessions: Sessions, fake: FakeReplicate, clock: ManualClock) -> None:
    """A flood of forged callbacks makes no flood of questions."""
    secret = _secret(sessions, fake, clock)
    assert await secret.is_genuine(_signed(fake, clock))
    forged = CallbackRequest(_signed(fake, clock).headers, BODY + b" ", "nonce-1")
    for _ in range(20):
        assert not await secret.is_genuine(forged)
    assert len(fake.log.of("keys")) == 1


@pytest.mark.parametrize("seconds", [-301, 301])
async def test_five_minutes_both_ways(
    sessions: Sessions, fake: FakeReplicate, clock: ManualClock, seconds: int
) -> None:
    """A callback that was signed too long ago, or too far ahead, is none; just inside it is."""
    secret = _secret(sessions, fake, clock)
    now = int(clock.now().timestamp())
    clock.moment = clock.moment.fromtimestamp(now, clock.moment.tzinfo)
    for off, genuine in ((seconds, False), (seconds - (1 if seconds > 0 else -1), True)):
        request = CallbackRequest(fake.callback_headers(BODY, at=now + off), BODY, "nonce-1")
        assert await secret.is_genuine(request) is genuine


@pytest.mark.parametrize("kind", ["http_500", "page_502", "malformed"])
async def test_without_a_secret_nothing_is_judged(
    sessions: Sessions, fake: FakeReplicate, clock: ManualClock, kind: str
) -> None:
    """While the secret cannot be had, a callback is neither true nor forged: the vendor is to call again."""
    secret = _secret(sessions, fake, clock)
    fake.faults.add(kind, on="keys")  # type: ignore[arg-type]
    with pytest.raises(ProviderError):
        await secret.is_genuine(_signed(fake, clock))
    assert await secret.is_genuine(_signed(fake, clock))
    fake.secret = "whsec_not base64"
    clock.move(24 * 3600)
    with pytest.raises(ProviderError, match="malformed"):
        await secret.is_genuine(CallbackRequest(_headers(clock), BODY, "nonce-1"))


def _headers(clock: ManualClock) -> dict[str, str]:
    stamp = str(int(clock.now().timestamp()))
    return {"webhook-id": "m", "webhook-timestamp": stamp, "webhook-signature": "v1,AAAA"}
