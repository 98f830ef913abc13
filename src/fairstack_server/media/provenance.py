"""States in every clip what it is and who made it: a signed C2PA manifest, written by a confined child.

The child parses the clip, which is a stranger's file; this process signs, and never looks inside it. A clip
that cannot be signed is given out unsigned, for it was rendered and paid for all the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import structlog

from fairstack_server.media.certificate import Certificate
from fairstack_server.media.sandbox import ChildFailed, ConfinedChild

log = structlog.get_logger()

#: IPTC's words for what made a clip: a program that draws, or a trained model.
SourceType = Literal["algorithmicMedia", "trainedAlgorithmicMedia"]

#: Of the processor, so that a clip on a busy machine is signed too.
_SIGN_CPU_SECONDS = 20.0
_CPU_SECONDS_A_MEGABYTE = 0.1
#: How much longer it may take than that, waiting for the processor and the disk included.
_BUSY = 3
#: A manifest of ours has some 20 KB; what a clip came with is kept in it.
_GROWTH_BYTES = 16 * 1024 * 1024
_CHILD_BYTES = 448 * 1024 * 1024
#: The signed copy is put together in memory, in a buffer that doubles.
_COPIES = 3
_TRIES = 2


@dataclass(frozen=True, slots=True)
class Origin:
    """What is stated of a clip."""

    model: str
    source_type: SourceType


@dataclass(frozen=True, slots=True)
class Stated:
    """A clip carries our manifest; `upstream`: and in it the one that it came with."""

    upstream: bool


class ClipSigner:
    """Signs clips, one in each of its children at a time; never raises for what is in a clip."""

    def __init__(self, certificate: Certificate, *, max_bytes: int, children: int = 1) -> None:
        self._certificate = certificate
        self._max_bytes = max_bytes
        self._version = version("fairstack")
        self._children = [ConfinedChild("origin") for _ in range(children)]
        self._free: asyncio.LifoQueue[ConfinedChild] = asyncio.LifoQueue()
        for child in self._children:
            self._free.put_nowait(child)

    async def start(self) -> None:
        """Start the child that is used first now; each other starts when several clips come at once."""
        await self._children[-1].start()

    async def sign(self, clip: Path, out: Path, origin: Origin) -> Stated | None:
        """Write the clip with our manifest to the new file `out`; None, and no file, where that cannot be.

        Both are absolute paths.
        """
        size = await asyncio.to_thread(lambda: clip.stat().st_size)
        if size > self._max_bytes:
            return self._unsigned(f"it is larger than FAIRSTACK_C2PA_MAX_BYTES ({self._max_bytes} bytes)")
        head = {
            "path": str(clip),
            "out": str(out),
            "origin": {
                "version": self._version,
                "model": origin.model,
                "digital_source_type": origin.source_type,
            },
            "chain": self._certificate.chain_pem,
            "algorithm": self._certificate.algorithm,
            "memory_bytes": _CHILD_BYTES + _COPIES * size,
            "out_bytes": size + _GROWTH_BYTES,
        }
        for _ in range(_TRIES):
            try:
                answer = await self._ask(head, size, signs=True)
            except ChildFailed as failure:
                # Its process may have died of anything, so it gets one more.
                reason = str(failure)
                await asyncio.to_thread(out.unlink, missing_ok=True)
                continue
            if "refused" not in answer:
                return Stated(answer["upstream"])
            reason = str(answer["refused"])
            break
        await asyncio.to_thread(out.unlink, missing_ok=True)
        return self._unsigned(reason)

    async def read(self, clip: Path) -> Stated | None:
        """What a clip that our store already had says of itself; None where it was stored unsigned."""
        size = await asyncio.to_thread(lambda: clip.stat().st_size)
        head = {"path": str(clip), "memory_bytes": _CHILD_BYTES + size}
        try:
            answer = await self._ask(head, size, signs=False)
        except ChildFailed:
            return None
        return Stated(answer["upstream"]) if answer["is_sound"] else None

    async def aclose(self) -> None:
        """End all children."""
        for child in self._children:
            await child.aclose()

    async def _ask(self, head: dict[str, Any], size: int, *, signs: bool) -> dict[str, Any]:
        cpu_seconds = _SIGN_CPU_SECONDS + _CPU_SECONDS_A_MEGABYTE * size / 1e6
        head = {**head, "cpu_seconds": round(cpu_seconds)}
        child = await self._free.get()
        try:
            answer, _ = await child.ask(
                head, b"", _BUSY * cpu_seconds, sign=self._certificate.sign if signs else None
            )
        finally:
            self._free.put_nowait(child)
        return answer

    @staticmethod
    def _unsigned(reason: str) -> None:
        log.error("clip.unsigned", reason=reason)
