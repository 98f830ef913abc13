"""The event loop of the simulation: virtual time, an order by seed, processes that die and freeze."""

from __future__ import annotations

import asyncio
import contextvars
import random
import time

import pytest

from tests.simulation.loop import HOST, Host, SimLoop

_MOST_STEPS = 10_000


def _loop(seed: int) -> SimLoop:
    return SimLoop(random.Random(seed))  # type: ignore[abstract]


def _start(loop: SimLoop, host: Host, what: object) -> None:
    context = contextvars.copy_context()
    context.run(HOST.set, host)
    loop.create_task(what, context=context)  # type: ignore[arg-type]


def test_a_year_passes_at_once() -> None:
    """Nobody really sleeps."""
    loop, began = _loop(1), time.monotonic()
    loop.run(asyncio.sleep(365 * 86400.0), most_steps=_MOST_STEPS)
    assert loop.time() == 365 * 86400.0
    assert time.monotonic() - began < 1.0


def test_the_seed_decides_the_order() -> None:
    """The same seed runs tasks in the same order, another one in another."""

    def order(seed: int) -> list[int]:
        ran: list[int] = []

        async def note(number: int) -> None:
            ran.append(number)

        async def all_of_them() -> None:
            await asyncio.gather(*(note(number) for number in range(20)))

        _loop(seed).run(all_of_them(), most_steps=_MOST_STEPS)
        return ran

    assert order(1) == order(1)
    assert order(1) != order(2)
    assert sorted(order(1)) == list(range(20))


def test_the_dead_do_nothing_and_the_frozen_do_it_later() -> None:
    """A dead process does not even clean up; a frozen one goes on where it was."""
    loop, ran = _loop(1), []
    dead, frozen = Host("dead"), Host("frozen")

    async def work(name: str) -> None:
        try:
            await asyncio.sleep(1.0)
            ran.append((name, loop.time()))
        finally:
            ran.append((f"{name} cleans up", loop.time()))

    async def fate() -> None:
        await asyncio.sleep(0.5)
        dead.dead, frozen.frozen = True, True
        await asyncio.sleep(9.5)
        loop.thaw(frozen)
        await asyncio.sleep(1.0)
        assert ran == [("frozen", 10.0), ("frozen cleans up", 10.0)]

    _start(loop, dead, work("dead"))
    _start(loop, frozen, work("frozen"))
    loop.run(fate(), most_steps=_MOST_STEPS)


def test_what_never_ends_is_told() -> None:
    """Too many steps, or nothing left to wait for, is an error and not a hang."""

    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="no end"):
        _loop(1).run(spin(), most_steps=100)
    with pytest.raises(RuntimeError, match="nothing is left"):
        _loop(1).run(wait(), most_steps=100)
