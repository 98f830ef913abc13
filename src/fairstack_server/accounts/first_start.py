"""The first start: a default account with a live and a test key, kept where the CLI and the SDK find them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairstack_server.accounts.audit import FIRST_START, Actor
from fairstack_server.accounts.store import (
    DEFAULT_ACCOUNT,
    SCOPES,
    USER_SCOPES,
    create_account,
    create_key,
)
from fairstack_server.db.connections import Connection, Pool

CREDENTIALS_FILE = "credentials.json"


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """The keys of the default account, shown this once."""

    live: str
    test: str


async def create_default_account(pool: Pool) -> FirstKeys | None:
    """Open the default account with its two keys; None when it is there already. Safe to race."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("lock table accounts in share row exclusive mode")
        if await connection.fetchval("select 1 from accounts where name = $1", DEFAULT_ACCOUNT) is not None:
            return None
        account = await create_account(connection, DEFAULT_ACCOUNT, by=FIRST_START)
        return await create_first_keys(connection, account.id, SCOPES, by=FIRST_START)


async def create_first_keys(
    connection: Connection, account_id: str, live_scopes: Sequence[str], *, by: Actor
) -> FirstKeys:
    """A live and a test key of a new account, in the caller's transaction."""
    _, live = await create_key(connection, account_id, "live", "first live key", live_scopes, by=by)
    _, test = await create_key(connection, account_id, "test", "first test key", USER_SCOPES, by=by)
    return FirstKeys(live, test)


def write_credentials(home: Path, keys: FirstKeys, base_url: str) -> Path:
    """Keep the keys with mode 0600 for the CLI and SDK of this user; replaces an older file whole."""
    path = home / CREDENTIALS_FILE
    text = json.dumps({"base_url": base_url, "live_key": keys.live, "test_key": keys.test}, indent=2)
    _replace(path, text)
    return path


def note_base_url(home: Path, base_url: str) -> None:
    """Remember where the server was started last, so that the CLI finds it on another port too."""
    path = home / CREDENTIALS_FILE
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    if kept.get("base_url") != base_url:
        _replace(path, json.dumps({**kept, "base_url": base_url}, indent=2))


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
