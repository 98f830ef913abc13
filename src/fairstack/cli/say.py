"""Speak to whoever is at the terminal: answers on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from fairstack.errors import (
    BadArgument,
    BadRequest,
    FairStackError,
    InternalError,
    NotConfigured,
    NotFound,
    PayloadTooLarge,
    Refused,
    UnexpectedAnswer,
    Unreachable,
    UnsupportedMediaType,
)

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_SERVER = 3
EXIT_REFUSED = 4
EXIT_INTERRUPTED = 130
_WRONG_USE = (BadArgument, BadRequest, NotConfigured, NotFound, PayloadTooLarge, UnsupportedMediaType)


def exit_code(error: FairStackError) -> int:
    """1 no clip, 2 wrong use, 3 no server, 4 refused (money, limits, rights, moderation)."""
    if isinstance(error, _WRONG_USE):
        return EXIT_USAGE
    if isinstance(error, Unreachable | UnexpectedAnswer | InternalError):
        return EXIT_NO_SERVER
    return EXIT_REFUSED if isinstance(error, Refused) else EXIT_FAILED


def answer(text: str) -> None:
    """Print what was asked for."""
    print(text)  # noqa: T201  # this is a command line


def note(text: str) -> None:
    """Say something besides the answer."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def failure(error: FairStackError) -> None:
    """Say what went wrong, in one red line."""
    where = f" (request {error.request_id})" if isinstance(error, InternalError) and error.request_id else ""
    red_line(f"{error.message}{where}")


def red_line(text: str) -> None:
    """One line on stderr, red where that can be seen, with nothing in it that could move the cursor."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    note(f"\x1b[31m{line}\x1b[0m" if _colours() else line)


def _colours() -> bool:
    import os

    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def price(amount: object, *, sandbox: bool) -> str:
    """An amount as people read it; test money is called so."""
    return f"{amount} (test money)" if sandbox and amount else str(amount or "")


def table(rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns, the first row being their names."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        answer("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def facts(pairs: Sequence[tuple[str, str]]) -> None:
    """Print named facts, one a line."""
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        answer(f"{name.ljust(width)}  {value}")
