"""Run several flows at a time: in threads for the sync client, as tasks for the async one."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Sequence
from queue import SimpleQueue
from typing import Any

from fairstack.flow import Flow, Tell


class Stopped(BaseException):
    """Raised in a flow whose crew was stopped, so that it sends nothing more."""


class Crew:
    """Threads that run flows; what the flows tell is told in the thread that waits for their values."""

    def __init__(self, run: Callable[[Flow[Any], Crew], Any], flows: Sequence[Flow[Any]], limit: int) -> None:
        self._run = run
        self._limit = min(limit, len(flows))
        self._values: list[Any] = [None] * len(flows)
        self._todo = iter(enumerate(flows))
        self._taking = threading.Lock()
        self._stopped = threading.Event()
        # News of the threads: something to tell, what one of them raised, or None when it has no more to do.
        self._news: SimpleQueue[Tell | BaseException | None] = SimpleQueue()

    def values(self) -> list[Any]:
        """The flows' values, in their order; whatever is raised here or in a flow stops the others.

        A stopped flow finishes the request that it has in flight, unheard; nobody waits for it, so that
        Ctrl-C is answered at once.
        """
        working = self._limit
        try:
            for _ in range(working):
                threading.Thread(target=self._work, name="fairstack", daemon=True).start()
            while working:
                match self._news.get():
                    case Tell(callback, value):
                        callback(value)
                    case None:
                        working -= 1
                    case error:
                        raise error
        finally:
            self._stopped.set()
        return self._values

    def tell(self, news: Tell) -> None:
        """Have it told in the thread that waits; raises Stopped if nobody does any more."""
        self.check()
        self._news.put(news)

    def check(self) -> None:
        """Raise Stopped in a flow that shall not go on."""
        if self._stopped.is_set():
            raise Stopped

    def _work(self) -> None:
        try:
            while (taken := self._take()) is not None:
                index, flow = taken
                self._values[index] = self._run(flow, self)
            self._news.put(None)
        except BaseException as error:
            self._news.put(error)

    def _take(self) -> tuple[int, Flow[Any]] | None:
        with self._taking:
            return None if self._stopped.is_set() else next(self._todo, None)


async def values_of(
    run: Callable[[Flow[Any]], Awaitable[Any]], flows: Sequence[Flow[Any]], limit: int
) -> list[Any]:
    """The flows' values, in their order; whatever one raises stops the others, and so does a cancellation."""
    import anyio

    values: list[Any] = [None] * len(flows)
    todo = iter(enumerate(flows))
    raised: list[Exception] = []

    async def work() -> None:
        try:
            for index, flow in todo:
                values[index] = await run(flow)
        except Exception as error:
            raised.append(error)
            group.cancel_scope.cancel()

    async with anyio.create_task_group() as group:
        for _ in range(min(limit, len(flows))):
            group.start_soon(work)
    if raised:
        raise raised[0]
    return values
