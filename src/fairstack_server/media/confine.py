"""Takes from the calling process everything that decoding does not need. For child processes only."""

from __future__ import annotations

import contextlib
import errno
import resource
from importlib import import_module
from pathlib import Path
from types import ModuleType

# All that a decoder needs once its code is loaded: memory, the pipe or file it already holds, and the end.
_ALLOWED_CALLS = (
    "brk",
    "clock_gettime",
    "clock_getres",
    "close",
    "exit",
    "exit_group",
    "fstat",
    "futex",
    "getpid",
    "getrandom",
    "gettid",
    "gettimeofday",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "newfstatat",
    "pread64",
    "read",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sysinfo",
    "write",
    "writev",
)


def confinement() -> str:
    """What `confine` can do here: `seccomp+rlimits`, or `rlimits` where the system has no seccomp."""
    return "seccomp+rlimits" if _seccomp() is not None else "rlimits"


def confine(*, memory_bytes: int, cpu_seconds: int, file_bytes: int = 0) -> None:
    """Give up files, sockets, processes, memory and time beyond these bounds; there is no way back.

    `file_bytes`: how far a file that is open for writing may grow.
    Every module that will be used must be loaded before. Afterwards a forbidden system call fails with EPERM.
    """
    _limit(resource.RLIMIT_AS, _memory_in_use() + memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    seccomp = _seccomp()
    if seccomp is None:
        return
    allowed = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in _ALLOWED_CALLS:
        # A call that this processor's table lacks cannot be made, so it needs no rule.
        with contextlib.suppress(OSError, ValueError):
            allowed.add_rule(seccomp.ALLOW, name)
    allowed.load()


def _limit(kind: int, most: int) -> None:
    # macOS refuses some of these; what it grants still holds.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def _memory_in_use() -> int:
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text().split()[0]) * resource.getpagesize()


def _seccomp() -> ModuleType | None:
    try:
        return import_module("pyseccomp")
    except (ImportError, OSError, RuntimeError):
        return None  # not Linux, or no libseccomp
