"""Confined children under watch: what each file cost its process, and whether it tried what is forbidden.

The kernel says both to the process that stays: the peak of memory and the seconds of work when it collects
the one that decoded, and SIGSYS as its end. For that a forbidden system call kills here, where it fails with
EPERM in production; every other thing is as it is there.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from fairstack_server.media import child, confine, sandbox

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """One decoding process that has ended."""

    file: str
    """The name of the file it was given, or the checksum of the bytes."""
    kilobytes: int
    """Its peak of memory that was really there (resident)."""
    cpu_seconds: float
    signal: int
    """What ended it: 0 for itself, 31 (SIGSYS) for a forbidden call, 9 for its limits, 11 for a crash."""
    kind: str


class Watch:
    """A folder in which every child writes one line for each process that it collected."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[Path, int] = {}

    def take(self) -> list[Ended]:
        """The processes that have ended since the last look."""
        ended: list[Ended] = []
        for path in sorted(self.folder.iterdir()):
            with path.open() as file:
                file.seek(self._read.get(path, 0))
                ended += [Ended(**json.loads(line)) for line in file]
                self._read[path] = file.tell()
        return ended


def name_of(data: bytes) -> str:
    """What the watch calls a picture, which has no file of its own."""
    return f"{zlib.crc32(data):08x}"


@contextmanager
def watching() -> Iterator[Watch]:
    """Every confined child that starts within the block is watched."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(sandbox, "_CHILD_CODE", code(folder)):
        yield Watch(Path(folder))


#: Damage that a test of the campaign does to every child before it starts.
PLANTED = "pass"


def code(folder: str | Path) -> str:
    """The program of a watched child, in the place of `sandbox._CHILD_CODE`."""
    return (
        f"import sys; sys.path[:0] = [sys.argv[1], {str(_ROOT)!r}]; {PLANTED}; "
        f"from tests.media.watched import main; main(sys.argv[2], {str(folder)!r})"
    )


def main(kind: str, folder: str) -> None:
    """Be a confined child that is watched."""
    log = (Path(folder) / f"{kind}-{os.getpid()}").open("a", buffering=1)
    run, given = child._run_forked, ""

    def run_named(task: child.Task, head: child.Head, body: bytes) -> bytes | None:
        nonlocal given
        given = Path(head["path"]).name if "path" in head else name_of(body)
        return run(task, head, body)

    def collect(pid: int, options: int) -> tuple[int, int]:
        _, status, used = os.wait4(pid, options)
        if not given:  # a helper that looked for a library while the child started
            return pid, status
        ended = {
            "file": given,
            "kilobytes": used.ru_maxrss,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "kind": kind,
        }
        log.write(json.dumps(ended) + "\n")
        return pid, status

    with mock.patch.object(child, "_run_forked", run_named), mock.patch.object(os, "waitpid", collect):
        _kill_for_forbidden_calls()
        child.main(kind)


def _kill_for_forbidden_calls() -> None:
    filters: Any = confine._seccomp()
    if filters is not None:
        mock.patch.object(filters, "ERRNO", lambda _: filters.KILL_PROCESS).start()


SIGSYS = int(signal.SIGSYS)
