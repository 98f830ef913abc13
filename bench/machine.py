"""What the figures were measured on, and how busy it was with other things."""

from __future__ import annotations

import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path


def describe() -> str:
    """One paragraph: date, cores, processor, Python, and the load before the first measurement."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC · {cores} cores ({_processor()}) · "
        f"Python {platform.python_version()} · {platform.system()} {platform.release()}\n"
        f"load before: {load()}; busy with other things just now: {_busy_share()}"
    )


def load() -> str:
    """The load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{average:.2f}" for average in os.getloadavg())


def cpu_seconds(pid: int) -> float | None:
    """Processor time that a process has used; None where the system does not say it in /proc."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program comes in brackets and may hold spaces; user and system time follow it.
    after_name = text.rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _busy_share() -> str:
    before = _ticks()
    time.sleep(1.0)
    after = _ticks()
    if before is None or after is None:
        return "unknown"
    idle, total = after[0] - before[0], after[1] - before[1]
    return f"{100 * (1 - idle / max(total, 1)):.0f} % of all cores"


def _ticks() -> tuple[int, int] | None:
    """Idle and all ticks of all cores since the machine started."""
    try:
        counts = [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, IndexError, ValueError):
        return None
    return counts[3] + counts[4], sum(counts)
