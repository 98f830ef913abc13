"""The outbox in SQL: a message is put in with the event it tells, claimed by one sender, and recorded.

An attempt is counted when its outcome is recorded. A sender that dies in between leaves a lease that runs
out, and the same attempt is made again: at least once, always with the same `webhook-id`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, assert_never
from urllib.parse import urlsplit

import asyncpg

from fairstack_server.clock import timestamp
from fairstack_server.db.connections import Connection
from fairstack_server.ids import Mode, new_id
from fairstack_server.webhooks.schedule import Delivered, GivenUp, Gone, Retry, Verdict
from fairstack_server.webhooks.sign import new_secret

#: NOTIFY channel that says that something may be due.
DUE_CHANNEL = "webhook_due"
#: Most secrets that sign at once, however often an account rotates in a day.
MAX_SIGNING_SECRETS = 4

DeliveryState = Literal["pending", "delivered", "failed", "disabled"]
Outcome = Literal[
    "delivered", "http_error", "redirected", "gone", "address_refused", "timeout", "unreachable"
]

# Told to the job's own address, else to the account's default one; to nobody when there is neither. The first
# message of an account makes its secret.
_ENQUEUE = """
with target as (
    select $6::text as url, $7::text as host where $6::text is not null
    union all
    select url, host from webhook_endpoints
     where $6::text is null and (account_id, mode) = ($3, $4) and is_default
), secret as (
    insert into webhook_secrets (account_id, secret)
    select $3, $9 from target
     where not exists (select from webhook_secrets s where s.account_id = $3 and s.valid_until is null)
        on conflict do nothing
)
insert into webhook_deliveries (id, message_id, account_id, mode, job_id, url, host, body, state, next_at)
select $1, $2, $3, $4, $5, target.url, target.host, $8,
       case when closed.url is null then 'pending' else 'disabled' end,
       case when closed.url is null then now() end
  from target
  left join webhook_endpoints closed on (closed.account_id, closed.mode, closed.url) = ($3, $4, target.url)
                                    and closed.disabled_at is not null
returning id, pg_notify('webhook_due', '')
"""

# Due deliveries, the longest due of each host first, and no more of a host than the sender has room for. The
# hosts are found by hopping through the index, so the long queue of one dead host costs the others nothing.
_CLAIM = """
with recursive hosts as (
    (select host from webhook_deliveries where state = 'pending' order by host limit 1)
    union all
    select (select d.host from webhook_deliveries d where d.state = 'pending' and d.host > hosts.host
             order by d.host limit 1)
      from hosts where hosts.host is not null
), due as (
    select d.id from hosts
     cross join lateral (
        select id from webhook_deliveries
         where state = 'pending' and host = hosts.host and next_at <= $1
         order by next_at
         limit greatest(0, $4 - coalesce((select busy.sending
                                            from unnest($5::text[], $6::integer[]) as busy (host, sending)
                                           where busy.host = hosts.host), 0))
           for update skip locked) d
     where hosts.host is not null
     limit $3
)
update webhook_deliveries d set next_at = $2, lease = d.lease + 1
  from due where d.id = due.id
returning d.id, d.message_id, d.account_id, d.mode, d.url, d.host, d.body, d.lease,
          d.attempts - d.attempts_before + 1 as attempt,
          array(select s.secret from webhook_secrets s
                 where s.account_id = d.account_id and (s.valid_until is null or s.valid_until > $1)
                 order by s.valid_until desc nulls first limit $7) as secrets
"""

_NEXT_DUE = "select min(next_at) from webhook_deliveries where state = 'pending' and next_at > $1"

# Only the holder of the newest lease says what came of the attempt. An address that was disabled in the
# meantime stays so, unless it just took a message: that proves that it is there again.
_RECORD = """
with moved as (
    update webhook_deliveries
       set attempts = attempts + 1,
           state = case when state = 'disabled' and $3 = 'pending' then 'disabled' else $3 end,
           next_at = case when state = 'disabled' then null else $4::timestamptz end,
           delivered_at = case when $3 = 'delivered' then $5::timestamptz end
     where id = $1 and lease = $2
    returning id, attempts, account_id, mode, url, state
), opened as (
    update webhook_endpoints e set disabled_at = null, reason = null
      from moved where moved.state = 'delivered' and e.disabled_at is not null
                   and (e.account_id, e.mode, e.url) = (moved.account_id, moved.mode, moved.url)
)
insert into webhook_attempts (delivery_id, number, at, outcome, status_code, duration_ms)
select id, attempts, $5, $6, $7, $8 from moved returning number
"""

_DISABLE = """
with closed as (
    insert into webhook_endpoints (account_id, mode, url, host, is_default, disabled_at, reason)
    values ($1, $2, $3, $4, false, $5, $6)
        on conflict (account_id, mode, url)
        do update set disabled_at = excluded.disabled_at, reason = excluded.reason
)
update webhook_deliveries set state = 'disabled', next_at = null
 where (account_id, mode) = ($1, $2) and url = $3 and host = $4 and state = 'pending'
"""


#: An address where nothing arrived for so long is no longer tried, until its owner enables it again.
DEAD_AFTER = timedelta(days=5)
_DEAD_AFTER_ATTEMPTS = 5

# Since when nothing arrived at an address, and how often it was tried since.
_FAILING = """
select min(a.at) as since, count(*) as attempts
  from webhook_deliveries d join webhook_attempts a on a.delivery_id = d.id
 where (d.account_id, d.mode, d.url) = ($1, $2, $3) and a.outcome <> 'delivered'
   and a.at > coalesce((select max(delivered_at) from webhook_deliveries
                         where (account_id, mode, url) = ($1, $2, $3)), '-infinity')
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours to send until its lease runs out. `attempt` counts from 1 in this round."""

    id: str
    message_id: str
    account_id: str
    mode: Mode
    url: str
    host: str
    body: bytes
    lease: int
    attempt: int
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attempted:
    """What came of one attempt: when it began, what was answered (None: nothing), how long it took."""

    at: datetime
    outcome: Outcome
    status_code: int | None
    duration_ms: int


async def enqueue(
    conn: Connection,
    account_id: str,
    mode: Mode,
    body: bytes,
    *,
    url: str | None = None,
    job_id: str | None = None,
) -> str | None:
    """Put a message into the outbox, in the caller's transaction; answers the id of the delivery.

    It goes to `url`, else to the account's default endpoint of that mode; None when there is neither. To a
    disabled address it is kept, not sent. Always due at once; the bytes of `body` are sent as they are.
    """
    delivery_id: str | None = await conn.fetchval(
        _ENQUEUE,
        new_id("whd"),
        new_id("msg"),
        account_id,
        mode,
        job_id,
        url,
        host_of(url) if url is not None else None,
        body,
        new_secret(),
    )
    return delivery_id


async def enqueue_for_job(
    conn: Connection, account_id: str, mode: Mode, job_id: str, webhook_url: str | None, body: bytes
) -> str | None:
    """Tell the end of a job; call it in the transaction that ends the job. As `enqueue`."""
    return await enqueue(conn, account_id, mode, body, url=webhook_url, job_id=job_id)


async def claim(
    conn: Connection,
    now: datetime,
    *,
    limit: int,
    per_host: int,
    taken: Mapping[str, int],
    lease: timedelta,
) -> list[Claimed]:
    """Take up to `limit` due deliveries for ourselves until the lease is over; nobody else gets them before.

    `taken` says how much of `per_host` is taken at each host: it gets no more than the rest.
    """
    rows = await conn.fetch(
        _CLAIM,
        now,
        now + lease,
        limit,
        per_host,
        list(taken.keys()),
        list(taken.values()),
        MAX_SIGNING_SECRETS,
    )
    return [_claimed(row) for row in rows]


async def next_due(conn: Connection, now: datetime) -> datetime | None:
    """When something becomes due after `now`; None when nothing waits."""
    moment: datetime | None = await conn.fetchval(_NEXT_DUE, now)
    return moment


async def record(conn: Connection, claimed: Claimed, attempted: Attempted, verdict: Verdict) -> bool:
    """Write down an attempt and what follows from it, in the caller's transaction.

    False, and nothing written, when the lease ran out and somebody else took the delivery. After `Gone` the
    address is disabled and everything that waits for it stops.
    """
    state, next_at = _what_follows(verdict, attempted)
    number = await conn.fetchval(
        _RECORD,
        claimed.id,
        claimed.lease,
        state,
        next_at,
        attempted.at,
        attempted.outcome,
        attempted.status_code,
        attempted.duration_ms,
    )
    if number is not None and isinstance(verdict, Gone):
        reason = "The receiver answered 410 Gone."
        where = (claimed.account_id, claimed.mode, claimed.url, claimed.host)
        await conn.execute(_DISABLE, *where, attempted.at, reason)
    return number is not None


async def disable_if_dead(conn: Connection, claimed: Claimed, attempted: Attempted) -> bool:
    """Disable the address when nothing arrived there for five days; True when that was done now.

    What waits for it is kept, and sent when its owner redelivers it or enables the address again.
    """
    where = (claimed.account_id, claimed.mode, claimed.url)
    row = await conn.fetchrow(_FAILING, *where)
    if row is None or row["attempts"] < _DEAD_AFTER_ATTEMPTS or attempted.at - row["since"] < DEAD_AFTER:
        return False
    since = timestamp(row["since"])
    reason = f"Nothing arrived there for {DEAD_AFTER.days} days; the first failure was at {since}."
    await conn.execute(_DISABLE, *where, claimed.host, attempted.at, reason)
    return True


def host_of(url: str) -> str:
    """The host and port that share a limit; the URL itself if it has none (the guard will refuse it)."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower() or url
    except ValueError:
        # A job must be able to end, whatever address it was given.
        return url


def _claimed(row: asyncpg.Record) -> Claimed:
    return Claimed(
        id=row["id"],
        message_id=row["message_id"],
        account_id=row["account_id"],
        mode=row["mode"],
        url=row["url"],
        host=row["host"],
        body=row["body"],
        lease=row["lease"],
        attempt=row["attempt"],
        secrets=tuple(row["secrets"]),
    )


def _what_follows(verdict: Verdict, attempted: Attempted) -> tuple[DeliveryState, datetime | None]:
    match verdict:
        case Delivered():
            return "delivered", None
        case Retry(delay_seconds=delay_seconds):
            ended_at = attempted.at + timedelta(milliseconds=attempted.duration_ms)
            return "pending", ended_at + timedelta(seconds=delay_seconds)
        case GivenUp():
            return "failed", None
        case Gone():
            return "disabled", None
        case _:
            assert_never(verdict)
