"""How long the lifecycle waits, and what must not be broken off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TypeVar

from fairstack_server.providers.base import Pending

T = TypeVar("T")

LONGEST_PAUSE_SECONDS = 30.0
_FIRST_LOOK_SECONDS = 0.25


def poll_pause(pending: Pending, polls: int) -> float:
    """Seconds to the next look: what the provider asks for, else about a tenth of the time so far."""
    if pending.retry_after_seconds is not None:
        return min(max(pending.retry_after_seconds, 0.1), LONGEST_PAUSE_SECONDS)
    return min(LONGEST_PAUSE_SECONDS, _FIRST_LOOK_SECONDS * 1.1**polls)


async def unbroken(work: Awaitable[T], grace_seconds: float) -> T:
    """Let a send that has begun come to its end although we are being stopped: its receipt is kept."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await asyncio.wait_for(task, grace_seconds)
        raise
