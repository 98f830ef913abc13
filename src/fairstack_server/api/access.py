"""Who may call: keys checked by their CRC before any database read, scopes, and a rate limit per key."""

from __future__ import annotations

import time
from collections import OrderedDict

from fairstack_server.accounts.store import Accounts, Caller
from fairstack_server.api.rate import RateState, RateWindows
from fairstack_server.errors import Forbidden, NotAuthenticated, RateLimited
from fairstack_server.ids import api_key_hash, api_key_mode

#: A revoked key may work for this much longer on a process that saw it a moment ago.
_CACHED_SECONDS = 2.0
_CACHED_KEYS = 10_000


class Access:
    """Authenticates requests."""

    def __init__(self, accounts: Accounts, rate_limit_per_minute: int) -> None:
        self._accounts = accounts
        self._known: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()
        self._windows = RateWindows(rate_limit_per_minute)

    async def caller(self, authorization: str | None) -> Caller:
        """Who sends this Authorization header. Raises NotAuthenticated, saying what a key looks like."""
        scheme, _, key = (authorization or "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            raise NotAuthenticated(
                "Send your key as a header: Authorization: Bearer fs_live_… (or fs_test_…)."
            )
        if api_key_mode(key) is None:
            raise NotAuthenticated(
                "This is not a FairStack key, or it was mistyped: its check digits are wrong."
            )
        digest = api_key_hash(key)
        cached = self._known.get(digest)
        if cached is not None and time.monotonic() - cached[0] < _CACHED_SECONDS:
            return cached[1]
        caller = await self._accounts.caller(key)
        if caller is None:
            self._known.pop(digest, None)
            raise NotAuthenticated(
                "This key is unknown, was revoked or has expired. List yours: GET /v1/api-keys."
            )
        self._known[digest] = (time.monotonic(), caller)
        self._known.move_to_end(digest)
        if len(self._known) > _CACHED_KEYS:
            self._known.popitem(last=False)
        return caller

    def forget(self) -> None:
        """Read every key afresh: one was changed or revoked in this process."""
        self._known.clear()

    def count(self, caller: Caller) -> RateState:
        """Count one request of this key; `allowed` says whether it is still within the minute's limit."""
        return self._windows.count(caller.key_id, time.monotonic())


def require_rate(rate: RateState) -> None:
    """Raise RateLimited when the minute is used up."""
    if not rate.allowed:
        raise RateLimited(
            f"More than {rate.limit} requests a minute with this key. Try again in {rate.reset_seconds} s.",
            retry_after_seconds=rate.reset_seconds,
        )


def require_scope(caller: Caller, scope: str) -> None:
    """Raise Forbidden unless the key has the scope; `admin` moves live money, so no test key has it."""
    if scope == "admin" and caller.mode == "test":
        raise Forbidden("The scope 'admin' is for live keys only: this is a test key.")
    if scope not in caller.scopes:
        raise Forbidden(
            f"This key lacks the scope {scope!r}. Use one that has it, or add it: PATCH /v1/api-keys."
        )
