"""What every hook is: somebody of the operator's who is asked with JSON and answers with JSON."""

from __future__ import annotations

from typing import Literal, Protocol

#: A verdict is a line; whoever writes more has lost his way.
MAX_VERDICT_BYTES = 64 * 1024


class HookBroke(Exception):
    """The hook gave no verdict; the message is for the operator's log and holds nothing of the question."""


class AsksHook(Protocol):
    """One way to ask."""

    #: How a file is named to it: by its place on this machine, or by its URL.
    shows: Literal["path", "url"]

    async def ask(self, question: bytes, *, seconds: float) -> bytes:
        """The raw verdict. Raises HookBroke, and TimeoutError where it takes longer than that."""
        ...
