"""Decodes untrusted files in a confined child process, kept warm and replaced when it misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from fairstack_server.media.child import MAX_BODY_BYTES, MAX_HEAD_BYTES, Head, frame_start
from fairstack_server.media.heap import return_large_blocks
from fairstack_server.media.pictures import CleanImage, ImageRefused

#: With what starting and answering costs, a picture that is given up has cost less than 3 s.
DECODE_SECONDS = 2.75
_START_SECONDS = 30.0
# The child ends a slow decode itself; this is for a child that does not answer at all.
_SPARE_SECONDS = 2.0
_PIECE_BYTES = 256 * 1024
# Where a machine keeps its libraries in an unusual place, the decoders are there as well.
_KEPT_ENVIRONMENT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
_CHILD_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from fairstack_server.media.child import main; main(sys.argv[2])"
)


class ChildFailed(Exception):
    """The confined process died, took too long or answered nonsense."""


class ConfinedChild:
    """One warm child of a kind; it takes one file at a time, in turn, and is replaced when it fails."""

    def __init__(self, kind: Literal["image", "poster", "recording", "origin"]) -> None:
        self._kind = kind
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self.confinement: str | None = None
        """What confines the child, once it runs: `seccomp+rlimits`, or `rlimits` where seccomp is missing."""

    async def start(self) -> None:
        """Start the child now, so that the first file does not wait for it."""
        async with self._turn:
            await self._running()

    async def ask(
        self, head: Head, body: bytes, seconds: float, *, sign: Callable[[bytes], bytes] | None = None
    ) -> tuple[Head, bytes]:
        """Have one file worked on. Raises ChildFailed when no sound answer came within that time.

        `sign` answers the one question that a task may put on the way.
        """
        async with self._turn:
            process = await self._running()
            try:
                async with asyncio.timeout(seconds + _SPARE_SECONDS):
                    request = {**head, "seconds": seconds, "asks": sign is not None}
                    answer, data = await _exchange(process, request, body)
                    if sign is not None and answer.get("question"):
                        answer, data = await _exchange(process, {}, sign(data))
            except (TimeoutError, EOFError, OSError, ValueError) as error:
                await self._stop()
                raise ChildFailed(f"confined {self._kind} process: {type(error).__name__}") from error
            except asyncio.CancelledError:
                # Its answer would be read as the answer to the next file.
                await self._stop()
                raise
        if answer.get("died"):
            raise ChildFailed(f"decoding the {self._kind} took too long or broke the decoder")
        return answer, data

    async def aclose(self) -> None:
        """End the child."""
        async with self._turn:
            await self._stop()

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-c",
            _CHILD_CODE,
            _PACKAGE_PARENT,
            self._kind,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # No key of ours is in its memory, and it ends as one group.
            env={name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ},
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_START_SECONDS):
                hello, _ = await _read_frame(process)
        except (TimeoutError, EOFError, ValueError) as error:
            await self._stop()
            raise ChildFailed(f"the confined {self._kind} process does not start") from error
        self.confinement = hello["confinement"]
        return process

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


class ImageDecoder:
    """Turns untrusted image bytes into clean ones, in confined children.

    A decode that takes longer than `timeout_seconds`, or breaks its process, is a refusal like any other.
    """

    def __init__(self, *, children: int = 1, timeout_seconds: float = DECODE_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._children = [ConfinedChild("image") for _ in range(children)]
        self._free: asyncio.Queue[ConfinedChild] = asyncio.Queue()
        for child in self._children:
            self._free.put_nowait(child)

    @property
    def confinement(self) -> str | None:
        """What confines the children: `seccomp+rlimits`, `rlimits`, or None before the first one ran."""
        return next((child.confinement for child in self._children if child.confinement), None)

    async def start(self) -> None:
        """Start every child now; else each starts with its first image.

        From then on this process gives the memory of large files back when they are gone.
        """
        return_large_blocks()
        for child in self._children:
            await child.start()

    async def decode(
        self, data: bytes, *, crop_ratio: tuple[int, int] | None = None, max_side: int | None = None
    ) -> CleanImage:
        """A clean copy: one frame, upright, RGB, PNG or JPEG, without metadata.

        `crop_ratio` brings it to that ratio (a crop where it costs little, else blurred borders), `max_side`
        shrinks it to at most that many pixels a side. Raises ImageRefused with a reason fit for the user.
        """
        child = await self._free.get()
        try:
            head = {"ratio": crop_ratio, "max_side": max_side}
            answer, body = await child.ask(head, data, self._timeout_seconds)
        except ChildFailed:
            raise ImageRefused("the picture could not be decoded in the time and memory allowed") from None
        finally:
            self._free.put_nowait(child)
        if "refused" in answer:
            raise ImageRefused(str(answer["refused"]))
        return CleanImage(data=body, **answer)

    async def aclose(self) -> None:
        """End all children."""
        for child in self._children:
            await child.aclose()


async def _exchange(process: asyncio.subprocess.Process, head: Head, body: bytes) -> tuple[Head, bytes]:
    assert process.stdin is not None
    process.stdin.write(frame_start(head, len(body)))
    # In pieces, because what the pipe does not take at once is copied.
    for start in range(0, len(body), _PIECE_BYTES):
        process.stdin.write(body[start : start + _PIECE_BYTES])
        await process.stdin.drain()
    await process.stdin.drain()
    return await _read_frame(process)


async def _read_frame(process: asyncio.subprocess.Process) -> tuple[Head, bytes]:
    assert process.stdout is not None
    (head_bytes,) = struct.unpack(">I", await process.stdout.readexactly(4))
    if head_bytes > MAX_HEAD_BYTES:
        raise ValueError("head too long")
    head: Head = json.loads(await process.stdout.readexactly(head_bytes))
    (body_bytes,) = struct.unpack(">Q", await process.stdout.readexactly(8))
    if body_bytes > MAX_BODY_BYTES:
        raise ValueError("body too long")
    return head, await process.stdout.readexactly(body_bytes)
