"""A worker in a process of its own that kills itself: `python -m tests.crash.doomed PLACE`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any, cast

from fairstack_server.bootstrap import open_gateway
from fairstack_server.db.dsn import Dsn
from fairstack_server.jobs.keeping import ClipKeeper
from fairstack_server.jobs.settle import Settlement
from fairstack_server.logs import configure_logging
from fairstack_server.settings import read_settings

#: Where a worker may die, in the order of a job's life.
PLACES = ("before_send", "after_answer", "in_poll", "before_store", "before_settle", "after_settle")


def die() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class DoomedProvider:
    """A real provider, in front of or behind whose calls the process dies."""

    def __init__(self, inner: Any, place: str) -> None:
        self._inner = inner
        self._place = place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def submit(self, order: Any) -> Any:
        """Send, or die before; answer, or die before."""
        if self._place == "before_send":
            die()
        answer = await self._inner.submit(order)
        if self._place == "after_answer":
            die()
        return answer

    async def poll(self, ref: Any) -> Any:
        """Look, or die."""
        if self._place == "in_poll":
            die()
        return await self._inner.poll(ref)


def doom(place: str) -> None:
    """Make the parts that come after the provider deadly at their places."""
    keep, complete = ClipKeeper.keep, Settlement.complete

    async def deadly_keep(self: ClipKeeper, *arguments: Any) -> Any:
        if place == "before_store":
            die()
        kept = await keep(self, *arguments)
        if place == "before_settle":
            die()
        return kept

    async def deadly_complete(self: Settlement, *arguments: Any) -> Any:
        done = await complete(self, *arguments)
        if place == "after_settle":
            die()
        return done

    ClipKeeper.keep = deadly_keep  # type: ignore[assignment, method-assign]
    Settlement.complete = deadly_complete  # type: ignore[assignment, method-assign]


async def main(place: str) -> None:
    """Work on jobs until the place is reached."""
    settings = read_settings(os.environ)
    configure_logging("warning", "json")
    doom(place)
    async with open_gateway(settings, Dsn(settings.database_url)) as gateway:
        providers = cast(dict[str, Any], gateway.providers)
        for name in ("fal", "openai_videos"):
            if name in providers:
                providers[name] = DoomedProvider(providers[name], place)
        await gateway.run_worker()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
