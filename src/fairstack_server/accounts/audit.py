"""The audit log: every change of access or money that somebody made by hand. Only ever added to."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, get_args

import asyncpg

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.errors import BadRequest
from fairstack_server.ids import new_id
from fairstack_server.jsonvalue import JSON

Action = Literal[
    "account.created",
    "key.created",
    "key.changed",
    "key.revoked",
    "money.granted",
    "money.corrected",
    "webhook_secret.rotated",
    "webhook_endpoint.changed",
    "routes.cleared",
    "catalog.reloaded",
]
ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
Source = Literal["api", "command", "start"]

_NOTE = """
insert into audit_log (id, action, source, by_account_id, by_key_id, by_name, request_id,
                       account_id, subject, details)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

# Newest first, from behind the entry that the cursor names.
_PAGE = """
select * from audit_log
where ($1::text is null or account_id = $1) and ($2::text is null or action = $2)
  and ($3::text is null or seq < (select seq from audit_log where id = $3))
order by seq desc limit $4
"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: a key and its request, a command on the machine, or the first start."""

    source: Source
    account_id: str | None = None
    key_id: str | None = None
    name: str | None = None
    request_id: str | None = None


#: The server itself, at its first start.
FIRST_START: Final = Actor("start")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, as it was noted. `account_id` is whom it concerns; None for what is the operator's own."""

    id: str
    at: datetime
    action: str
    by: Actor
    account_id: str | None
    subject: str
    details: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, newest first; `next_cursor` is None on the last page."""

    items: Sequence[Entry]
    next_cursor: str | None


def command_actor() -> Actor:
    """Who runs a command here, by the name of their account on this machine."""
    try:
        return Actor("command", name=getpass.getuser())
    except (KeyError, OSError):
        return Actor("command")


async def note(
    connection: Connection,
    by: Actor,
    action: Action,
    subject: str,
    *,
    account_id: str | None = None,
    details: Mapping[str, JSON] | None = None,
) -> None:
    """Write one entry, in the transaction of the change; `details` hold no key, secret or prompt."""
    await connection.execute(
        _NOTE,
        new_id("aud"),
        action,
        by.source,
        by.account_id,
        by.key_id,
        by.name,
        by.request_id,
        account_id,
        subject,
        dict(details or {}),
    )


async def read_entries(
    pool: Pool,
    *,
    limit: int,
    account_id: str | None = None,
    action: str | None = None,
    cursor: str | None = None,
) -> Page:
    """A page of entries, newest first. Raises BadRequest for a cursor that names no entry."""
    if cursor is not None and not await pool.fetchval("select 1 from audit_log where id = $1", cursor):
        raise BadRequest("'cursor' must be the next_cursor of an earlier page.", param="cursor")
    rows = await pool.fetch(_PAGE, account_id, action, cursor, limit + 1)
    items = [_entry(row) for row in rows[:limit]]
    return Page(items, items[-1].id if len(rows) > limit else None)


def _entry(row: asyncpg.Record) -> Entry:
    by = Actor(row["source"], row["by_account_id"], row["by_key_id"], row["by_name"], row["request_id"])
    return Entry(row["id"], row["at"], row["action"], by, row["account_id"], row["subject"], row["details"])
