"""What a simulated process must not take from the real machine: its randomness, and who hears of errors."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg
import structlog

from fairstack_server import ids
from fairstack_server.db import notices
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.jobs import worker
from fairstack_server.providers.base import ProviderError
from fairstack_server.webhooks import sign


class _SeededSecrets:
    """The system's randomness, as the seed wants it."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def randbelow(self, limit: int) -> int:
        """A number below the limit."""
        return self._dice.randrange(limit)

    def token_bytes(self, count: int) -> bytes:
        """Random bytes."""
        return self._dice.randbytes(count)


@contextlib.contextmanager
def seeded(dice: random.Random) -> Iterator[None]:
    """Ids and secrets are drawn by the seed."""
    drawn = _SeededSecrets(dice)
    with _replaced(ids, "secrets", drawn), _replaced(sign, "secrets", drawn):
        yield


@contextlib.contextmanager
def slow_chores() -> Iterator[None]:
    """Chores that come each second would be most of what a run does; nothing depends on their pace."""
    with (
        _replaced(worker, "_PROBE_SECONDS", 5.0),
        _replaced(worker, "_REPORT_SECONDS", 10.0),
        _replaced(notices, "_RECONNECT_SECONDS", 4.0),
    ):
        yield


@contextlib.contextmanager
def _replaced(where: Any, name: str, what: Any) -> Iterator[None]:
    before = getattr(where, name)
    setattr(where, name, what)
    try:
        yield
    finally:
        setattr(where, name, before)


#: What code of ours may log as an error that it survived; anything else is a bug.
_SURVIVABLE = (*DATABASE_DOWN, asyncpg.PostgresError, ProviderError)


@contextlib.contextmanager
def errors_found(find: Callable[[str], None]) -> Iterator[None]:
    """An exception that was caught as "whatever it was" is a finding, unless it is one of an outage."""

    def look(_logger: object, _name: str, event: Any) -> Any:
        error = sys.exc_info()[1] if event.get("exc_info") else None
        if error is not None and not isinstance(error, _SURVIVABLE):
            find(f"{event['event']}: {error!r}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[look],
        wrapper_class=structlog.make_filtering_bound_logger(40),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
