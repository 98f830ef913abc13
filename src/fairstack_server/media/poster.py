"""Makes the still picture of a clip: the first frame that shows something, decoded in a confined child."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from fairstack_server.media.sandbox import ChildFailed, ConfinedChild

POSTER_MAX_WIDTH = 1280
#: Of the processor, so that a clip on a busy machine has its poster too; an ordinary one takes half a second.
_POSTER_CPU_SECONDS = 8
_POSTER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Poster:
    """A JPEG of a clip, or the reason why there is none; a clip without a poster is still a clip."""

    jpeg: bytes | None
    reason: str | None = None


class PosterMaker:
    """Makes posters, one in each of its children at a time; never raises for what is in a clip."""

    def __init__(self, *, children: int = 1, timeout_seconds: float = _POSTER_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._children = [ConfinedChild("poster") for _ in range(children)]
        self._free: asyncio.Queue[ConfinedChild] = asyncio.Queue()
        for child in self._children:
            self._free.put_nowait(child)

    async def start(self) -> None:
        """Start every child now; else each starts with its first clip."""
        for child in self._children:
            await child.start()

    async def make(self, clip: Path, *, max_width: int = POSTER_MAX_WIDTH) -> Poster:
        """The clip's poster as JPEG, at most that wide. `clip` is an absolute path."""
        head = {"path": str(clip), "max_width": max_width, "cpu_seconds": _POSTER_CPU_SECONDS}
        child = await self._free.get()
        try:
            answer, body = await child.ask(head, b"", self._timeout_seconds)
        except ChildFailed as failure:
            return Poster(None, str(failure))
        finally:
            self._free.put_nowait(child)
        if "refused" in answer:
            return Poster(None, str(answer["refused"]))
        return Poster(body)

    async def aclose(self) -> None:
        """End all children."""
        for child in self._children:
            await child.aclose()
