"""Accounts, keys and jobs for the tests of money."""

from __future__ import annotations

from dataclasses import dataclass

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.ids import Mode, new_id
from fairstack_server.wallet import store
from fairstack_server.wallet.ledger import Held, HoldOutcome, HoldRequest, Wallet


@dataclass(frozen=True, slots=True)
class Account:
    """An account with one live and one test key."""

    id: str
    live_key: str
    test_key: str

    def key(self, mode: Mode) -> str:
        """The id of the key of that mode."""
        return self.live_key if mode == "live" else self.test_key

    def request(self, micros: int, mode: Mode = "live", job_id: str | None = None) -> HoldRequest:
        """A hold for a new job of this account."""
        return HoldRequest(job_id or new_id("job"), self.id, self.key(mode), mode, micros)


async def make_account(
    conn: Connection, *, micros: int = 0, cap: int | None = None, key_cap: int | None = None
) -> Account:
    """Store an account with its keys and a live wallet of that many micros."""
    account = Account(new_id("acct"), new_id("key"), new_id("key"))
    await conn.execute("insert into accounts (id, name, cap_micros) values ($1, $1, $2)", account.id, cap)
    for key_id, mode in ((account.live_key, "live"), (account.test_key, "test")):
        await conn.execute(
            "insert into api_keys (id, account_id, mode, name, hash, prefix, scopes, cap_micros)"
            " values ($1, $2, $3, 'key', $4, 'fs_', '{}', $5)",
            key_id,
            account.id,
            mode,
            key_id.encode(),
            key_cap,
        )
    if micros:
        await store.grant(conn, account.id, "live", micros, "to start with")
    return account


async def store_job(
    conn: Connection, hold: HoldRequest, *, model: str = "local-scene-t2v", tags: dict[str, str] | None = None
) -> None:
    """Store the queued job that a hold is for."""
    await conn.execute(
        """
        insert into jobs (id, account_id, key_id, mode, state, model, ask, settled, tags, quote_micros,
                          deadline_at)
        values ($1, $2, $3, $4, 'queued', $5, '{}', '{}', $6, $7, now() + interval '1 hour')
        """,
        hold.job_id,
        hold.account_id,
        hold.key_id,
        hold.mode,
        model,
        tags or {},
        hold.micros,
    )


async def place(conn: Connection, *holds: HoldRequest) -> list[HoldOutcome]:
    """Place holds and store a job for each one that was held."""
    outcomes = await store.hold_many(conn, holds)
    for hold, outcome in zip(holds, outcomes, strict=True):
        if isinstance(outcome, Held):
            await store_job(conn, hold)
    return outcomes


async def end_job(conn: Connection, job_id: str, state: str) -> None:
    """Bring a job to an end."""
    await conn.execute(
        "update jobs set state = $2, terminal = '{}', ended_at = now() where id = $1", job_id, state
    )


async def spent(conn: Connection, scope_id: str) -> int:
    """Micros counted against this month's cap of an account or a key."""
    return (
        await conn.fetchval(
            "select micros from spending where scope_id = $1 and month = spending_month(now())", scope_id
        )
        or 0
    )


async def live_balance(pool: Pool, account: Account) -> Wallet:
    """What an account has of live money, as every connection sees it."""
    async with pool.acquire() as conn:
        return await store.balance(conn, account.id, "live")
