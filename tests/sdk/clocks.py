"""Clocks by which hours pass in no time."""

from __future__ import annotations


class FakeClock:
    """Time that passes only by sleeping and by being advanced."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.sleeps: list[float] = []

    def now(self) -> float:
        """Seconds that never go back."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Note the sleep and let its time pass."""
        self.sleeps.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class AsyncFakeClock:
    """The same clock for the async client."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def now(self) -> float:
        """Seconds that never go back."""
        return self.clock.now()

    async def sleep(self, seconds: float) -> None:
        """Note the sleep and let its time pass."""
        self.clock.sleep(seconds)
