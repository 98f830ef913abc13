"""Files that were half made when a server was killed: each owner says which are its, one sweep takes them.

Several servers may share a data folder's work, or one media folder over a network. No lock tells of all of
them and no process number is anybody's for ever, so what counts is age: a file goes when nobody has written
to it for longer than any living process leaves one. A download and a render write all the time; a clip that
waits to be signed or judged waits for minutes, or hours under a flood.
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from fairstack_server.clock import Clock

log = structlog.get_logger()

HOUR, DAY = 3600, 24 * 3600
_PAUSE_SECONDS = HOUR


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Files of one owner that it removes itself, unless it is killed before."""

    folder: Path
    names: str
    """Pattern of their names in that folder, and of no file that is kept."""
    after_seconds: int
    """Older than any that is in use."""


class Sweep:
    """Clears leftovers at the start, and every hour."""

    def __init__(self, places: Iterable[Leftovers], clock: Clock) -> None:
        self._places = tuple(places)
        self._clock = clock

    async def run(self) -> None:
        """Clear until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.clear)
            except Exception:
                # A folder that cannot be read now is looked at again in an hour.
                log.exception("leftovers.sweep_broke")
            await self._clock.sleep(_PAUSE_SECONDS)

    def clear(self) -> None:
        """Remove what is there now, and log how much it was. Blocking."""
        now = self._clock.now().timestamp()
        for place in self._places:
            cleared = sum(
                _cleared(path, now - place.after_seconds) for path in place.folder.glob(place.names)
            )
            if cleared:
                log.info("leftovers.cleared", folder=str(place.folder), names=place.names, files=cleared)


def _cleared(path: Path, before: float) -> bool:
    """Remove a file that was last written before then; whether that was done."""
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_mtime >= before:
            return False
        path.unlink()
    except FileNotFoundError:
        return False  # its owner, or another server's sweep, was faster
    except OSError as error:
        log.warning("leftovers.stay", path=str(path), error=error.strerror)
        return False
    return True
