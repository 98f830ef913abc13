"""Searches a vendor's list of tasks page by page: in an outage hundreds of answers are lost at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final, TypeVar

from fairstack_server.jsonvalue import JSON

#: So many pages are read at most; an order that lies behind them is looked for again later.
MOST_PAGES: Final = 20

Place = TypeVar("Place", int, str)

#: Reads the page at this place: its entries, and the place of the page after it, if there is one.
ReadPage = Callable[[Place], Awaitable[tuple[list[JSON], Place | None]]]


async def search_list(
    read_page: ReadPage[Place],
    first: Place,
    match: Callable[[JSON], str | None],
    is_old: Callable[[JSON], bool] | None = None,
) -> list[str]:
    """The ids that `match` gives, each once: a list that grows while it is read shows an entry twice.

    The newest entries come first. The search ends with the list, or with a page whose last entry `is_old`;
    a vendor that was asked for recent entries only needs no such sign.
    """
    found: dict[str, None] = {}
    place: Place | None = first
    read: set[Place] = set()
    # A server that knows no pages gives the same one, with the same place behind it, again and again.
    while place is not None and place not in read and len(read) < MOST_PAGES:
        read.add(place)
        entries, place = await read_page(place)
        found |= {task_id: None for entry in entries if (task_id := match(entry))}
        if not entries or (is_old is not None and is_old(entries[-1])):
            break
    return list(found)


def next_number(number: int, entries: list[JSON], size: int) -> int | None:
    """The number of the page after this one; None behind a page that is not full."""
    return number + 1 if len(entries) >= size else None


def older_than(since: datetime, name: str, *, unit_seconds: float = 1.0) -> Callable[[JSON], bool]:
    """Says of an entry whether its time at `name` is before `since`: ISO text, or a Unix time in such units.

    A time that cannot be read is no sign of age.
    """

    def is_old(entry: JSON) -> bool:
        moment = entry.get(name) if isinstance(entry, dict) else None
        try:
            match moment:
                case str():
                    return datetime.fromisoformat(moment) < since
                case int() | float():
                    return moment * unit_seconds < since.timestamp()
                case _:
                    return False
        except (ValueError, TypeError):
            return False

    return is_old
