"""What an owner sees of the messages to them, and sending one again by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fairstack_server.db.connections import Connection
from fairstack_server.errors import BadRequest, NotFound
from fairstack_server.ids import Mode
from fairstack_server.webhooks.store import DeliveryState, Outcome

_LIST = """
select id, message_id, job_id, url, state, attempts, next_at, created_at, delivered_at
  from webhook_deliveries
 where (account_id, mode) = ($1, $2)
   and ($3::text is null or job_id = $3)
   and ($4::text is null or state = $4)
   and ($5::timestamptz is null or (created_at, id) < ($5, $6))
 order by created_at desc, id desc limit $7
"""

_READ = """
select id, message_id, job_id, url, state, attempts, next_at, created_at, delivered_at
  from webhook_deliveries where (account_id, mode) = ($1, $2) and id = $3
"""

_ATTEMPTS = """
select number, at, outcome, status_code, duration_ms
  from webhook_attempts where delivery_id = $1 order by number
"""

# At once, with a whole new round of attempts; one that only waits for its next attempt keeps its round.
_REDELIVER = """
update webhook_deliveries
   set attempts_before = case when state = 'pending' then attempts_before else attempts end,
       state = 'pending', next_at = now(), delivered_at = null
 where (account_id, mode) = ($1, $2) and id = $3
returning id, message_id, job_id, url, state, attempts, next_at, created_at, delivered_at,
          pg_notify('webhook_due', '')
"""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one address. `next_at` is None unless it is pending; `attempts` counts all rounds."""

    id: str
    message_id: str
    job_id: str | None
    url: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    created_at: datetime
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, newest first, and the cursor of the next page; None at the end."""

    items: tuple[Delivery, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One recorded attempt; its number grows over all rounds, and no status is no answer."""

    number: int
    at: datetime
    outcome: Outcome
    status_code: int | None
    duration_ms: int


async def list_deliveries(
    conn: Connection,
    account_id: str,
    mode: Mode,
    *,
    limit: int,
    job_id: str | None = None,
    state: DeliveryState | None = None,
    cursor: str | None = None,
) -> DeliveryPage:
    """Up to `limit` deliveries, newest first, of one job or in one state if asked.

    A cursor is the id of the last delivery of the page before. Raises BadRequest for one of somebody else.
    """
    last = None if cursor is None else await _find(conn, account_id, mode, cursor)
    if cursor is not None and last is None:
        raise BadRequest("cursor is not one that this list gave; start again without it.", param="cursor")
    created_at = last["created_at"] if last else None
    rows = await conn.fetch(_LIST, account_id, mode, job_id, state, created_at, cursor, limit + 1)
    items = tuple(_delivery(row) for row in rows[:limit])
    return DeliveryPage(items, items[-1].id if len(rows) > limit else None)


async def read_delivery(
    conn: Connection, account_id: str, mode: Mode, delivery_id: str
) -> tuple[Delivery, tuple[Attempt, ...]]:
    """A delivery with its attempts in order. Raises NotFound, also for somebody else's."""
    row = await _find(conn, account_id, mode, delivery_id)
    if row is None:
        raise _nothing_there()
    attempts = await conn.fetch(_ATTEMPTS, delivery_id)
    return _delivery(row), tuple(Attempt(**dict(attempt)) for attempt in attempts)


async def redeliver(conn: Connection, account_id: str, mode: Mode, delivery_id: str) -> Delivery:
    """Send the same bytes under the same `webhook-id` again, now, whatever came of it before.

    It goes out even to a disabled address, which is enabled again if it takes the message. Raises NotFound.
    """
    row = await conn.fetchrow(_REDELIVER, account_id, mode, delivery_id)
    if row is None:
        raise _nothing_there()
    return _delivery(row)


async def _find(conn: Connection, account_id: str, mode: Mode, delivery_id: str) -> asyncpg.Record | None:
    row: asyncpg.Record | None = await conn.fetchrow(_READ, account_id, mode, delivery_id)
    return row


def _nothing_there() -> NotFound:
    # Without the id that was asked for: the answer about another account's is the same bytes.
    return NotFound("There is no such webhook delivery. List: GET /v1/webhooks/deliveries")


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        id=row["id"],
        message_id=row["message_id"],
        job_id=row["job_id"],
        url=row["url"],
        state=row["state"],
        attempts=row["attempts"],
        next_at=row["next_at"],
        created_at=row["created_at"],
        delivered_at=row["delivered_at"],
    )
