"""Looks names up: all A and AAAA answers at once, so that one verdict covers whatever is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

_LOOKUP_THREADS = 16


class Resolver(Protocol):
    """Where addresses of names come from; tests script it."""

    async def resolve(self, host: str) -> Sequence[str]:
        """Every A and AAAA answer for the name. Raises OSError when there is none or nobody answers."""
        ...


class SystemResolver:
    """The machine's resolver, in threads of its own, so that slow names hold up nothing else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="resolve")

    async def resolve(self, host: str) -> Sequence[str]:
        """Every A and AAAA answer for the name, in the system's order of preference."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _look_up, host)

    def close(self) -> None:
        """Let the threads go; a look-up that still runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str) -> list[str]:
    rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for _, _, _, _, address in rows]
