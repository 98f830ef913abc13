"""Accounts with money and a live key, made in the database before a server is measured."""

from __future__ import annotations

from fairstack_server.accounts.audit import Actor
from fairstack_server.accounts.store import Accounts
from fairstack_server.db.connections import Pool
from fairstack_server.wallet import store as wallet

#: A million dollars: no measurement runs dry.
_GRANT_MICROS = 1_000_000 * 1_000_000


async def fund(pool: Pool, count: int) -> list[str]:
    """So many accounts; answers a live key of each."""
    accounts, by = Accounts(pool), Actor("command", name="bench")
    keys = []
    for number in range(count):
        account = await accounts.create(f"bench {number}", by=by)
        _, secret = await accounts.create_key(account.id, "live", "bench", by=by)
        async with pool.acquire() as connection, connection.transaction():
            await wallet.grant(connection, account.id, "live", _GRANT_MICROS, "for a measurement")
        keys.append(secret)
    return keys
