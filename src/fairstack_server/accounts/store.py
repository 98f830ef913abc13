"""Accounts and API keys in PostgreSQL. A key is shown once; its SHA-256 and first characters are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from fairstack_server.accounts.audit import Actor, note
from fairstack_server.clock import timestamp
from fairstack_server.db.connections import Connection, Pool
from fairstack_server.errors import BadRequest, NotFound
from fairstack_server.ids import (
    Mode,
    api_key_hash,
    api_key_shown_prefix,
    new_api_key,
    new_id,
)
from fairstack_server.jsonvalue import JSON
from fairstack_server.wallet import store as wallet

SCOPES: Final = (
    "generate",
    "jobs:read",
    "assets:read",
    "assets:delete",
    "credits:read",
    "keys:write",
    "admin",
)
#: What a key gets that asks for nothing: everything but `admin`.
USER_SCOPES: Final = tuple(scope for scope in SCOPES if scope != "admin")
MODES: Final[tuple[Mode, ...]] = ("live", "test")
DEFAULT_ACCOUNT: Final = "default"


_CHANGE_KEY = """
update api_keys set name = coalesce($3, name), scopes = coalesce($4, scopes),
                    cap_micros = case when $6 then $5 else cap_micros end
where id = $1 and account_id = $2 and mode = any($7) and revoked_at is null returning *
"""
_FIND_KEY = "select * from api_keys where (id, account_id) = ($1, $2) and mode = any($3) for no key update"
_REVOKE_KEY = "update api_keys set revoked_at = now() where id = $1 returning *"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request: found from its key."""

    account_id: str
    key_id: str
    mode: Mode
    scopes: frozenset[str]
    bounded: bool = False
    """The key has a cap or an end of its own."""

    @property
    def managed_modes(self) -> Sequence[Mode]:
        """Modes of the keys that this one may list, change and revoke: the sandbox reaches no live key."""
        return MODES if self.mode == "live" else ("test",)


@dataclass(frozen=True, slots=True)
class Account:
    """One wallet owner."""

    id: str
    name: str
    cap_micros: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner sees it: never the key itself."""

    id: str
    account_id: str
    mode: Mode
    name: str
    prefix: str
    scopes: tuple[str, ...]
    cap_micros: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class Accounts:
    """Accounts and keys."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def create(self, name: str, cap_micros: int | None = None, *, by: Actor) -> Account:
        """Open an account with no live money and $100.00 of test money. Raises BadRequest: name taken."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await create_account(connection, name, cap_micros, by=by)

    async def find(self, name_or_id: str) -> Account:
        """An account by its name or id. Raises NotFound."""
        row = await self._pool.fetchrow("select * from accounts where id = $1 or name = $1", name_or_id)
        if row is None:
            raise NotFound(f"No account {name_or_id!r}.")
        return _account(row)

    async def all(self) -> list[Account]:
        """Every account, oldest first."""
        return [
            _account(row) for row in await self._pool.fetch("select * from accounts order by created_at, id")
        ]

    async def caller(self, key: str) -> Caller | None:
        """Who holds this key; None for an unknown, revoked or expired one."""
        row = await self._pool.fetchrow(
            """
            update api_keys set last_used_at = now()
            where hash = $1 and revoked_at is null and (expires_at is null or expires_at > now())
            returning id, account_id, mode, scopes,
                      cap_micros is not null or expires_at is not null as bounded
            """,
            api_key_hash(key),
        )
        if row is None:
            return None
        return Caller(row["account_id"], row["id"], row["mode"], frozenset(row["scopes"]), row["bounded"])

    async def create_key(
        self,
        account_id: str,
        mode: Mode,
        name: str,
        scopes: Sequence[str] = USER_SCOPES,
        *,
        cap_micros: int | None = None,
        expires_at: datetime | None = None,
        by: Actor,
    ) -> tuple[ApiKey, str]:
        """Make a key; the second value is the key itself, to be shown this once."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await create_key(
                connection,
                account_id,
                mode,
                name,
                scopes,
                cap_micros=cap_micros,
                expires_at=expires_at,
                by=by,
            )

    async def keys(self, account_id: str, modes: Sequence[Mode] = MODES) -> list[ApiKey]:
        """An account's keys of these modes, oldest first, revoked ones included."""
        rows = await self._pool.fetch(
            "select * from api_keys where account_id = $1 and mode = any($2) order by created_at, mode, id",
            account_id,
            list(modes),
        )
        return [_key(row) for row in rows]

    async def change_key(
        self,
        account_id: str,
        key_id: str,
        *,
        name: str | None,
        scopes: Sequence[str] | None,
        cap_micros: int | None,
        cap_given: bool,
        modes: Sequence[Mode] = MODES,
        by: Actor,
    ) -> ApiKey:
        """Change what is given; `cap_given` with None takes the cap away. Raises NotFound."""
        if scopes is not None:
            check_scopes(scopes)
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _CHANGE_KEY,
                key_id,
                account_id,
                name,
                None if scopes is None else list(scopes),
                cap_micros,
                cap_given,
                list(modes),
            )
            if row is None:
                raise NotFound("There is no such API key.")
            key = _key(row)
            await note(connection, by, "key.changed", key.id, account_id=account_id, details=_noted(key))
            return key

    async def revoke_key(
        self, account_id: str, key_id: str, modes: Sequence[Mode] = MODES, *, by: Actor
    ) -> ApiKey:
        """End a key at once; repeating it changes nothing. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_FIND_KEY, key_id, account_id, list(modes))
            if row is None:
                raise NotFound("There is no such API key.")
            if row["revoked_at"] is None:
                row = await connection.fetchrow(_REVOKE_KEY, key_id)
                details = {"prefix": row["prefix"], "name": row["name"]}
                await note(connection, by, "key.revoked", key_id, account_id=account_id, details=details)
            return _key(row)


async def create_account(
    connection: Connection, name: str, cap_micros: int | None = None, *, by: Actor
) -> Account:
    """As `Accounts.create`, in the caller's transaction."""
    row = await connection.fetchrow(
        "insert into accounts (id, name, cap_micros) values ($1, $2, $3) "
        "on conflict (name) do nothing returning *",
        new_id("acct"),
        name,
        cap_micros,
    )
    if row is None:
        raise BadRequest(f"There is an account named {name!r} already.", param="name")
    account = _account(row)
    await wallet.ensure_test_wallet(connection, account.id)
    details = {"name": name, "cap_micro": cap_micros}
    await note(connection, by, "account.created", account.id, account_id=account.id, details=details)
    return account


async def create_key(
    connection: Connection,
    account_id: str,
    mode: Mode,
    name: str,
    scopes: Sequence[str],
    *,
    cap_micros: int | None = None,
    expires_at: datetime | None = None,
    by: Actor,
) -> tuple[ApiKey, str]:
    """As `Accounts.create_key`, in the caller's transaction."""
    check_scopes(scopes)
    secret = new_api_key(mode)
    row = await connection.fetchrow(
        """
        insert into api_keys (id, account_id, mode, name, hash, prefix, scopes, cap_micros, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning *
        """,
        new_id("key"),
        account_id,
        mode,
        name,
        api_key_hash(secret),
        api_key_shown_prefix(secret),
        list(scopes),
        cap_micros,
        expires_at,
    )
    if row is None:
        raise NotFound("The account is gone.")
    key = _key(row)
    await note(connection, by, "key.created", key.id, account_id=account_id, details=_noted(key))
    return key, secret


def check_scopes(scopes: Sequence[str]) -> None:
    """Raise BadRequest naming a scope that there is not."""
    for scope in scopes:
        if scope not in SCOPES:
            raise BadRequest(
                f"There is no scope {scope[:40]!r}. Scopes: {', '.join(SCOPES)}.",
                param="scopes",
                allowed=SCOPES,
            )


def _noted(key: ApiKey) -> dict[str, JSON]:
    """What the audit log says of a key: what it may do, never what it is."""
    return {
        "prefix": key.prefix,
        "name": key.name,
        "mode": key.mode,
        "scopes": list(key.scopes),
        "cap_micro": key.cap_micros,
        "expires_at": None if key.expires_at is None else timestamp(key.expires_at),
    }


def _account(row: asyncpg.Record) -> Account:
    return Account(row["id"], row["name"], row["cap_micros"], row["created_at"])


def _key(row: asyncpg.Record) -> ApiKey:
    return ApiKey(
        id=row["id"],
        account_id=row["account_id"],
        mode=row["mode"],
        name=row["name"],
        prefix=row["prefix"],
        scopes=tuple(row["scopes"]),
        cap_micros=row["cap_micros"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
