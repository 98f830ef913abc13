"""Time, as the clients take it; tests give a clock of their own and pass hours in no time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Time for the sync client."""

    def now(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Let this time pass."""


class AsyncClock(Protocol):
    """Time for the async client."""

    def now(self) -> float:
        """Seconds that never go back."""

    async def sleep(self, seconds: float) -> None:
        """Let this time pass."""


class SystemClock:
    """The machine's time, blocking."""

    def now(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let this time pass."""
        time.sleep(seconds)


class AsyncSystemClock:
    """The machine's time, yielding to the event loop."""

    def now(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Let this time pass."""
        import anyio

        await anyio.sleep(seconds)
