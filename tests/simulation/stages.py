"""The same gateway code on PostgreSQL and on the model, with a hand in what no code of ours does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

from fairstack_server.clock import SystemClock
from fairstack_server.db.connections import OwnConnection, Pool
from fairstack_server.jobs.queue import Queue
from fairstack_server.jobs.store import WORKER_LOCK_CLASS
from tests.simulation.database.connection import MemoryPool
from tests.simulation.database.queue import MemoryQueue
from tests.simulation.database.tables import Database, Row
from tests.simulation.users import ACCOUNT, KEY

SILENT_SECONDS = 3600.0


class Stage(Protocol):
    """A database with one account, and the acts of fate."""

    pool: Pool

    @property
    def queue(self) -> Queue:
        """The wake-ups."""
        ...

    async def found(self, available_micros: int) -> None:
        """An account with a live key and so much money."""
        ...

    async def hire(self) -> int:
        """A worker that lives: registered, seen now, its lock held. Answers its id."""
        ...

    async def bury(self, worker_id: int) -> None:
        """Its connection is gone, and its lock with it."""
        ...

    async def silence(self, worker_id: int) -> None:
        """It was not seen for long."""
        ...

    async def pick_rows(self, *, stale: bool) -> None:
        """Somebody has taken all wake-ups in hand; `stale`: and was not heard of since."""
        ...

    async def rows(self, table: str) -> Sequence[Row]:
        """All rows of a table."""
        ...


class PostgresStage:
    """PostgreSQL itself."""

    def __init__(self, pool: Pool, session: OwnConnection) -> None:
        self.pool = pool
        self.queue = Queue(pool)
        self._session = session

    async def found(self, available_micros: int) -> None:
        """An account with a live key and so much money."""
        await self.pool.execute("insert into accounts (id, name) values ($1, $1)", ACCOUNT)
        await self.pool.execute(
            "insert into api_keys (id, account_id, mode, name, hash, prefix, scopes) "
            "values ($1, $2, 'live', 'k', 'h', 'p', '{}')",
            KEY,
            ACCOUNT,
        )
        await self.pool.execute(
            "update wallets set available_micros = $1 where mode = 'live'", available_micros
        )

    async def hire(self) -> int:
        """A worker that lives."""
        worker_id = await self.pool.fetchval("insert into workers (name) values ('w') returning id")
        await self._session.execute("select pg_advisory_lock($1, $2)", WORKER_LOCK_CLASS, worker_id)
        return int(worker_id)

    async def bury(self, worker_id: int) -> None:
        """Its lock is gone."""
        await self._session.execute("select pg_advisory_unlock($1, $2)", WORKER_LOCK_CLASS, worker_id)

    async def silence(self, worker_id: int) -> None:
        """It was not seen for long."""
        long_ago = datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS)
        await self.pool.execute("update workers set seen_at = $2 where id = $1", worker_id, long_ago)

    async def pick_rows(self, *, stale: bool) -> None:
        """All wake-ups are in somebody's hand."""
        silent = timedelta(seconds=SILENT_SECONDS if stale else 0)
        await self.pool.execute(
            "update pgqueuer set status = 'picked', heartbeat = now() - $1::interval", silent
        )

    async def rows(self, table: str) -> Sequence[Row]:
        """All rows of a table."""
        if table == "queue":
            return [dict(row) for row in await self.pool.fetch("select dedupe_key, status from pgqueuer")]
        return [dict(row) for row in await self.pool.fetch(f"select * from {table}")]


class MemoryStage:
    """The model."""

    def __init__(self) -> None:
        self.database = Database(lambda: datetime.now(UTC))
        self.pool = cast(Pool, MemoryPool(self.database))
        self.queue = MemoryQueue(self.pool, SystemClock())

    async def found(self, available_micros: int) -> None:
        """An account with a live key and so much money."""
        tx = self.database.begin()
        tx.insert("accounts", {"id": ACCOUNT, "cap_micros": None})
        tx.insert("api_keys", {"id": KEY, "account_id": ACCOUNT, "mode": "live", "cap_micros": None})
        wallet: Row = {"account_id": ACCOUNT, "mode": "live", "held_micros": 0}
        tx.insert("wallets", wallet | {"available_micros": available_micros})
        tx.insert("wallets", wallet | {"available_micros": 0, "mode": "test"})
        tx.commit()

    async def hire(self) -> int:
        """A worker that lives."""
        worker_id = await self.pool.fetchval("insert into workers (name) values ($1) returning id", "w")
        self.database.signs_of_life[WORKER_LOCK_CLASS, worker_id] = self
        return int(worker_id)

    async def bury(self, worker_id: int) -> None:
        """Its lock is gone."""
        self.database.signs_of_life.pop((WORKER_LOCK_CLASS, worker_id), None)

    async def silence(self, worker_id: int) -> None:
        """It was not seen for long."""
        long_ago = datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS)
        self._change("workers", lambda row: row["id"] == worker_id, seen_at=long_ago)

    async def pick_rows(self, *, stale: bool) -> None:
        """All wake-ups are in somebody's hand."""
        heartbeat = datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS if stale else 0)
        self._change("queue", lambda _row: True, status="picked", heartbeat=heartbeat)

    async def rows(self, table: str) -> Sequence[Row]:
        """All rows of a table."""
        rows = list(self.database.tables[table].values())
        if table == "queue":
            return [{"dedupe_key": row["dedupe_key"], "status": row["status"]} for row in rows]
        return rows

    def _change(self, table: str, which: Any, **changes: Any) -> None:
        tx = self.database.begin()
        for row in list(tx.all(table)):
            if which(row):
                tx.update(table, row, **changes)
        tx.commit()
