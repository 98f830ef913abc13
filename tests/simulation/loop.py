"""An event loop without real time or real I/O: a seed decides the order of everything that is ready.

Each callback belongs to a process of the simulated world (or to none: the world itself). A process that died
runs nothing any more, not even `finally`; one that is frozen runs nothing until it thaws.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import random
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_CLOSES_AT_MOST = 20


class Host:
    """What callbacks may belong to: it can die, and it can freeze and thaw."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = False
        self.held: list[asyncio.Handle] = []


#: The process that the running code belongs to; None is the world.
HOST: contextvars.ContextVar[Host | None] = contextvars.ContextVar("host", default=None)


class SimTask(asyncio.Task[Any]):
    """A task whose hash is its number, so that sets of tasks have the same order in every run."""

    def __init__(self, number: int, coro: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(coro, loop=loop, name=str(number))

    def __hash__(self) -> int:
        return self.number


class SimFuture(asyncio.Future[Any]):
    """A future whose hash is its number."""

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class SimLoop(asyncio.AbstractEventLoop):
    """Runs what is ready in an order that `dice` shuffles; time passes only when nothing is ready."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._now = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._tasks: list[SimTask] = []
        self._closed = False
        self.steps = 0
        self.broken: list[str] = []
        """What no code caught; a simulation without any is sound."""

    # --- running

    def run(self, main: Coroutine[Any, Any, T], *, most_steps: int) -> T:
        """Run `main` to its end. Raises RuntimeError when that takes too many steps, or nothing is left."""
        asyncio._set_running_loop(self)
        try:
            task = self.create_task(main)
            while not task.done():
                if self.steps >= most_steps:
                    raise RuntimeError(f"no end after {most_steps} steps, at {self._now:.1f} s")
                self._step()
            result: T = task.result()
            return result
        finally:
            self._drop_everything()
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        ready = self._ready
        if not ready:
            self._pass_time()
        place = int(self._dice.random() * len(ready))
        handle, ready[place] = ready[place], ready[-1]
        ready.pop()
        if handle.cancelled():
            return
        host = handle._context.get(HOST)  # type: ignore[attr-defined]
        if host is not None and (host.dead or host.frozen):
            if not host.dead:
                host.held.append(handle)
            return
        self.steps += 1
        handle._run()

    def _pass_time(self) -> None:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if not timers:
            raise RuntimeError("nothing is left to happen, and the end has not come")
        self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            self._ready.append(heapq.heappop(timers)[2])

    def thaw(self, host: Host) -> None:
        """Let a frozen process go on with what it missed."""
        host.frozen = False
        self._ready.extend(host.held)
        host.held = []

    def _drop_everything(self) -> None:
        """Close what will never be resumed; nothing of it can reach the world any more."""
        self._closed = True
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                _close(task.get_coro())
        self._tasks, self._ready, self._timers = [], [], []

    # --- what asyncio asks of a loop

    def time(self) -> float:
        """Virtual seconds since the beginning."""
        return self._now

    def is_running(self) -> bool:
        """It is, until it was dropped."""
        return not self._closed

    def is_closed(self) -> bool:
        """Nothing runs any more."""
        return self._closed

    def get_debug(self) -> bool:
        """Never: the order of steps must not depend on it."""
        return False

    def create_future(self) -> SimFuture:
        """A future with a number of its own."""
        self._count += 1
        return SimFuture(self._count, self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> SimTask:
        """A task of the process that creates it, also where it is given an empty context."""
        self._count += 1
        host = HOST.get()
        if context is None:
            task = SimTask(self._count, coro, self)  # type: ignore[arg-type]
        else:
            if HOST not in context:
                context.run(HOST.set, host)
            task = context.run(SimTask, self._count, coro, self)  # type: ignore[arg-type]
        self._tasks.append(task)
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run it as soon as the dice want."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run it when that many virtual seconds have passed."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run it at that virtual time."""
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._closed:
            self._count += 1
            heapq.heappush(self._timers, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is thrown away when its time comes."""

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught while the world was running."""
        if self._closed or context.get("message", "").startswith("Task exception was never retrieved"):
            return
        self.broken.append(f"{context.get('message')}: {context.get('exception')!r}")


def _close(coro: Any) -> None:
    """Unwind a coroutine that will never be resumed; what its cleanup would wait for does not come."""
    for _ in range(_CLOSES_AT_MOST):
        with suppress(Exception, asyncio.CancelledError):
            coro.close()
            return
