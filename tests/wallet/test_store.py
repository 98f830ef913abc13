"""Holds, captures, releases and grants against a real PostgreSQL."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.errors import NotFound
from fairstack_server.ids import new_id
from fairstack_server.money import MAX_MICROS
from fairstack_server.wallet import history, ledger, store
from fairstack_server.wallet.ledger import (
    AlreadySettled,
    AmountRefused,
    Cap,
    CapReached,
    ChargeAboveHold,
    Held,
    HoldRequest,
    Insufficient,
    NoHold,
    Transaction,
    Wallet,
)
from fairstack_server.wallet.verify import verify

from .conftest import Undone
from .makers import live_balance, make_account, place, spent, store_job


async def test_a_job_that_is_charged_less_gets_the_rest_back(conn: Connection) -> None:
    """Capturing part of a hold charges that part and returns the rest, to the wallet and to the caps."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    assert await place(conn, hold) == [Held()]
    assert await store.balance(conn, account.id, "live") == Wallet(40, 60)
    await store.capture(conn, hold.job_id, 45, provider_cost_micros=30)
    assert await store.balance(conn, account.id, "live") == Wallet(55, 0)
    assert (await spent(conn, account.id), await spent(conn, account.live_key)) == (45, 45)


async def test_a_released_job_costs_nothing(conn: Connection) -> None:
    """A release gives back the whole hold and what it took of the month's caps."""
    account = await make_account(conn, micros=100, cap=100, key_cap=100)
    hold = account.request(100)
    await place(conn, hold)
    await store.release(conn, hold.job_id)
    assert await store.balance(conn, account.id, "live") == Wallet(100, 0)
    assert (await spent(conn, account.id), await spent(conn, account.live_key)) == (0, 0)
    assert await place(conn, account.request(100)) == [Held()]


async def test_a_release_gives_back_to_the_month_of_its_hold(conn: Connection) -> None:
    """A hold placed last month and released now frees last month's spending, not this one's."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold, account.request(10))
    await conn.execute("set constraints all immediate")
    await conn.execute("alter table ledger_transactions disable trigger transactions_never_change")
    await conn.execute(
        "update ledger_transactions set created_at = created_at - interval '1 month' where job_id = $1",
        hold.job_id,
    )
    last_month = "spending_month(now() - interval '1 month')"
    await conn.execute(f"insert into spending values ($1, {last_month}, 60)", account.id)
    await store.release(conn, hold.job_id)
    assert (
        await conn.fetchval(
            f"select micros from spending where scope_id = $1 and month = {last_month}", account.id
        )
        == 0
    )
    assert await spent(conn, account.id) == 70


async def test_a_refused_hold_changes_nothing_and_the_next_ones_run(conn: Connection) -> None:
    """In one flush each item gets its own answer, in order, and only the held ones move money."""
    rich = await make_account(conn, micros=100)
    poor = await make_account(conn, micros=5)
    outcomes = await place(
        conn,
        rich.request(60),
        poor.request(6),
        rich.request(50),
        rich.request(40),
        poor.request(5),
        rich.request(1),
    )
    assert outcomes == [Held(), Insufficient(6, 5), Insufficient(50, 40), Held(), Held(), Insufficient(1, 0)]
    assert await store.balance(conn, rich.id, "live") == Wallet(0, 100)
    assert await store.balance(conn, poor.id, "live") == Wallet(0, 5)
    assert (await spent(conn, rich.id), await spent(conn, poor.id)) == (100, 5)


async def test_caps_count_every_hold_of_a_flush(conn: Connection) -> None:
    """The key's cap and the account's cap stop a flush in the middle, each by its own name."""
    account = await make_account(conn, micros=1_000, cap=100, key_cap=70)
    outcomes = await place(conn, account.request(70), account.request(1), account.request(0))
    assert outcomes == [Held(), CapReached("key", 1, 70, 70), Held()]
    await conn.execute("update api_keys set cap_micros = null where account_id = $1", account.id)
    outcomes = await place(conn, account.request(20), account.request(11), account.request(10))
    assert outcomes == [Held(), CapReached("account", 11, 100, 90), Held()]
    assert await store.caps(conn, account.id, account.live_key) == (
        Cap("account", 100, 100),
        Cap("key", None, 100),
    )


async def test_test_money_never_counts_towards_the_accounts_cap(conn: Connection) -> None:
    """A test key may spend test money over the account's live cap, but not over its own."""
    account = await make_account(conn, micros=100, cap=10, key_cap=50)
    await store.ensure_test_wallet(conn, account.id)
    outcomes = await place(conn, account.request(50, "test"), account.request(1, "test"), account.request(10))
    assert outcomes == [Held(), CapReached("key", 1, 50, 50), Held()]
    assert (await spent(conn, account.id), await spent(conn, account.test_key)) == (10, 50)


async def test_released_test_money_makes_no_room_under_the_live_cap(conn: Connection) -> None:
    """Giving test money back lowers what its key has spent and leaves the account's live spending alone."""
    account = await make_account(conn, micros=100, cap=10)
    await store.ensure_test_wallet(conn, account.id)
    in_sandbox = account.request(10, "test")
    await place(conn, in_sandbox, account.request(10))
    await store.release(conn, in_sandbox.job_id)
    assert (await spent(conn, account.id), await spent(conn, account.test_key)) == (10, 0)
    assert await place(conn, account.request(1)) == [CapReached("account", 1, 10, 10)]


async def test_a_free_job_has_a_real_hold(conn: Connection) -> None:
    """A hold of 0 micros in an empty wallet is held, and settled once."""
    account = await make_account(conn)
    hold = account.request(0)
    assert await place(conn, hold) == [Held()]
    await store.capture(conn, hold.job_id, 0)
    with pytest.raises(AlreadySettled):
        await store.release(conn, hold.job_id)
    assert await store.balance(conn, account.id, "live") == Wallet(0, 0)


async def test_a_repeated_flush_holds_nothing_twice(conn: Connection) -> None:
    """Sending the same holds again answers Held and moves no money, even for a job that was settled since."""
    account = await make_account(conn, micros=100)
    holds = [account.request(60), account.request(40)]
    await place(conn, *holds)
    await store.release(conn, holds[1].job_id)
    assert await store.hold_many(conn, holds) == [Held(), Held()]
    assert await store.balance(conn, account.id, "live") == Wallet(40, 60)


async def test_a_job_cannot_hold_another_amount(conn: Connection) -> None:
    """A second hold of the same job with another amount is refused."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    with pytest.raises(asyncpg.UniqueViolationError):
        await store.hold_many(conn, [account.request(61, job_id=hold.job_id)])


@pytest.mark.parametrize("stranger", ["key_of_nobody", "key of another account", "key of the other mode"])
async def test_a_key_spends_only_from_its_own_wallet(conn: Connection, stranger: str) -> None:
    """A hold whose key is not of that account and mode is refused whole."""
    account, other = await make_account(conn, micros=100), await make_account(conn)
    key_id = {"key of another account": other.live_key, "key of the other mode": account.test_key}.get(
        stranger, stranger
    )
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await store.hold_many(conn, [HoldRequest(new_id("job"), account.id, key_id, "live", 1)])


async def test_an_empty_flush_is_no_question(conn: Connection) -> None:
    """No holds, no outcomes."""
    assert await store.hold_many(conn, []) == []


async def test_a_charge_above_the_hold_is_refused(conn: Connection) -> None:
    """Capturing one micro more than the hold writes nothing."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    with pytest.raises(ChargeAboveHold, match=r"\$0\.000061"):
        await store.capture(conn, hold.job_id, 61)
    assert await store.balance(conn, account.id, "live") == Wallet(40, 60)


async def test_a_job_without_a_hold_cannot_be_settled(conn: Connection) -> None:
    """Capture, release, refund and loss of a job that holds nothing say so."""
    for settle in (
        store.capture(conn, "job_none", 1),
        store.release(conn, "job_none"),
        store.refund(conn, "job_none", 1, ""),
        store.record_loss(conn, "job_none", 1),
    ):
        with pytest.raises(NoHold, match="job_none"):
            await settle


async def test_the_second_settle_is_refused_and_the_transaction_lives_on(conn: Connection) -> None:
    """A second capture or release raises AlreadySettled and moves nothing; the transaction can go on."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    await store.capture(conn, hold.job_id, 60)
    for again in (store.capture(conn, hold.job_id, 60), store.release(conn, hold.job_id)):
        with pytest.raises(AlreadySettled, match=hold.job_id):
            await again
    assert await store.balance(conn, account.id, "live") == Wallet(40, 0)


async def test_refunds_never_exceed_the_charge(conn: Connection) -> None:
    """A charge may go back in parts, to the last micro and no further."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    await store.capture(conn, hold.job_id, 50)
    await store.refund(conn, hold.job_id, 30, "half of it was black")
    with pytest.raises(AmountRefused):
        await store.refund(conn, hold.job_id, 21, "too much")
    await store.refund(conn, hold.job_id, 20, "the rest")
    assert await store.balance(conn, account.id, "live") == Wallet(100, 0)


async def test_a_late_clip_is_the_operators_loss_once(conn: Connection) -> None:
    """A loss is booked once for a job and moves no wallet."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    await store.release(conn, hold.job_id)
    assert await store.record_loss(conn, hold.job_id, 33) is True
    assert await store.record_loss(conn, hold.job_id, 33) is False
    assert await store.balance(conn, account.id, "live") == Wallet(100, 0)


@pytest.mark.parametrize("micros", [0, -1, MAX_MICROS + 1])
async def test_a_grant_out_of_bounds_is_refused(conn: Connection, micros: int) -> None:
    """Nothing, less than nothing and more than the store can keep is no grant."""
    account = await make_account(conn)
    with pytest.raises(AmountRefused):
        await store.grant(conn, account.id, "live", micros, "")


async def test_a_grant_too_high_is_taken_back_and_holds_are_not(conn: Connection) -> None:
    """A correction takes what is available, with its reason in the ledger, and nothing that a job holds."""
    account = await make_account(conn, micros=100)
    await place(conn, account.request(30))
    with pytest.raises(AmountRefused, match=r"available: \$0\.00007\. Unfinished jobs hold \$0\.00003;"):
        await store.correct(conn, account.id, "live", 71, "granted twice")
    assert await store.balance(conn, account.id, "live") == Wallet(70, 30)
    await store.correct(conn, account.id, "live", 70, "granted twice")
    assert await store.balance(conn, account.id, "live") == Wallet(0, 30)
    page = await history.entries(conn, account.id, "live", limit=1)
    (item,) = page.items
    assert (item.kind, item.memo, item.available_change_micros) == ("correction", "granted twice", -70)
    assert await verify(conn) == []


@pytest.mark.parametrize(("micros", "memo"), [(0, "why"), (-1, "why"), (1, ""), (1, " \n")])
async def test_a_correction_of_nothing_or_without_a_reason_is_refused(
    conn: Connection, micros: int, memo: str
) -> None:
    """Money is taken back only as a positive amount, and only for a reason that somebody wrote down."""
    account = await make_account(conn, micros=100)
    with pytest.raises(AmountRefused):
        await store.correct(conn, account.id, "live", micros, memo)
    assert await store.balance(conn, account.id, "live") == Wallet(100, 0)


async def test_the_largest_amount_goes_through_and_one_more_does_not(conn: Connection) -> None:
    """2^63-1 micros can be granted, held, released, held and charged; a wallet that is full refuses more."""
    account = await make_account(conn, micros=MAX_MICROS)
    with pytest.raises(AmountRefused, match="does not fit"):
        await store.grant(conn, account.id, "live", 1, "one more")
    first, second = account.request(MAX_MICROS), account.request(MAX_MICROS)
    assert await place(conn, first, second) == [Held(), Insufficient(MAX_MICROS, 0)]
    with pytest.raises(AmountRefused, match="does not fit"):
        await store.grant(conn, account.id, "live", 1, "one more")
    await store.release(conn, first.job_id)
    assert await place(conn, second) == [Held()]
    await store.capture(conn, second.job_id, MAX_MICROS, MAX_MICROS)
    assert await store.balance(conn, account.id, "live") == Wallet(0, 0)


async def test_an_unknown_account_has_no_wallet(conn: Connection) -> None:
    """Asking for the money of nobody is not_found."""
    for ask in (
        store.balance(conn, "acct_none", "live"),
        store.grant(conn, "acct_none", "live", 1, ""),
        store.caps(conn, "acct_none", None),
    ):
        with pytest.raises(NotFound, match="acct_none"):
            await ask


async def test_test_money_starts_at_100_dollars_and_is_refilled_on_request(conn: Connection) -> None:
    """A test wallet gets $100.00 once, and a refill brings what is available back to $100.00."""
    account = await make_account(conn)
    await store.ensure_test_wallet(conn, account.id)
    await place(conn, account.request(30_000_000, "test"))
    await store.ensure_test_wallet(conn, account.id)
    assert await store.balance(conn, account.id, "test") == Wallet(70_000_000, 30_000_000)
    await store.refill_test_wallet(conn, account.id)
    await store.refill_test_wallet(conn, account.id)
    assert await store.balance(conn, account.id, "test") == Wallet(100_000_000, 30_000_000)
    assert await store.balance(conn, account.id, "live") == Wallet(0, 0)


@pytest.mark.parametrize("table", ["ledger_transactions", "ledger_entries"])
@pytest.mark.parametrize("change", ["update {} set id = id", "delete from {}", "truncate {} cascade"])
async def test_the_ledger_refuses_every_change(conn: Connection, table: str, change: str) -> None:
    """UPDATE, DELETE and TRUNCATE of transactions and entries are refused by the database."""
    await make_account(conn, micros=1)
    await conn.execute("set constraints all immediate")
    statement = change.format(table).replace("set id = id", "set amount_micros = amount_micros")
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await conn.execute(statement)


async def test_an_unbalanced_transaction_cannot_be_written(conn: Connection) -> None:
    """Entries that do not sum to 0 are refused, new ones and ones added to an old transaction."""
    account = await make_account(conn, micros=10)
    granted = await conn.fetchval("select id from ledger_transactions where account_id = $1", account.id)
    for statement in (
        f"insert into ledger_entries values ('{granted}', 'revenue', 1)",
        f"insert into ledger_entries values ('{granted}', 'revenue', 1), ('{granted}', 'operator_loss', -2)",
    ):
        with pytest.raises(asyncpg.CheckViolationError, match="does not sum to 0"):
            async with conn.transaction():
                await conn.execute(statement)


async def test_a_second_settle_cannot_be_written_by_hand(conn: Connection) -> None:
    """Even SQL that goes round the store cannot settle a job twice or hold it twice."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    await store.capture(conn, hold.job_id, 60)
    for kind, key_id in (("capture", None), ("release", None), ("hold", account.live_key)):
        with pytest.raises(asyncpg.UniqueViolationError):
            async with conn.transaction():
                await conn.execute(
                    """
                    insert into ledger_transactions
                        (id, account_id, mode, kind, amount_micros, job_id, key_id)
                    values ($1, $2, 'live', $3, 60, $4, $5)
                    """,
                    new_id("led"),
                    account.id,
                    kind,
                    hold.job_id,
                    key_id,
                )


async def test_a_hold_without_its_job_cannot_commit(pool: Pool) -> None:
    """A hold whose job is not stored in the same transaction vanishes with it."""
    async with pool.acquire() as conn, conn.transaction():
        account = await make_account(conn, micros=100)
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with pool.acquire() as conn, conn.transaction():
            await store.hold_many(conn, [account.request(60)])
    assert await live_balance(pool, account) == Wallet(100, 0)


@given(
    wallet=st.integers(0, 60),
    cap=st.none() | st.integers(0, 60),
    key_cap=st.none() | st.integers(0, 60),
    amounts=st.lists(st.integers(0, 30), min_size=1, max_size=8),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_sql_decides_like_the_pure_rule(
    pool: Pool, wallet: int, cap: int | None, key_cap: int | None, amounts: list[int]
) -> None:
    """For any wallet, caps and flush, `hold_many` answers what `ledger.hold` answers one by one."""
    expected: list[Any] = []
    money, spent_micros = Wallet(wallet, 0), 0
    for micros in amounts:
        caps = [Cap("key", key_cap, spent_micros), Cap("account", cap, spent_micros)]
        answer = ledger.hold(money, caps, micros)
        if isinstance(answer, Transaction):
            money, spent_micros = money.after(answer), spent_micros + micros
        expected.append(Held() if isinstance(answer, Transaction) else answer)
    try:
        async with pool.acquire() as conn, conn.transaction():
            account = await make_account(conn, micros=wallet, cap=cap, key_cap=key_cap)
            assert await store.hold_many(conn, [account.request(micros) for micros in amounts]) == expected
            assert await store.balance(conn, account.id, "live") == money
            assert await spent(conn, account.id) == await spent(conn, account.live_key) == spent_micros
            raise Undone
    except Undone:
        pass


async def test_a_job_is_stored_after_its_hold(conn: Connection) -> None:
    """The job row may come after the hold in the same transaction."""
    account = await make_account(conn, micros=10)
    hold = account.request(10)
    await store.hold_many(conn, [hold])
    await store_job(conn, hold)
    await conn.execute("set constraints all immediate")
