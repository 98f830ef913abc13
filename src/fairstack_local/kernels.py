"""Compiled loops over pixels: how a function becomes a kernel, and how kernels share the cores."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

_BANDS_PER_CORE = 3


def kernel(function: F) -> F:
    """Compile on first call and keep the code on disk; without the GIL, so that bands run side by side."""
    return cast(F, numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")(function))


def inline(function: F) -> F:
    """Compile a small helper of kernels; LLVM puts it in place."""
    return cast(F, numba.njit(nogil=True, fastmath=True, error_model="numpy")(function))


def available_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Bands:
    """Splits pictures into bands of rows and runs a kernel on them, on every core.

    The result does not depend on the number of cores: a pixel is computed from its own position alone.
    """

    def __init__(self, cores: int | None = None) -> None:
        self._cores = cores or available_cores()
        self._threads = ThreadPoolExecutor(self._cores)

    def run(self, work: Callable[..., None], rows: int, *arguments: object, first: int = 0) -> None:
        """Call `work(row_from, row_to, *arguments)` over rows `first` to `rows`; return when all are done."""
        count = max(1, min(rows - first, self._cores * _BANDS_PER_CORE))
        edges = [first + (rows - first) * band // count for band in range(count + 1)]
        jobs = [
            self._threads.submit(work, top, bottom, *arguments)
            for top, bottom in itertools.pairwise(edges)
            if bottom > top
        ]
        for job in jobs:
            job.result()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
