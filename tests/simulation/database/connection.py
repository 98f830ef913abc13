"""A pool and its connections on the model, with the faces of asyncpg that the gateway uses.

Every statement is a journey: `journey` takes its time, and may be where a fault strikes.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import asyncpg

from tests.simulation.database.attempts import ATTEMPTS
from tests.simulation.database.jobs import JOBS
from tests.simulation.database.money import MONEY
from tests.simulation.database.placement import PLACEMENT
from tests.simulation.database.queue import QUEUE
from tests.simulation.database.statements import Meaning, Meanings, UnknownStatement
from tests.simulation.database.tables import Blocked, Conflict, Database, Row, Transaction
from tests.simulation.database.webhooks import WEBHOOKS
from tests.simulation.database.workers import WORKERS

LOCK_SECONDS = 10.0
Listener = Callable[[object, int, str, object], None]


class Journeys(Protocol):
    """What lies between a process and its database."""

    async def there(self, connection: MemoryConnection, what: str) -> None:
        """The way of a statement or a commit; may raise, or never end."""
        ...

    async def back(self, connection: MemoryConnection, what: str) -> None:
        """The way of the answer to something that is committed."""
        ...


class SafeJourneys:
    """No time, no faults: for tests that compare the model with PostgreSQL."""

    async def there(self, connection: MemoryConnection, what: str) -> None:
        """At once."""

    async def back(self, connection: MemoryConnection, what: str) -> None:
        """At once."""


class Statements:
    """All that the model knows, and what a planted bug puts in its place."""

    def __init__(self, *planted: Meanings) -> None:
        self._known = Meanings()
        for each in (JOBS, ATTEMPTS, PLACEMENT, WORKERS, MONEY, WEBHOOKS, QUEUE, *planted):
            self._known.add(each)

    def find(self, sql: str) -> Meaning:
        """What a statement does. Raises UnknownStatement."""
        return self._known.find(sql)

    @property
    def unused(self) -> set[str]:
        """Names of the functions of statements that nobody has run."""
        return self._known.unused


class MemoryConnection:
    """One session. Closed, it can do nothing, and what it had begun is undone."""

    def __init__(self, pool: MemoryPool) -> None:
        self.pool = pool
        self.tx: Transaction | None = None
        self._alone: Transaction | None = None
        self._closed = False
        self._listens: dict[str, list[Listener]] = {}

    # --- statements

    async def execute(self, sql: str, *arguments: Any) -> str:
        """Run a statement, or BEGIN-less advisory locks of this session."""
        if sql == "select pg_advisory_lock($1::int, $2::int)":
            await self.pool.journeys.there(self, sql)
            self._check_open()
            self.pool.database.signs_of_life[arguments[0], arguments[1]] = self
            return "SELECT 1"
        return f"OK {len(await self._run(sql, arguments))}"

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each row, all or none."""
        async with self.transaction():
            for row in rows:
                await self._run(sql, row)

    async def fetch(self, sql: str, *arguments: Any) -> list[Row]:
        """All rows."""
        return list(await self._run(sql, arguments))

    async def fetchrow(self, sql: str, *arguments: Any) -> Row | None:
        """The first row."""
        rows = await self._run(sql, arguments)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """The first column of the first row."""
        rows = await self._run(sql, arguments)
        return next(iter(rows[0].values())) if rows else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All of the block or nothing; inside another one, simply a part of it."""
        if self.tx is not None:
            yield
            return
        self._check_open()
        tx = self.tx = self.pool.database.begin(self.pool.owner)
        tx.connection = self
        try:
            yield
        except BaseException:
            self._drop()
            raise
        await self._commit(tx)

    async def _commit(self, tx: Transaction) -> None:
        try:
            await self.pool.journeys.there(self, "commit")
            self._check_open()
            wrote = bool(tx.writes)
            tx.commit()
        except BaseException:
            self._drop()
            raise
        self.tx = None
        if wrote:
            await self.pool.journeys.back(self, "commit")

    async def _run(self, sql: str, arguments: Sequence[Any]) -> Sequence[Row]:
        try:
            meaning = self.pool.statements.find(sql)
        except UnknownStatement as unknown:
            self.pool.database.on_unknown(str(unknown))
            raise
        await self.pool.journeys.there(self, sql)
        self._check_open()
        tx = self.tx or self._begin_alone()
        if tx.failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        try:
            rows = await self._carry_out(tx, meaning, arguments)
        except asyncpg.PostgresError:
            tx.failed = True
            if self.tx is None:
                tx.rollback()
            raise
        if self.tx is None and not tx.over:
            wrote = bool(tx.writes)
            tx.commit()
            if wrote:
                await self.pool.journeys.back(self, sql)
        return rows

    def _begin_alone(self) -> Transaction:
        """A statement outside a block is a transaction of its own."""
        self._alone = self.pool.database.begin(self.pool.owner)
        return self._alone

    async def _carry_out(self, tx: Transaction, meaning: Meaning, arguments: Sequence[Any]) -> Sequence[Row]:
        while True:
            before = tx.savepoint()
            try:
                return meaning(tx, *arguments)
            except Conflict as conflict:
                tx.undo(before)
                raise asyncpg.UniqueViolationError(f"duplicate key: {conflict.index}") from conflict
            except Blocked as blocked:
                tx.undo(before)
                holder = blocked.holder
            try:
                await holder.ended(LOCK_SECONDS)
            except TimeoutError as error:
                raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout") from error
            self._check_open()

    # --- the session

    async def add_listener(self, channel: str, listener: Listener) -> None:
        """LISTEN."""
        await self.pool.journeys.there(self, "listen")
        self._check_open()
        self._listens.setdefault(channel, []).append(listener)

    def listens_to(self, channel: str) -> bool:
        """Whether it is told what is notified there."""
        return channel in self._listens

    def hear(self, channel: str, text: str, seconds: float, context: contextvars.Context) -> None:
        """A NOTIFY reaches this session after that time, if it is still open then."""
        for listener in self._listens.get(channel, ()):
            loop = asyncio.get_running_loop()
            loop.call_later(seconds, self._heard, listener, channel, text, context=context)

    def _heard(self, listener: Listener, channel: str, text: str) -> None:
        if not self._closed:
            listener(self, 0, channel, text)

    def is_closed(self) -> bool:
        """Whether the session is over."""
        return self._closed

    async def close(self) -> None:
        """End the session."""
        self.cut()

    def cut(self) -> None:
        """The session ends, whoever ends it: what was open is undone, its locks fall."""
        self._closed = True
        self._drop()
        signs = self.pool.database.signs_of_life
        for name in [name for name, holder in signs.items() if holder is self]:
            del signs[name]
        self.pool.sessions.pop(self, None)

    def _drop(self) -> None:
        for tx in (self.tx, self._alone):
            if tx is not None and not tx.over:
                tx.rollback()
        self.tx = self._alone = None

    def _check_open(self) -> None:
        if self._closed:
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


class MemoryPool:
    """Connections of one process; as many as are asked for."""

    def __init__(
        self,
        database: Database,
        journeys: Journeys | None = None,
        owner: object = None,
        statements: Statements | None = None,
    ) -> None:
        self.database = database
        self.journeys = journeys or SafeJourneys()
        self.owner = owner
        self.statements = statements or Statements()
        self.sessions: dict[MemoryConnection, None] = {}
        self._idle: list[MemoryConnection] = []

    async def connect(self) -> MemoryConnection:
        """A connection outside the pool."""
        connection = MemoryConnection(self)
        await self.journeys.there(connection, "connect")
        self.sessions[connection] = None
        return connection

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[MemoryConnection]:
        """A connection for the block."""
        connection = self._take()
        try:
            yield connection
        finally:
            if not connection.is_closed():
                connection._drop()
                self._idle.append(connection)

    def _take(self) -> MemoryConnection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        connection = MemoryConnection(self)
        self.sessions[connection] = None
        return connection

    async def execute(self, sql: str, *arguments: Any) -> str:
        """As a connection's."""
        async with self.acquire() as connection:
            return await connection.execute(sql, *arguments)

    async def fetch(self, sql: str, *arguments: Any) -> list[Row]:
        """As a connection's."""
        async with self.acquire() as connection:
            return await connection.fetch(sql, *arguments)

    async def fetchrow(self, sql: str, *arguments: Any) -> Row | None:
        """As a connection's."""
        async with self.acquire() as connection:
            return await connection.fetchrow(sql, *arguments)

    async def fetchval(self, sql: str, *arguments: Any) -> Any:
        """As a connection's."""
        async with self.acquire() as connection:
            return await connection.fetchval(sql, *arguments)
