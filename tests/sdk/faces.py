"""Write a test once, run it on the sync and on the async client."""

from __future__ import annotations

import inspect
from typing import Any


async def done(value: Any) -> Any:
    """The value of a call: awaited, if the async client made it."""
    return await value if inspect.isawaitable(value) else value


async def listed(items: Any) -> list[Any]:
    """All items of an iterator, sync or async."""
    if hasattr(items, "__aiter__"):
        return [item async for item in items]
    return list(items)


async def first(items: Any, count: int) -> list[Any]:
    """The first items of an iterator, the rest left unasked for."""
    found = []
    if hasattr(items, "__aiter__"):
        async for item in items:
            found.append(item)
            if len(found) == count:
                break
        await items.aclose()
    else:
        for item in items:
            found.append(item)
            if len(found) == count:
                break
        items.close()
    return found
