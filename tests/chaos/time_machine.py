"""Time in a life of the harness: its waits pass faster, and its wall clock can be turned from outside.

Nothing of a rule is weakened: every wait, timeout and pause keeps its length on the life's own clock.
"""

from __future__ import annotations

import asyncio
import mmap
import selectors
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

#: Seconds of a life's loop in one second of ours.
SPEED = 10.0
_SECONDS = struct.Struct("d")


class Dial:
    """How far the wall clock of a stage's lives is ahead of ours: in a file that all of them share."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(_SECONDS.pack(0.0))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _SECONDS.size)

    @property
    def ahead_seconds(self) -> float:
        """Read it."""
        return float(_SECONDS.unpack_from(self._shared)[0])

    @ahead_seconds.setter
    def ahead_seconds(self, seconds: float) -> None:
        _SECONDS.pack_into(self._shared, 0, seconds)


class DialledClock:
    """The clock of a life: waits as the loop does, wall time as the dial has it."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    def now(self) -> datetime:
        """Wall-clock time."""
        return datetime.now(UTC) + timedelta(seconds=self._dial.ahead_seconds)

    def monotonic(self) -> float:
        """Seconds of the fast loop."""
        return time.monotonic() * SPEED

    async def sleep(self, seconds: float) -> None:
        """Wait on the fast loop."""
        await asyncio.sleep(seconds)


class _FastSelector(selectors.DefaultSelector):
    def select(self, timeout: float | None = None) -> Any:
        return super().select(None if timeout is None else timeout / SPEED)


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are short."""

    def __init__(self) -> None:
        super().__init__(_FastSelector())

    def time(self) -> float:
        """Monotonic seconds, the fast ones."""
        return time.monotonic() * SPEED
