"""Concurrent requests share a statement: what arrives while a flush is in flight goes with the next one.

Nobody waits for a timer: a request that comes alone is flushed at once. A flush that fails is repeated item
by item in order of arrival, so that each caller gets its own result or its own error. No SQL lives here.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import asyncpg

from fairstack_server.errors import RateLimited

from .dsn import DatabaseError

Item = TypeVar("Item")
Result = TypeVar("Result")
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

OUTAGE = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError)
"""The database is gone, for everybody: repeating item by item would only make the others wait."""


class Batcher(Generic[Item, Result]):
    """Many callers' items, done by few flushes.

    `flush` takes items in order of arrival and answers one result for each, in the same order; it does all
    of them or none. `single` does one. Both may be called again for an item after an error that left open
    whether it was done, so they must be safe to repeat. A caller that is cancelled before its item is
    flushed takes it back; later its result is dropped and nobody else notices.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        single: Callable[[Item], Awaitable[Result]],
        *,
        max_batch: int = 200,
        max_waiting: int = 10_000,
        flights: int = 1,
    ) -> None:
        self._flush = flush
        self._single = single
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._flights = flights
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flying = 0
        self._closed = False

    async def do(self, item: Item) -> Result:
        """Have one item done, together with whoever else is there now.

        Raises what `single` raises for it, RateLimited when too many wait already, DatabaseError when closed.
        """
        if self._closed:
            raise DatabaseError("The server is stopping and takes no more work; try again when it is back.")
        if len(self._waiting) >= self._max_waiting:
            raise RateLimited(
                f"{self._max_waiting} requests wait for the database already. Try again in a second.",
                retry_after_seconds=1,
            )
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._flying < self._flights:
            self._flying += 1
            # A context of its own: what one caller logs with its request must not mark the others' lines.
            task = asyncio.create_task(self._fly(), name="batch", context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await future

    async def close(self) -> None:
        """Take nothing more, and return when all that was taken is done."""
        self._closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _fly(self) -> None:
        """Flush until nobody waits."""
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        try:
            while batch := self._next_batch():
                await self._carry(batch)
        except asyncio.CancelledError:  # the event loop ends: nobody shall wait for what will not come
            for _, future in (*batch, *self._waiting):
                future.cancel()
            raise
        finally:
            # Here and not in a callback of the task: no request may come between the last look and this.
            self._flying -= 1

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[Result]]]:
        batch: list[tuple[Item, asyncio.Future[Result]]] = []
        while self._waiting and len(batch) < self._max_batch:
            item, future = self._waiting.popleft()
            if not future.done():
                batch.append((item, future))
        return batch

    async def _carry(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._flush([item for item, _ in batch])
        except Exception:  # whatever it was, each item finds out for itself
            await self._carry_singly(batch)
            return
        if len(results) != len(batch):
            broken = RuntimeError(f"A flush of {len(batch)} items answered {len(results)} results.")
            for _, future in batch:
                _fail(future, broken)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _carry_singly(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        gone: Exception | None = None
        for item, future in batch:
            if future.done():
                continue
            if gone is not None:
                _fail(future, gone)
                continue
            try:
                result = await self._single(item)
            except Exception as error:  # handed to the caller whose item it was
                gone = error if isinstance(error, OUTAGE) else None
                _fail(future, error)
            else:
                if not future.done():
                    future.set_result(result)


def _fail(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


class Coalescer(Generic[K, V]):
    """Concurrent reads by key, done by few loads.

    `load` takes different keys and answers those that exist; one key's error is only its own callers'. A read
    never joins a load that is under way already: it sees every write that was committed before it began.
    """

    def __init__(
        self,
        load: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        *,
        max_batch: int = 200,
        max_waiting: int = 10_000,
        flights: int = 2,
    ) -> None:
        self._load = load
        self._batcher: Batcher[K, V | None] = Batcher(
            self._load_many, self._load_one, max_batch=max_batch, max_waiting=max_waiting, flights=flights
        )

    async def get(self, key: K) -> V | None:
        """The value of a key, None where there is none. Raises as `Batcher.do` does."""
        return await self._batcher.do(key)

    async def close(self) -> None:
        """Take nothing more, and return when all reads are answered."""
        await self._batcher.close()

    async def _load_many(self, keys: Sequence[K]) -> Sequence[V | None]:
        found = await self._load(list(dict.fromkeys(keys)))
        return [found.get(key) for key in keys]

    async def _load_one(self, key: K) -> V | None:
        return (await self._load([key])).get(key)
