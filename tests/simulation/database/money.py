"""Statements of `wallet/`, by the pure rules of `wallet/ledger.py`, and what the schema adds to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import asyncpg

from fairstack_server.wallet import ledger
from fairstack_server.wallet import store as sql
from tests.simulation.database.statements import Meanings, find_all, only, value
from tests.simulation.database.tables import Conflict, Row, Transaction

MONEY = Meanings()

Rows = Sequence[Row]


def month_of(moment: datetime) -> date:
    """The calendar month (UTC) that spending counts in."""
    return moment.astimezone(UTC).date().replace(day=1)


def post(tx: Transaction, row: Row, entries: Sequence[ledger.Entry]) -> None:
    """Write a transaction with its entries and move the wallet. Raises Conflict or CheckViolation."""
    tx.insert("ledger_transactions", row | {"seq": tx.database.serial(), "created_at": tx.now})
    if sum(entry.amount_micros for entry in entries):
        raise asyncpg.CheckViolationError(f"ledger transaction {row['id']} does not sum to 0")
    for entry in entries:
        tx.insert(
            "ledger_entries",
            {"transaction_id": row["id"], "book": entry.book, "amount_micros": entry.amount_micros},
        )
    wallet = tx.get("wallets", row["account_id"], row["mode"])
    if wallet is None or not entries:
        return
    moved = {"wallet_available": 0, "wallet_held": 0}
    for entry in entries:
        if entry.book in moved:
            moved[entry.book] += entry.amount_micros
    available = wallet["available_micros"] + moved["wallet_available"]
    held = wallet["held_micros"] + moved["wallet_held"]
    if min(available, held) < 0 and "wallet_check" not in tx.database.without:
        raise asyncpg.CheckViolationError("a balance would be negative")
    tx.update("wallets", wallet, available_micros=available, held_micros=held)


def _spent(tx: Transaction, scope_id: str, month: date) -> int:
    row = tx.get("spending", scope_id, month)
    return 0 if row is None else int(row["micros"])


def _spend(tx: Transaction, scope_id: str, month: date, micros: int) -> None:
    row = tx.get("spending", scope_id, month)
    if row is None:
        tx.insert("spending", {"scope_id": scope_id, "month": month, "micros": micros})
    else:
        tx.update("spending", row, micros=row["micros"] + micros)


@MONEY.of(sql._HOLD_MANY)
def hold_many(tx: Transaction, *columns: Sequence[Any]) -> Rows:
    """The SQL function: holds in order, each by the rule of `ledger.hold`."""
    items = list(zip(*columns, strict=True))
    for account_id, mode in sorted({(item[2], item[4]) for item in items}):
        tx.lock("wallets", account_id, mode)
    return [_hold(tx, *item) for item in items]


def _hold(
    tx: Transaction, led_id: str, job_id: str, account_id: str, key_id: str, mode: str, micros: int
) -> Row:
    before = [row for row in find_all(tx, "ledger_transactions", job_id=job_id) if row["kind"] == "hold"]
    if before:
        if before[0]["amount_micros"] != micros:
            raise asyncpg.UniqueViolationError(f"job {job_id} holds {before[0]['amount_micros']} micros")
        return {"outcome": "held", "limit_micros": None, "used_micros": None}
    outcome = ledger.hold(_wallet(tx, account_id, mode), _caps(tx, account_id, key_id, mode), micros)
    match outcome:
        case ledger.Insufficient(available_micros=available):
            return {"outcome": "insufficient", "limit_micros": available, "used_micros": None}
        case ledger.CapReached(scope=scope, cap_micros=cap, spent_micros=spent):
            return {"outcome": f"{scope}_cap", "limit_micros": cap, "used_micros": spent}
    row = _transaction_row(led_id, account_id, mode, outcome.kind, micros, job_id) | {"key_id": key_id}
    post(tx, row, outcome.entries)
    for scope_id, counts in ((key_id, True), (account_id, mode == "live")):
        if counts and micros:
            _spend(tx, scope_id, month_of(tx.now), micros)
    return {"outcome": "held", "limit_micros": None, "used_micros": None}


def _wallet(tx: Transaction, account_id: str, mode: str) -> ledger.Wallet:
    row = tx.get("wallets", account_id, mode)
    if row is None:
        raise asyncpg.ForeignKeyViolationError("a hold names an account that does not exist")
    return ledger.Wallet(row["available_micros"], row["held_micros"])


def _caps(tx: Transaction, account_id: str, key_id: str, mode: str) -> list[ledger.Cap]:
    account, key, month = tx.get("accounts", account_id), tx.get("api_keys", key_id), month_of(tx.now)
    if account is None or key is None:
        raise asyncpg.ForeignKeyViolationError("a hold names a key that does not exist")
    caps = [ledger.Cap("key", key["cap_micros"], _spent(tx, key_id, month))]
    if mode == "live":
        caps.append(ledger.Cap("account", account["cap_micros"], _spent(tx, account_id, month)))
    return caps


@MONEY.of(sql._LOCK_HOLD)
def lock_hold(tx: Transaction, job_id: str) -> Rows:
    """The hold of a job, its wallet locked."""
    rows = [row for row in find_all(tx, "ledger_transactions", job_id=job_id) if row["kind"] == "hold"]
    for row in rows:
        tx.lock("wallets", row["account_id"], row["mode"])
    return only(rows, "account_id", "mode", "key_id", "amount_micros", "created_at")


@MONEY.of(sql._APPEND)
def append(
    tx: Transaction,
    led_id: str,
    account_id: str,
    mode: str,
    kind: str,
    micros: int,
    job_id: str | None,
    memo: str,
    books: Sequence[Any],
    amounts: Sequence[int],
) -> Rows:
    """One transaction with its entries; nothing when the job has one of this kind."""
    entries = [ledger.Entry(book, amount) for book, amount in zip(books, amounts, strict=True)]
    row = _transaction_row(led_id, account_id, mode, kind, micros, job_id) | {"memo": memo}
    try:
        post(tx, row, entries)
    except Conflict:
        return []
    return value(led_id, "id")


@MONEY.of(sql._GIVE_BACK_SPENDING)
def give_back_spending(tx: Transaction, scope_ids: Sequence[str], placed_at: datetime, micros: int) -> Rows:
    """What a hold took of the month in which it was placed."""
    for scope_id in scope_ids:
        row = tx.get("spending", scope_id, month_of(placed_at))
        if row is not None:
            tx.update("spending", row, micros=row["micros"] - micros)
    return []


def _transaction_row(
    led_id: str, account_id: str, mode: str, kind: str, micros: int, job_id: str | None
) -> Row:
    return {
        "id": led_id,
        "account_id": account_id,
        "mode": mode,
        "kind": kind,
        "amount_micros": micros,
        "job_id": job_id,
        "key_id": None,
        "memo": "",
    }
