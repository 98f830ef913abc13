"""How long a start takes: the server from nothing and again, and the import of the client."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.figures import median, table
from bench.machine import cpu_seconds
from bench.servers import server, temporary_home

_COLD_STARTS, _WARM_STARTS, _IMPORTS = 2, 3, 7
_IMPORT = (
    "import time; clocks = (time.perf_counter, time.process_time); begun = [clock() for clock in clocks]; "
    "import fairstack; print(*((clock() - began) * 1000 for clock, began in zip(clocks, begun)))"
)


@dataclass(frozen=True, slots=True)
class _Starts:
    """Starts of one kind: seconds until ready, and processor seconds of the server in that time."""

    name: str
    ready_seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        ready = self.ready_seconds
        cpu = f"{median(self.cpu_seconds):.2f}" if self.cpu_seconds else "-"
        return [self.name, f"{median(ready):.2f}", f"{min(ready):.2f}", cpu, str(len(ready))]


async def measure_starts() -> str:
    """Seconds from the command to /readyz: with nothing compiled, with an empty home, with a used one."""
    first = _Starts("first: nothing compiled, empty home")
    cold = _Starts("cold: empty home, database made and migrated")
    warm = _Starts("warm: same home again")
    for kind, times in ((first, 1), (cold, _COLD_STARTS)):
        for _ in range(times):
            async with temporary_home() as home:
                await _start(home, kind)
                if kind is cold and len(cold.ready_seconds) == times:
                    for _ in range(_WARM_STARTS):
                        await _start(home, warm)
    head = ("Start of `fairstack serve`, to /readyz", "median s", "best s", "CPU s", "starts")
    return table(head, [kind.row() for kind in (first, cold, warm)])


async def _start(home: Path, kind: _Starts) -> None:
    async with server("serve", home, {}) as started:
        used = cpu_seconds(started.pid)
        kind.ready_seconds.append(started.ready_seconds)
        if used is not None:
            kind.cpu_seconds.append(used)


async def measure_import() -> str:
    """Milliseconds of `import fairstack` in a fresh interpreter, compiled before."""
    taken = [await _import_once() for _ in range(1 + _IMPORTS)][1:]
    times, cpu = zip(*taken, strict=True)
    return (
        f"`import fairstack`: median {median(times):.0f} ms, best {min(times):.0f} ms, of {_IMPORTS}; "
        f"of the processor {median(cpu):.0f} ms"
    )


async def _import_once() -> tuple[float, float]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _IMPORT), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    milliseconds, of_the_processor = map(float, out.split())
    return milliseconds, of_the_processor
