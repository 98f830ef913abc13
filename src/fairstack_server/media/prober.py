"""Measures clips and sound of requests in a confined child; the server itself never looks inside them."""

from __future__ import annotations

from pathlib import Path

from fairstack_server.media.recordings import Recording, RecordingKind, RecordingRefused
from fairstack_server.media.sandbox import ChildFailed, ConfinedChild
from fairstack_server.media.sniff import ClipType, SoundType

PROBE_SECONDS = 10.0
#: Of the processor; an ordinary file takes a tenth of it, however busy the machine is.
_PROBE_CPU_SECONDS = 2


class RecordingProber:
    """Measures one file at a time; its child starts with the first one."""

    def __init__(self, *, longest_seconds: float, timeout_seconds: float = PROBE_SECONDS) -> None:
        self._longest_seconds = longest_seconds
        self._timeout_seconds = timeout_seconds
        self._child = ConfinedChild("recording")

    async def measure(self, path: Path, kind: RecordingKind, content_type: ClipType | SoundType) -> Recording:
        """What the file at this absolute path is. Raises RecordingRefused with a reason fit for the user."""
        head = {
            "path": str(path),
            "kind": kind,
            "content_type": content_type,
            "longest_seconds": self._longest_seconds,
            "cpu_seconds": _PROBE_CPU_SECONDS,
        }
        try:
            answer, _ = await self._child.ask(head, b"", self._timeout_seconds)
        except ChildFailed:
            raise RecordingRefused("it could not be read in the time and memory allowed") from None
        if "refused" in answer:
            raise RecordingRefused(str(answer["refused"]))
        return Recording(**answer)

    async def aclose(self) -> None:
        """End the child."""
        await self._child.aclose()
