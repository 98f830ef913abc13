"""PostgreSQL in memory, as far as the gateway leans on it: rows, transactions, locks, constraints.

Isolation is that of READ COMMITTED: a statement sees what was committed when it began and its own writes; one
that wants a row which another transaction changed waits, and then runs again on what it finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index, perhaps a partial one."""

    name: str
    columns: tuple[str, ...]
    where: Callable[[Row], bool] = lambda _row: True


@dataclass(frozen=True, slots=True)
class Shape:
    """What the schema says of a table. `frozen`: columns that a trigger guards once a job has ended."""

    key: tuple[str, ...]
    unique: tuple[Unique, ...] = ()
    append_only: bool = False
    frozen: frozenset[str] = frozenset()


def _settles(row: Row) -> bool:
    return row["kind"] in ("capture", "release")


SCHEMA: Mapping[str, Shape] = {
    "accounts": Shape(("id",)),
    "api_keys": Shape(("id",)),
    "workers": Shape(("id",)),
    "jobs": Shape(("id",), frozen=frozenset({"state", "terminal", "quote_micros"})),
    "attempts": Shape(("nonce",), (Unique("attempts_job_id_number", ("job_id", "number")),)),
    "receipts": Shape(("id",), append_only=True),
    "job_events": Shape(("seq",)),
    "clips": Shape(("job_id", "late")),
    "late_results": Shape(("job_id",)),
    "idempotency_keys": Shape(("account_id", "mode", "key")),
    "wallets": Shape(("account_id", "mode")),
    "ledger_transactions": Shape(
        ("id",),
        (
            Unique("one_hold_per_job", ("job_id",), lambda row: row["kind"] == "hold"),
            Unique("one_settle_per_job", ("job_id",), _settles),
            Unique("one_loss_per_job", ("job_id",), lambda row: row["kind"] == "loss"),
        ),
        append_only=True,
    ),
    "ledger_entries": Shape(("transaction_id", "book"), append_only=True),
    "spending": Shape(("scope_id", "month")),
    "webhook_secrets": Shape(
        ("account_id", "secret"),
        (Unique("one_current_secret", ("account_id",), lambda row: row["valid_until"] is None),),
    ),
    "webhook_endpoints": Shape(
        ("account_id", "mode", "url"),
        (Unique("one_default_endpoint", ("account_id", "mode"), lambda row: row["is_default"]),),
    ),
    "webhook_deliveries": Shape(("id",), (Unique("message_id", ("message_id",)),)),
    "webhook_attempts": Shape(("delivery_id", "number")),
    "provider_reports": Shape(("worker_id", "provider")),
    "queue": Shape(("id",), (Unique("dedupe_key", ("dedupe_key",)),)),
}


class Blocked(Exception):
    """A statement needs what another transaction has locked; run it again when that has ended."""

    def __init__(self, holder: Transaction) -> None:
        super().__init__()
        self.holder = holder


class Conflict(Exception):
    """An insert met a row with the same key."""

    def __init__(self, index: str) -> None:
        super().__init__(index)
        self.index = index


@dataclass(frozen=True, slots=True)
class Change:
    """One row before and after a commit; None where there was or is none."""

    table: str
    before: Row | None
    after: Row | None


@dataclass(slots=True)
class Database:
    """Committed rows and who has locked what."""

    now: Callable[[], datetime]
    tables: dict[str, dict[Key, Row]] = field(default_factory=lambda: {name: {} for name in SCHEMA})
    locks: dict[tuple[str, Key], Transaction] = field(default_factory=dict)
    signs_of_life: dict[tuple[int, int], object] = field(default_factory=dict)
    """Session-level advisory locks -> the session that holds them."""
    without: set[str] = field(default_factory=set)
    """Constraints that are left out, so that a planted bug is not stopped by them."""
    on_commit: Callable[[Transaction, Sequence[Change]], None] = lambda _transaction, _changes: None
    on_notify: Callable[[str, str], None] = lambda _channel, _text: None
    on_unknown: Callable[[str], None] = lambda _said: None
    _serial: int = 0

    def begin(self, owner: object = None) -> Transaction:
        """A transaction of this owner, whoever that is."""
        return Transaction(self, owner, self.now())

    def serial(self) -> int:
        """The next number of an identity column; never given back."""
        self._serial += 1
        return self._serial


class Transaction:
    """Writes that nobody else sees yet, the locks behind them, and what is told at their commit."""

    def __init__(self, database: Database, owner: object, now: datetime) -> None:
        self.database = database
        self.owner = owner
        self.now = now
        self.connection: object = None
        self.writes: dict[str, dict[Key, Row | None]] = {}
        self.notices: list[tuple[str, str]] = []
        self.failed = False
        self.over = False
        self._locked: list[tuple[str, Key]] = []
        self._waiters: list[asyncio.Future[None]] = []

    # --- reading

    def get(self, table: str, *key: Any) -> Row | None:
        """The row with that key, as this transaction sees it."""
        written = self.writes.get(table)
        if written is not None and key in written:
            return written[key]
        return self.database.tables[table].get(key)

    def all(self, table: str) -> Iterator[Row]:
        """Every row of the table, as this transaction sees it, in the order of insertion."""
        committed, written = self.database.tables[table], self.writes.get(table)
        if not written:
            yield from list(committed.values())
            return
        for key, row in list(committed.items()):
            seen = written.get(key, row)
            if seen is not None:
                yield seen
        for key, new in list(written.items()):
            if new is not None and key not in committed:
                yield new

    # --- locking

    def lock(self, table: str, *key: Any) -> None:
        """Own the row, or the place where one may come, until the end. Raises Blocked."""
        if not self.try_lock(table, *key):
            raise Blocked(self.database.locks[table, key])

    def try_lock(self, table: str, *key: Any) -> bool:
        """As `lock`, but False where somebody else owns it: SKIP LOCKED."""
        name = (table, key)
        holder = self.database.locks.get(name)
        if holder is None:
            self.database.locks[name] = self
            self._locked.append(name)
            return True
        return holder is self

    # --- writing

    def insert(self, table: str, row: Row) -> Row:
        """Add a row. Raises Blocked or Conflict."""
        shape, without = SCHEMA[table], self.database.without
        key = tuple(row[column] for column in shape.key)
        self.lock(table, *key)
        if self.get(table, *key) is not None:
            raise Conflict(f"{table}_pkey")
        for unique in shape.unique:
            if unique.name in without or not unique.where(row):
                continue
            mine = tuple(row[column] for column in unique.columns)
            self.lock(unique.name, *mine)
            for other in self.all(table):
                if unique.where(other) and tuple(other[column] for column in unique.columns) == mine:
                    raise Conflict(unique.name)
        self._write(table, key, row)
        return row

    def update(self, table: str, row: Row, **changes: Any) -> Row:
        """Change columns of a row. Raises Blocked, or what a trigger raises."""
        shape = SCHEMA[table]
        key = tuple(row[column] for column in shape.key)
        self.lock(table, *key)
        if table not in self.database.without:
            if shape.append_only:
                raise asyncpg.RestrictViolationError(f"{table} is append-only: UPDATE refused")
            if shape.frozen & changes.keys() and row["terminal"] is not None:
                raise asyncpg.RestrictViolationError(f"job {row['id']} has ended: it cannot change")
        changed = {**row, **changes}
        self._write(table, key, changed)
        return changed

    def delete(self, table: str, row: Row) -> None:
        """Remove a row. Raises Blocked, or what a trigger raises."""
        shape = SCHEMA[table]
        key = tuple(row[column] for column in shape.key)
        self.lock(table, *key)
        if shape.append_only:
            raise asyncpg.RestrictViolationError(f"{table} is append-only: DELETE refused")
        self._write(table, key, None)

    def notify(self, channel: str, text: str) -> None:
        """Tell the listeners, if and when this commits."""
        self.notices.append((channel, text))

    def _write(self, table: str, key: Key, row: Row | None) -> None:
        self.writes.setdefault(table, {})[key] = row

    # --- ending

    def savepoint(self) -> tuple[dict[str, dict[Key, Row | None]], int]:
        """What `undo` goes back to: each statement happens whole or not at all."""
        return {table: dict(rows) for table, rows in self.writes.items()}, len(self.notices)

    def undo(self, savepoint: tuple[dict[str, dict[Key, Row | None]], int]) -> None:
        """Forget what was written since; locks stay, as they do in PostgreSQL."""
        self.writes, told = savepoint
        del self.notices[told:]

    def commit(self) -> None:
        """Make everything true at once. Raises when a deferred constraint does not hold, changing nothing."""
        if self.failed:
            self.rollback()
            return
        self._check_deferred()
        changes = self._apply()
        self._end()
        self.database.on_commit(self, changes)
        for channel, text in self.notices:
            self.database.on_notify(channel, text)

    def rollback(self) -> None:
        """Leave everything as it was."""
        self.writes = {}
        self._end()

    async def ended(self, seconds: float) -> None:
        """Wait for the end of this transaction, whichever it is. Raises TimeoutError."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        async with asyncio.timeout(seconds):
            await waiter

    def _check_deferred(self) -> None:
        for row in self.writes.get("idempotency_keys", {}).values():
            if row is not None and self.get("jobs", row["job_id"]) is None:
                self.rollback()
                raise asyncpg.ForeignKeyViolationError("idempotency_keys_job_id_fkey")

    def _apply(self) -> list[Change]:
        changes = []
        for table, rows in self.writes.items():
            committed = self.database.tables[table]
            for key, row in rows.items():
                changes.append(Change(table, committed.get(key), row))
                if row is None:
                    committed.pop(key, None)
                else:
                    committed[key] = row
        return changes

    def _end(self) -> None:
        self.over = True
        for name in self._locked:
            if self.database.locks.get(name) is self:
                del self.database.locks[name]
        self._locked = []
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters = []
