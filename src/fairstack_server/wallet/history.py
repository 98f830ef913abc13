"""What happened to a wallet: its ledger, newest first, and what was charged in a period, grouped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from fairstack_server.db.connections import Connection
from fairstack_server.errors import BadRequest
from fairstack_server.ids import Mode
from fairstack_server.wallet.ledger import Kind

GroupBy = Literal["day", "model", "key", "tag"]
GROUPS: tuple[GroupBy, ...] = get_args(GroupBy)

#: Most groups that one answer about usage has; those with the smallest charges are left out.
MAX_GROUPS = 1000

# A wallet's movements; an operator's losses move no wallet and are not its owner's business.
_ENTRIES = """
select t.id, t.kind, t.amount_micros, t.job_id, t.memo, t.created_at,
       coalesce(sum(e.amount_micros) filter (where e.book = 'wallet_available'), 0)::bigint as available,
       coalesce(sum(e.amount_micros) filter (where e.book = 'wallet_held'), 0)::bigint as held
  from (select * from ledger_transactions
         where (account_id, mode) = ($1, $2) and kind <> 'loss' and ($3::bigint is null or seq < $3)
         order by seq desc limit $4) t
  left join ledger_entries e on e.transaction_id = t.id
 group by t.seq, t.id, t.kind, t.amount_micros, t.job_id, t.memo, t.created_at
 order by t.seq desc
"""

_PLACE_OF_CURSOR = "select seq from ledger_transactions where (account_id, mode) = ($1, $2) and id = $3"

_USAGE_HEAD = """
select grouped.name, count(*) as jobs, sum(t.amount_micros)::bigint as charge_micros
  from ledger_transactions t join jobs j on j.id = t.job_id
"""
_USAGE_TAIL = """
 where (t.account_id, t.mode) = ($1, $2) and t.kind = 'capture' and t.created_at >= $3 and t.created_at < $4
 group by grouped.name order by charge_micros desc, grouped.name limit $5
"""
_USAGE_GROUPS: Mapping[GroupBy, str] = {
    "day": """cross join lateral (select to_char(t.created_at at time zone 'UTC', 'YYYY-MM-DD'))
                                  as grouped (name)""",
    "model": "cross join lateral (select j.model) as grouped (name)",
    "key": "cross join lateral (select j.key_id) as grouped (name)",
    # A job counts in the group of each of its tags, and one without tags in the group with the empty name.
    "tag": """cross join lateral (select key || '=' || value from jsonb_each_text(j.tags)
                                  union all select '' where j.tags = '{}') as grouped (name)""",
}


@dataclass(frozen=True, slots=True)
class LedgerItem:
    """One movement of a wallet. `amount_micros` is what its kind is about; the changes are signed micros."""

    id: str
    kind: Kind
    amount_micros: int
    available_change_micros: int
    held_change_micros: int
    job_id: str | None
    memo: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerPage:
    """Some movements, newest first, and the cursor of the next page; None at the end."""

    items: tuple[LedgerItem, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """What was charged under one name: a day (UTC, ISO), a model, a key's id, or `tag=value`."""

    name: str
    jobs: int
    charge_micros: int


async def entries(
    conn: Connection, account_id: str, mode: Mode, *, limit: int, cursor: str | None = None
) -> LedgerPage:
    """Up to `limit` movements of the wallet, newest first, older than the cursor's.

    A cursor is the id of the last movement of the page before. Raises BadRequest for one of another wallet.
    """
    before: int | None = None
    if cursor is not None:
        before = await conn.fetchval(_PLACE_OF_CURSOR, account_id, mode, cursor)
        if before is None:
            raise BadRequest(
                "cursor is not one that this ledger gave; start again without it.", param="cursor"
            )
    rows = await conn.fetch(_ENTRIES, account_id, mode, before, limit + 1)
    items = tuple(
        LedgerItem(
            id=row["id"],
            kind=row["kind"],
            amount_micros=row["amount_micros"],
            available_change_micros=row["available"],
            held_change_micros=row["held"],
            job_id=row["job_id"],
            memo=row["memo"],
            created_at=row["created_at"],
        )
        for row in rows[:limit]
    )
    return LedgerPage(items, items[-1].id if len(rows) > limit else None)


async def usage(
    conn: Connection, account_id: str, mode: Mode, *, group_by: GroupBy, since: datetime, until: datetime
) -> list[UsageGroup]:
    """What captures from `since` (included) to `until` (excluded) charged, by group.

    Days come in order of time, everything else with the largest charge first. A job with several tags counts
    in each of their groups.
    """
    query = _USAGE_HEAD + _USAGE_GROUPS[group_by] + _USAGE_TAIL
    rows = await conn.fetch(query, account_id, mode, since, until, MAX_GROUPS)
    groups = [UsageGroup(row["name"], row["jobs"], row["charge_micros"]) for row in rows]
    return sorted(groups, key=lambda group: group.name) if group_by == "day" else groups
