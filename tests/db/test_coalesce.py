from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from fairstack_server.db.coalesce import Batcher, Coalescer
from fairstack_server.db.dsn import DatabaseError
from fairstack_server.errors import RateLimited


class Table:
    """Doubles numbers, records every call, waits at a gate; refuses items that are in `bad`."""

    def __init__(self, bad: Mapping[int, Exception] | None = None) -> None:
        self.bad = bad or {}
        self.flushes: list[list[int]] = []
        self.singles: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def flush(self, items: Sequence[int]) -> list[int]:
        self.flushes.append(list(items))
        await self.gate.wait()
        for item in items:
            self._refuse(item)
        return [2 * item for item in items]

    async def single(self, item: int) -> int:
        self.singles.append(item)
        self._refuse(item)
        return 2 * item

    def _refuse(self, item: int) -> None:
        if item in self.bad:
            raise self.bad[item]


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_one_request_is_flushed_at_once() -> None:
    """A request that comes alone waits for no timer and no company."""
    table = Table()
    assert await Batcher(table.flush, table.single).do(4) == 8
    assert table.flushes == [[4]]


async def test_what_arrives_during_a_flush_goes_with_the_next() -> None:
    """While one flush is in flight the others gather, and go together in order of arrival."""
    table = Table()
    batcher = Batcher(table.flush, table.single)
    table.gate.clear()
    first = asyncio.create_task(batcher.do(1))
    await settle()
    others = [asyncio.create_task(batcher.do(n)) for n in (2, 3, 4)]
    await settle()
    assert table.flushes == [[1]]
    table.gate.set()
    assert await asyncio.gather(first, *others) == [2, 4, 6, 8]
    assert table.flushes == [[1], [2, 3, 4]]


async def test_a_flush_has_a_largest_size() -> None:
    """Items beyond the largest batch go with the flush after it."""
    table = Table()
    batcher = Batcher(table.flush, table.single, max_batch=3)
    assert await asyncio.gather(*(batcher.do(n) for n in range(7))) == [2 * n for n in range(7)]
    assert [len(flush) for flush in table.flushes] == [3, 3, 1]


async def test_a_failed_flush_is_repeated_row_by_row() -> None:
    """After a failed flush each caller gets its own result or its own error, in order of arrival."""
    table = Table(bad={2: ValueError("two"), 4: KeyError("four")})
    batcher = Batcher(table.flush, table.single)
    answers = await asyncio.gather(*(batcher.do(n) for n in (1, 2, 3, 4, 5)), return_exceptions=True)
    assert [repr(answer) for answer in answers] == ["2", "ValueError('two')", "6", "KeyError('four')", "10"]
    assert table.singles == [1, 2, 3, 4, 5]


async def test_an_outage_is_told_to_everybody_at_once() -> None:
    """When the database is gone for one item, the rest of its flush is not tried one after the other."""
    table = Table(bad=dict.fromkeys(range(100), ConnectionResetError("gone")))
    batcher = Batcher(table.flush, table.single)
    answers = await asyncio.gather(*(batcher.do(n) for n in range(100)), return_exceptions=True)
    assert all(isinstance(answer, ConnectionResetError) for answer in answers)
    assert table.singles == [0]


async def test_flushing_goes_on_after_an_error() -> None:
    """A failed flush leaves nothing behind that would stop the next."""
    table = Table(bad={1: ValueError("one")})
    batcher = Batcher(table.flush, table.single)
    with pytest.raises(ValueError, match="one"):
        await batcher.do(1)
    assert await batcher.do(2) == 4


async def test_a_caller_that_leaves_early_takes_its_item_back() -> None:
    """An item whose caller was cancelled before the flush is never done."""
    table = Table()
    batcher = Batcher(table.flush, table.single)
    table.gate.clear()
    first, leaving, last = (asyncio.create_task(batcher.do(n)) for n in (1, 2, 3))
    await settle()
    late = asyncio.create_task(batcher.do(4))
    gone = asyncio.create_task(batcher.do(5))
    await settle()
    leaving.cancel()
    gone.cancel()
    table.gate.set()
    assert list(await asyncio.gather(first, last, late)) == [2, 6, 8]
    assert table.flushes == [[1, 2, 3], [4]]


async def test_a_caller_that_leaves_during_a_failed_flush_is_not_repeated() -> None:
    """The repeat row by row leaves out whoever has gone."""
    table = Table(bad={3: ValueError("three")})
    batcher = Batcher(table.flush, table.single)
    table.gate.clear()
    staying, leaving, bad = (asyncio.create_task(batcher.do(n)) for n in (1, 2, 3))
    await settle()
    leaving.cancel()
    table.gate.set()
    with pytest.raises(ValueError, match="three"):
        await bad
    assert await staying == 2
    assert table.singles == [1, 3]


async def test_several_flights() -> None:
    """With two flights a second flush starts while the first is still in flight; a third waits."""
    table = Table()
    batcher = Batcher(table.flush, table.single, flights=2)
    table.gate.clear()
    tasks = []
    for n in (1, 2, 3, 4):
        tasks.append(asyncio.create_task(batcher.do(n)))
        await settle()
    assert table.flushes == [[1], [2]]
    table.gate.set()
    await asyncio.gather(*tasks)
    assert table.flushes == [[1], [2], [3, 4]]


async def test_too_many_waiting_are_sent_away() -> None:
    """The queue has an end; who finds it full is told when to come back."""
    table = Table()
    batcher = Batcher(table.flush, table.single, max_waiting=2)
    table.gate.clear()
    first = asyncio.create_task(batcher.do(1))
    await settle()
    waiting = [asyncio.create_task(batcher.do(n)) for n in (2, 3)]
    await settle()
    with pytest.raises(RateLimited) as refused:
        await batcher.do(4)
    assert refused.value.retry_after_seconds == 1
    table.gate.set()
    assert await asyncio.gather(first, *waiting) == [2, 4, 6]


async def test_close_finishes_what_was_taken() -> None:
    """Closing waits for everything that was taken, and takes nothing more."""
    table = Table()
    batcher = Batcher(table.flush, table.single, max_batch=1)
    table.gate.clear()
    tasks = [asyncio.create_task(batcher.do(n)) for n in (1, 2, 3)]
    await settle()
    closing = asyncio.create_task(batcher.close())
    await settle()
    assert not closing.done()
    with pytest.raises(DatabaseError, match="stopping"):
        await batcher.do(4)
    table.gate.set()
    await closing
    assert [task.result() for task in tasks] == [2, 4, 6]


async def test_a_flush_that_answers_too_little_is_an_error() -> None:
    """Results that do not match their items are never handed to somebody else's caller."""
    table = Table()

    async def forgetful(items: Sequence[int]) -> list[int]:
        return (await table.flush(items))[1:]

    batcher = Batcher(forgetful, table.single)
    answers = await asyncio.gather(batcher.do(1), batcher.do(2), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["A flush of 2 items answered 1 results."] * 2
    assert table.singles == []


class Rows:
    """A table to read from; a key with a NUL byte breaks the statement that holds it."""

    def __init__(self) -> None:
        self.rows = {"a": 1, "b": 2}
        self.loads: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self, keys: Sequence[str]) -> dict[str, int]:
        self.loads.append(list(keys))
        if "\0" in "".join(keys):
            raise ValueError("a NUL byte")
        found = {key: self.rows[key] for key in keys if key in self.rows}
        await self.gate.wait()
        return found


async def test_equal_keys_are_read_once() -> None:
    """Callers that want the same key share a place in the statement; a key that is not there is None."""
    rows = Rows()
    reads = Coalescer(rows.load)
    assert await asyncio.gather(*(reads.get(key) for key in "abax")) == [1, 2, 1, None]
    assert rows.loads == [["a", "b", "x"]]


async def test_a_read_sees_what_was_written_before_it() -> None:
    """A read that begins after a write does not join a load from before it."""
    rows = Rows()
    reads = Coalescer(rows.load, flights=1)
    rows.gate.clear()
    early = asyncio.create_task(reads.get("a"))
    await settle()
    rows.rows["a"] = 100
    late = asyncio.create_task(reads.get("a"))
    rows.gate.set()
    assert (await early, await late) == (1, 100)


async def test_a_key_that_breaks_the_load_hurts_nobody_else() -> None:
    """One bad key is an error for its own caller alone."""
    rows = Rows()
    reads = Coalescer(rows.load)
    answers = await asyncio.gather(*(reads.get(key) for key in ("a", "\0", "b")), return_exceptions=True)
    assert [repr(answer) for answer in answers] == ["1", "ValueError('a NUL byte')", "2"]
    await reads.close()
