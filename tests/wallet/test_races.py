"""Several connections after the same money."""

from __future__ import annotations

import asyncio
from typing import Any

from fairstack_server.db.connections import Pool
from fairstack_server.wallet import store
from fairstack_server.wallet.ledger import AlreadySettled, CapReached, Held, Insufficient, Wallet

from .makers import Account, live_balance, make_account, place


async def _try_to_hold(pool: Pool, account: Account, micros: int) -> Any:
    async with pool.acquire() as conn, conn.transaction():
        return (await place(conn, account.request(micros)))[0]


async def test_one_of_many_gets_the_last_micro(pool: Pool) -> None:
    """Eight connections spend the last micro at once: exactly one wins, each time."""
    for _ in range(5):
        async with pool.acquire() as conn, conn.transaction():
            account = await make_account(conn, micros=1)
        outcomes = await asyncio.gather(*(_try_to_hold(pool, account, 1) for _ in range(8)))
        assert outcomes.count(Held()) == 1
        assert outcomes.count(Insufficient(1, 0)) == 7
        assert await live_balance(pool, account) == Wallet(0, 1)


async def test_one_of_many_gets_the_last_room_under_a_cap(pool: Pool) -> None:
    """Eight connections race for the last micro under a key's cap: exactly one wins."""
    async with pool.acquire() as conn, conn.transaction():
        account = await make_account(conn, micros=100, key_cap=1)
    outcomes = await asyncio.gather(*(_try_to_hold(pool, account, 1) for _ in range(8)))
    assert outcomes.count(Held()) == 1
    assert outcomes.count(CapReached("key", 1, 1, 1)) == 7


async def test_one_of_many_settles_a_job(pool: Pool) -> None:
    """Captures and releases of one job at once: exactly one is written."""
    async with pool.acquire() as conn, conn.transaction():
        account = await make_account(conn, micros=100)
        hold = account.request(60)
        await place(conn, hold)

    async def settle(number: int) -> str:
        async with pool.acquire() as conn, conn.transaction():
            try:
                await (
                    store.release(conn, hold.job_id) if number % 2 else store.capture(conn, hold.job_id, 60)
                )
            except AlreadySettled:
                return "refused"
            return "settled"

    assert sorted(await asyncio.gather(*(settle(number) for number in range(8)))) == ["refused"] * 7 + [
        "settled"
    ]


async def test_flushes_over_the_same_wallets_never_deadlock(pool: Pool) -> None:
    """Flushes that name the same wallets in opposite orders all finish."""
    async with pool.acquire() as conn, conn.transaction():
        accounts = [await make_account(conn, micros=1_000) for _ in range(4)]

    async def flush(number: int) -> list[Any]:
        order = accounts if number % 2 else accounts[::-1]
        async with pool.acquire() as conn, conn.transaction():
            return await place(conn, *(account.request(1) for account in order))

    outcomes = await asyncio.gather(*(flush(number) for number in range(16)))
    assert all(outcome == [Held()] * 4 for outcome in outcomes)
    assert [await live_balance(pool, account) for account in accounts] == [Wallet(984, 16)] * 4
