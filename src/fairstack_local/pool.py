"""Renders side by side, each in a process of its own, so that the API never waits for a frame.

A render is queued, rendering, rendered or failed; what the pool knows of it is read with `look`. A process
that dies (killed, out of memory, crashed) or falls silent is replaced once, then the render has failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections import OrderedDict, deque
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from fairstack_local.kernel_cache import renderer_environment
from fairstack_local.orders import RenderOrder, RenderReport, part_path

STALL_SECONDS = 180.0
KEPT_ENDED = 10_000
_LINE_LIMIT = 1 << 20
_STDERR_TAIL_BYTES = 2_000

log = logging.getLogger("fairstack_local")


@dataclass(frozen=True, slots=True)
class Queued:
    """Waits for a free process."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """Has a process; `progress` runs from 0.0 to 1.0 by frames."""

    progress: float


@dataclass(frozen=True, slots=True)
class Rendered:
    """The clip lies whole at the order's `out_path`."""

    report: RenderReport


@dataclass(frozen=True, slots=True)
class RenderFailed:
    """There is no clip; `reason` is a sentence that may be shown to the user."""

    reason: str


Look = Queued | Rendering | Rendered | RenderFailed


class RenderPool:
    """At most `processes` renders at once, the others waiting in order of arrival. For one event loop.

    Compiled kernels are kept under `cache_dir`. Everything it knows is lost with it: after a restart `look`
    answers None for the renders of before, which may simply be started again.
    """

    def __init__(self, processes: int, cache_dir: Path, *, stall_seconds: float = STALL_SECONDS) -> None:
        if processes < 1:
            raise ValueError(f"processes is {processes}; a pool needs at least 1")
        self._processes = processes
        self._environment = renderer_environment(cache_dir)
        self._stall_seconds = stall_seconds
        self._looks: OrderedDict[str, Look] = OrderedDict()
        self._waiting: deque[tuple[str, RenderOrder]] = deque()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._closed = False

    async def start(self, render_id: str, order: RenderOrder) -> None:
        """Queue this render. A known id is left as it is, so asking twice renders once."""
        if self._closed:
            raise RuntimeError("the render pool is closed")
        if render_id in self._looks:
            return
        self._looks[render_id] = Queued()
        self._waiting.append((render_id, order))
        self._fill_slots()

    async def look(self, render_id: str) -> Look | None:
        """How this render stands now; None for an id that this pool was never given (or has forgotten)."""
        return self._looks.get(render_id)

    async def stop(self, render_id: str) -> bool:
        """End this render and free its slot at once. False when it had ended already or is unknown."""
        if isinstance(self._looks.get(render_id), Rendered | RenderFailed | None):
            return False
        self._settle(render_id, RenderFailed("The render was stopped."))
        self._waiting = deque(entry for entry in self._waiting if entry[0] != render_id)
        if (task := self._running.get(render_id)) is not None:
            await _cancel(task)
        return True

    async def forget(self, render_id: str) -> None:
        """Drop what is known of this render, stopping it first if it still runs. The clip file stays."""
        await self.stop(render_id)
        self._looks.pop(render_id, None)

    async def aclose(self) -> None:
        """Stop every render and wait until no process of this pool is left. Safe to repeat."""
        self._closed = True
        self._waiting.clear()
        for render_id in list(self._looks):
            await self.stop(render_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _fill_slots(self) -> None:
        while not self._closed and self._waiting and len(self._running) < self._processes:
            render_id, order = self._waiting.popleft()
            self._looks[render_id] = Rendering(0.0)
            task = asyncio.create_task(self._occupy_slot(render_id, order))
            self._running[render_id] = task
            # Not a `finally` in the task: one that is cancelled before its first step never enters its body.
            task.add_done_callback(partial(self._free_slot, render_id))

    def _free_slot(self, render_id: str, _: asyncio.Task[None]) -> None:
        self._running.pop(render_id, None)
        self._fill_slots()

    async def _occupy_slot(self, render_id: str, order: RenderOrder) -> None:
        try:
            self._settle(render_id, await self._render(render_id, order))
        except OSError as error:
            self._settle(render_id, RenderFailed(f"The renderer could not be run: {error.strerror}."))
        finally:
            part_path(order.out_path).unlink(missing_ok=True)

    async def _render(self, render_id: str, order: RenderOrder) -> Rendered | RenderFailed:
        end = await self._attempt(render_id, order)
        if isinstance(end, str):
            self._looks[render_id] = Rendering(0.0)
            end = await self._attempt(render_id, order)
        if isinstance(end, str):
            return RenderFailed(f"The renderer process {end}, twice. Try a shorter clip.")
        return end

    async def _attempt(self, render_id: str, order: RenderOrder) -> Rendered | RenderFailed | str:
        """Run one process to its end: what it said, or how it died."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "fairstack_local.worker",
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_LIMIT,
            env=self._environment,
        )
        last_words = asyncio.create_task(_tail(process))
        try:
            end = await self._follow(process, render_id, order)
        finally:
            await _kill(process)
            tail = await last_words
        if isinstance(end, str):
            log.warning("local.renderer_died render=%s how=%s stderr=%s", render_id, end, tail)
        return end

    async def _follow(
        self, process: asyncio.subprocess.Process, render_id: str, order: RenderOrder
    ) -> Rendered | RenderFailed | str:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(order.to_json()).encode() + b"\n")
            await process.stdin.drain()
        while True:
            try:
                async with asyncio.timeout(self._stall_seconds):
                    line = await process.stdout.readline()
            except TimeoutError:
                return f"made no frame for {self._stall_seconds:.0f} seconds"
            if not line:
                return _how_it_died(await process.wait())
            match json.loads(line):
                case {"frame": int(frame), "frames": int(frames)}:
                    self._looks[render_id] = Rendering(frame / frames)
                case {"report": dict(report)}:
                    return Rendered(RenderReport.from_json(report))
                case {"failed": str(reason)}:
                    return RenderFailed(reason)

    def _settle(self, render_id: str, end: Rendered | RenderFailed) -> None:
        self._looks[render_id] = end
        self._looks.move_to_end(render_id)
        while len(self._looks) > KEPT_ENDED and isinstance(
            next(iter(self._looks.values())), Rendered | RenderFailed
        ):
            self._looks.popitem(last=False)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def _tail(process: asyncio.subprocess.Process) -> str:
    """Drain stderr, so that the process never blocks on it, and keep its last words for the log."""
    assert process.stderr is not None
    tail = b""
    while chunk := await process.stderr.read(_STDERR_TAIL_BYTES):
        tail = (tail + chunk)[-_STDERR_TAIL_BYTES:]
    return tail.decode(errors="replace")


def _how_it_died(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status} and no clip"
