"""The pool of connections, opened with the settings that every statement of ours relies on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
import structlog

from .connections import OwnConnection, Pool
from .dsn import DatabaseError, Dsn

log = structlog.get_logger(__name__)

STATEMENT_SECONDS = 60.0
LOCK_SECONDS = 10.0
IDLE_IN_TRANSACTION_SECONDS = 30.0
CONNECT_SECONDS = 5.0
STATEMENT_CACHE = 512
REPORT_EVERY_SECONDS = 2.0
RETRY_SECONDS = 0.1

NOT_NOW = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError)
"""The server is not up, or not up yet: worth waiting for."""
FULL = asyncpg.TooManyConnectionsError
REFUSED = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    # asyncpg's own word for a URL that it cannot read.
    ValueError,
)

T = TypeVar("T")


async def open_pool(
    dsn: Dsn, size: int = 10, *, application: str = "fairstack", wait_seconds: float = 30.0
) -> Pool:
    """A pool of at most `size` connections: jsonb and json are Python objects, times are UTC.

    Waits for a database that is not up yet, and says so in the log. Raises DatabaseError after
    `wait_seconds`, or at once when the database refuses us. Session state (`SET` without `LOCAL`, session
    locks, `LISTEN`) is not undone when a connection comes back: take `open_connection` for it.
    """

    async def attempt() -> Pool:
        return await asyncpg.create_pool(
            dsn.url,
            min_size=min(2, size),
            max_size=size,
            init=_read_json,
            reset=_keep_session,
            **_options(application),
        )

    return await _when_reachable(dsn, attempt, wait_seconds)


async def open_connection(
    dsn: Dsn, *, application: str = "fairstack", wait_seconds: float = 30.0
) -> OwnConnection:
    """One connection outside the pool, for `LISTEN`, locks of a session and migrations; the caller closes it.

    Set up like the pool's, with no limit on how long a statement or a lock may take. Raises like `open_pool`.
    """

    async def attempt() -> OwnConnection:
        options = _options(application)
        options["command_timeout"] = None
        options["server_settings"] |= {"lock_timeout": "0", "idle_in_transaction_session_timeout": "0"}
        connection = await asyncpg.connect(dsn.url, **options)
        await _read_json(connection)
        return connection

    return await _when_reachable(dsn, attempt, wait_seconds)


def _options(application: str) -> dict[str, Any]:
    return {
        "server_settings": {
            "application_name": application,
            "timezone": "UTC",
            "jit": "off",
            "lock_timeout": f"{LOCK_SECONDS:g}s",
            "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS:g}s",
        },
        "command_timeout": STATEMENT_SECONDS,
        "timeout": CONNECT_SECONDS,
        "statement_cache_size": STATEMENT_CACHE,
    }


async def _keep_session(connection: object) -> None:
    """Spare a round trip for each use; an open transaction is rolled back by the pool all the same."""


async def _read_json(connection: OwnConnection) -> None:
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(kind, schema="pg_catalog", encoder=_json_text, decoder=json.loads)


def _json_text(value: object) -> str:
    # NaN is no JSON: better a ValueError that names it than PostgreSQL's word about syntax.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


async def _when_reachable(dsn: Dsn, attempt: Callable[[], Awaitable[T]], wait_seconds: float) -> T:
    started = reported = time.monotonic()
    while True:
        try:
            return await attempt()
        except (*NOT_NOW, FULL) as error:
            last = error
        except REFUSED as error:
            raise DatabaseError(f"{dsn} refuses us: {_said(error)}. Check FAIRSTACK_DATABASE_URL.") from error
        now = time.monotonic()
        if now - started >= wait_seconds:
            raise DatabaseError(
                f"{dsn} could not be reached within {wait_seconds:g} seconds: {_said(last)}. "
                "Start it, or check FAIRSTACK_DATABASE_URL."
            ) from last
        if now - reported >= REPORT_EVERY_SECONDS:
            log.info("database.waiting", database=str(dsn), seconds=round(now - started), because=_said(last))
            reported = now
        await asyncio.sleep(RETRY_SECONDS)


def _said(error: BaseException) -> str:
    return str(error).rstrip(".") or type(error).__name__
