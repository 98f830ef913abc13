"""Every movement of money, in SQL, inside the transaction that the given connection is already in.

The wallet row is locked first, always, so movements of one wallet happen one after another and cannot
deadlock as long as a transaction settles jobs of one wallet. Balances follow from the ledger entries by
trigger; nothing else writes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fairstack_server.db.connections import Connection
from fairstack_server.errors import NotFound
from fairstack_server.ids import Mode, new_id
from fairstack_server.money import MAX_MICROS
from fairstack_server.wallet import ledger
from fairstack_server.wallet.ledger import (
    AlreadySettled,
    AmountRefused,
    CapReached,
    Held,
    HoldOutcome,
    HoldRequest,
    Insufficient,
    NoHold,
    Transaction,
    Wallet,
)

_HOLD_MANY = "select outcome, limit_micros, used_micros from hold_many($1, $2, $3, $4, $5, $6)"

_LOCK_WALLET = """
select available_micros, held_micros from wallets where (account_id, mode) = ($1, $2) for no key update
"""

# The hold of a job with its wallet, which is locked; a hold never changes, so it needs no lock of its own.
_LOCK_HOLD = """
select hold.account_id, hold.mode, hold.key_id, hold.amount_micros, hold.created_at
  from ledger_transactions hold
  join wallets w on (w.account_id, w.mode) = (hold.account_id, hold.mode)
 where hold.job_id = $1 and hold.kind = 'hold'
   for no key update of w
"""

# What was charged for a job and what went back of it. Read under the wallet's lock.
_CHARGED = """
select coalesce(sum(amount_micros) filter (where kind = 'capture'), 0)::bigint as charge_micros,
       coalesce(sum(amount_micros) filter (where kind = 'refund'), 0)::bigint as refunded_micros
  from ledger_transactions where job_id = $1
"""

# One transaction with its entries, in one statement; no row comes back when the job has one of this kind.
_APPEND = """
with written as (
    insert into ledger_transactions (id, account_id, mode, kind, amount_micros, job_id, memo)
    values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning id
), entered as (
    insert into ledger_entries (transaction_id, book, amount_micros)
    select written.id, entry.book, entry.amount_micros
      from written cross join unnest($8::text[], $9::bigint[]) as entry (book, amount_micros)
)
select id from written
"""

# Give back what a hold took of the month in which it was placed.
_GIVE_BACK_SPENDING = """
update spending set micros = micros - $3 where scope_id = any($1::text[]) and month = spending_month($2)
"""

_BALANCE = "select available_micros, held_micros from wallets where (account_id, mode) = ($1, $2)"

_CAPS = """
select a.cap_micros as account_cap, k.cap_micros as key_cap,
       (select micros from spending where scope_id = a.id and month = spending_month(now())) as account_spent,
       (select micros from spending where scope_id = k.id and month = spending_month(now())) as key_spent
  from accounts a left join api_keys k on k.account_id = a.id and k.id = $2
 where a.id = $1
"""


@dataclass(frozen=True, slots=True)
class _OpenHold:
    """The hold of a job, whose wallet is locked until the transaction ends."""

    job_id: str
    account_id: str
    mode: Mode
    key_id: str
    micros: int
    placed_at: datetime


async def hold_many(conn: Connection, holds: Sequence[HoldRequest]) -> list[HoldOutcome]:
    """Place these holds in order, in one round trip; the outcomes come in the same order.

    A refused hold changes nothing and the next ones still run. A job that has its hold already is Held again
    without a second one, so a flush may be repeated. Locks all wallets that it names in one fixed order.
    """
    if not holds:
        return []
    rows = await conn.fetch(
        _HOLD_MANY,
        [new_id("led") for _ in holds],
        [hold.job_id for hold in holds],
        [hold.account_id for hold in holds],
        [hold.key_id for hold in holds],
        [hold.mode for hold in holds],
        [hold.micros for hold in holds],
    )
    return [_outcome(hold, row) for hold, row in zip(holds, rows, strict=True)]


async def capture(
    conn: Connection, job_id: str, charge_micros: int, provider_cost_micros: int | None = None
) -> None:
    """Charge the job's hold; what is not charged goes back to the wallet and to the month's caps.

    Raises NoHold, AlreadySettled, or ChargeAboveHold; then nothing is written.
    """
    hold = await _lock_hold(conn, job_id)
    await _settle(conn, hold, ledger.capture(hold.micros, charge_micros, provider_cost_micros))


async def release(conn: Connection, job_id: str) -> None:
    """Give the whole hold back, to the wallet and to the month's caps. Raises NoHold or AlreadySettled."""
    hold = await _lock_hold(conn, job_id)
    await _settle(conn, hold, ledger.release(hold.micros))


async def refund(conn: Connection, job_id: str, micros: int, memo: str) -> None:
    """Give back some of what the job was charged, never more. Raises NoHold or AmountRefused."""
    hold = await _lock_hold(conn, job_id)
    row = await conn.fetchrow(_CHARGED, job_id)
    if row is None:
        raise NoHold(f"Job {job_id} was never charged.")
    transaction = ledger.refund(row["charge_micros"], row["refunded_micros"], micros)
    await _append(conn, hold.account_id, hold.mode, transaction, job_id=job_id, memo=memo)


async def record_loss(conn: Connection, job_id: str, provider_cost_micros: int) -> bool:
    """Book what a provider bills for a late clip as the operator's loss; False if it was booked before."""
    hold = await _lock_hold(conn, job_id)
    return await _append(conn, hold.account_id, hold.mode, ledger.loss(provider_cost_micros), job_id=job_id)


async def grant(conn: Connection, account_id: str, mode: Mode, micros: int, memo: str) -> str:
    """Put money into a wallet; answers the id of the ledger transaction. Raises NotFound or AmountRefused."""
    wallet = await _lock_wallet(conn, account_id, mode)
    transaction = ledger.grant(micros)
    wallet.after(transaction)  # refuses an amount that the wallet could not keep
    transaction_id = new_id("led")
    await _append(conn, account_id, mode, transaction, memo=memo, transaction_id=transaction_id)
    return transaction_id


async def correct(conn: Connection, account_id: str, mode: Mode, micros: int, memo: str) -> str:
    """Take back what was granted by mistake and is still available; answers the id of the ledger transaction.

    `memo` says why. Raises NotFound, or AmountRefused, then nothing is written.
    """
    if not memo.strip():
        raise AmountRefused("A correction needs a memo that says why.", param="memo")
    wallet = await _lock_wallet(conn, account_id, mode)
    transaction = ledger.correct(wallet, micros)
    transaction_id = new_id("led")
    await _append(conn, account_id, mode, transaction, memo=memo, transaction_id=transaction_id)
    return transaction_id


async def refill_test_wallet(conn: Connection, account_id: str) -> None:
    """Bring the test money that is available back up to $100.00; a fuller wallet stays as it is."""
    wallet = await _lock_wallet(conn, account_id, "test")
    missing_micros = min(
        ledger.TEST_WALLET_MICROS - wallet.available_micros,
        MAX_MICROS - wallet.available_micros - wallet.held_micros,
    )
    if missing_micros > 0:
        await grant(conn, account_id, "test", missing_micros, "refill of test money")


async def ensure_test_wallet(conn: Connection, account_id: str) -> None:
    """Give a new account its first $100.00 of test money; safe to repeat: spent money does not come back."""
    await _lock_wallet(conn, account_id, "test")
    if not await conn.fetchval(
        "select exists (select from ledger_transactions where (account_id, mode) = ($1, 'test'))", account_id
    ):
        await grant(conn, account_id, "test", ledger.TEST_WALLET_MICROS, "test money to start with")


async def balance(conn: Connection, account_id: str, mode: Mode) -> Wallet:
    """What the wallet has available and held now, in micros. Raises NotFound."""
    return _wallet(account_id, await conn.fetchrow(_BALANCE, account_id, mode))


async def caps(conn: Connection, account_id: str, key_id: str | None) -> tuple[ledger.Cap, ledger.Cap]:
    """The month's caps of the account (live money) and of the key, with what was spent. Raises NotFound."""
    row = await conn.fetchrow(_CAPS, account_id, key_id)
    if row is None:
        raise NotFound(f"No account {account_id}.")
    return (
        ledger.Cap("account", row["account_cap"], row["account_spent"] or 0),
        ledger.Cap("key", row["key_cap"], row["key_spent"] or 0),
    )


def _outcome(hold: HoldRequest, row: asyncpg.Record) -> HoldOutcome:
    match row["outcome"]:
        case "held":
            return Held()
        case "insufficient":
            return Insufficient(hold.micros, row["limit_micros"])
        case "key_cap":
            return CapReached("key", hold.micros, row["limit_micros"], row["used_micros"])
        case "account_cap":
            return CapReached("account", hold.micros, row["limit_micros"], row["used_micros"])
        case other:
            raise ValueError(f"hold_many answered {other!r}")


def _wallet(account_id: str, row: asyncpg.Record | None) -> Wallet:
    if row is None:
        raise NotFound(f"No account {account_id}.")
    return Wallet(row["available_micros"], row["held_micros"])


async def _lock_wallet(conn: Connection, account_id: str, mode: Mode) -> Wallet:
    return _wallet(account_id, await conn.fetchrow(_LOCK_WALLET, account_id, mode))


async def _lock_hold(conn: Connection, job_id: str) -> _OpenHold:
    row = await conn.fetchrow(_LOCK_HOLD, job_id)
    if row is None:
        raise NoHold(f"Job {job_id} has no hold.")
    return _OpenHold(
        job_id, row["account_id"], row["mode"], row["key_id"], row["amount_micros"], row["created_at"]
    )


async def _settle(conn: Connection, hold: _OpenHold, transaction: Transaction) -> None:
    if not await _append(conn, hold.account_id, hold.mode, transaction, job_id=hold.job_id):
        raise AlreadySettled(f"Job {hold.job_id} was settled before; its {transaction.kind} is refused.")
    unspent_micros = transaction.moved("wallet_available")
    if unspent_micros:
        # Test money never counted towards the account's cap, so none of it goes back there.
        scopes = [hold.key_id, hold.account_id] if hold.mode == "live" else [hold.key_id]
        await conn.fetch(_GIVE_BACK_SPENDING, scopes, hold.placed_at, unspent_micros)


async def _append(
    conn: Connection,
    account_id: str,
    mode: Mode,
    transaction: Transaction,
    *,
    job_id: str | None = None,
    memo: str = "",
    transaction_id: str | None = None,
) -> bool:
    written = await conn.fetchval(
        _APPEND,
        transaction_id or new_id("led"),
        account_id,
        mode,
        transaction.kind,
        transaction.amount_micros,
        job_id,
        memo,
        [entry.book for entry in transaction.entries],
        [entry.amount_micros for entry in transaction.entries],
    )
    return written is not None
