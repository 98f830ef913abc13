"""An account's default address and the secrets that sign what is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from fairstack_server.db.connections import Connection
from fairstack_server.ids import Mode
from fairstack_server.webhooks.sign import new_secret
from fairstack_server.webhooks.store import host_of

#: How long a secret still signs after it was rotated out.
ROTATION_OVERLAP = timedelta(hours=24)

_ENDPOINT = """
select url, disabled_at, reason from webhook_endpoints where (account_id, mode) = ($1, $2) and is_default
"""

_DROP_ENDPOINT = """
update webhook_endpoints set is_default = false where (account_id, mode) = ($1, $2) and is_default
"""

_PUT_ENDPOINT = """
insert into webhook_endpoints (account_id, mode, url, host, is_default) values ($1, $2, $3, $4, true)
    on conflict (account_id, mode, url) do update set is_default = true, disabled_at = null, reason = null
returning url, disabled_at, reason
"""

# One writer of an account's settings at a time.
_LOCK_ACCOUNT = "select 1 from accounts where id = $1 for no key update"

_CURRENT = """
select secret, created_at from webhook_secrets where account_id = $1 and valid_until is null
"""
_OLD_ONES_UNTIL = "select max(valid_until) from webhook_secrets where account_id = $1 and valid_until > now()"

_RETIRE = """
update webhook_secrets set valid_until = now() + $2::interval where account_id = $1 and valid_until is null
"""

_FORGET_OLD_ONES = "delete from webhook_secrets where account_id = $1 and valid_until <= now()"

_ADD = "insert into webhook_secrets (account_id, secret) values ($1, $2) on conflict do nothing"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The default address of an account in one mode; while `disabled_at` is set, nothing is sent there."""

    url: str
    disabled_at: datetime | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """The current secret, and until when the ones before it sign too; None when they no longer do."""

    secret: str
    created_at: datetime
    previous_until: datetime | None


async def get_endpoint(conn: Connection, account_id: str, mode: Mode) -> Endpoint | None:
    """Where jobs without a `webhook_url` are told; None for nowhere."""
    row = await conn.fetchrow(_ENDPOINT, account_id, mode)
    return Endpoint(row["url"], row["disabled_at"], row["reason"]) if row else None


async def put_endpoint(conn: Connection, account_id: str, mode: Mode, url: str | None) -> Endpoint | None:
    """Make `url` the default address and enable it, also after it was disabled; None: no default any more.

    The caller has judged the address. Must run in a transaction.
    """
    await conn.execute(_LOCK_ACCOUNT, account_id)
    await conn.execute(_DROP_ENDPOINT, account_id, mode)
    if url is None:
        return None
    row = await conn.fetchrow(_PUT_ENDPOINT, account_id, mode, url, host_of(url))
    return Endpoint(row["url"], row["disabled_at"], row["reason"]) if row else None


async def read_secret(conn: Connection, account_id: str) -> SigningSecret:
    """The secret that signs this account's webhooks, made on first use. The account must exist."""
    row = await conn.fetchrow(_CURRENT, account_id)
    if row is None:
        await conn.execute(_ADD, account_id, new_secret())
        row = await conn.fetchrow(_CURRENT, account_id)
    if row is None:
        raise LookupError(f"account {account_id} has no webhook secret")
    return SigningSecret(row["secret"], row["created_at"], await conn.fetchval(_OLD_ONES_UNTIL, account_id))


async def rotate_secret(conn: Connection, account_id: str) -> SigningSecret:
    """Sign with a new secret from now on, and with the old one too for 24 h. Must run in a transaction."""
    await conn.execute(_LOCK_ACCOUNT, account_id)
    await conn.execute(_FORGET_OLD_ONES, account_id)
    await conn.execute(_RETIRE, account_id, ROTATION_OVERLAP)
    await conn.execute(_ADD, account_id, new_secret())
    return await read_secret(conn, account_id)
