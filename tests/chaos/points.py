"""Crash points: every boundary of a life, found by running it, named by what is called there and by whom.

    before commit @ jobs.store.JobStore.write_intent #1

The boundaries are patched here, in libraries, never in the code under test: commits and writes of asyncpg,
requests and answers of aiohttp, fsync and link of the media store, notifications, answers of the API.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any

import aiohttp
import asyncpg

from fairstack_server.egress import Egress
from fairstack_server.media import fetch
from fairstack_server.providers.http import ProviderHttp
from tests.swap import swap

_OURS = ("fairstack_server.", "pgqueuer.", "tests.chaos.courier")
#: Plumbing: who called it is of interest. `None`: of the libraries that we patch.
_PLUMBING = (
    "fairstack_server.db.",
    "fairstack_server.egress.",
    "fairstack_server.providers.http",
    "pgqueuer.adapters.drivers",
    "pgqueuer.db",
)
_WRITES = re.compile(
    r"\s*(insert|update|delete|with\b.*\b(insert|update|delete)\b|select pg_notify|select\b.*\bhold_many\()",
    re.IGNORECASE | re.DOTALL,
)
_STATEMENTS = ("execute", "executemany", "fetch", "fetchrow", "fetchval")

#: Twelve folders are flushed for the files of a clip; what comes more often than that is a chore.
_MOST_OF_A_KIND = 12

Act = Callable[[str], None]


class Points:
    """Counts the boundaries of this process and says each to `act`, from whatever thread."""

    def __init__(self, act: Act) -> None:
        self._act = act
        self._seen: Counter[str] = Counter()
        self._turn = threading.Lock()

    def reach(self, edge: str, caller: str | None = None) -> None:
        """One boundary is reached."""
        name = caller or calling_function(sys._getframe(1))
        if name is None:
            return
        place = f"{edge} @ {name}"
        with self._turn:
            self._seen[place] += 1
            number = self._seen[place]
        if number <= _MOST_OF_A_KIND:
            self._act(f"{place} #{number}")


def calling_function(frame: FrameType | None) -> str | None:
    """The innermost function of ours, or of the queue's, that waits for this call; plumbing left out."""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(_OURS) and not module.startswith(_PLUMBING):
            where = module.removeprefix("fairstack_server.")
            return f"{where}.{frame.f_code.co_qualname.replace('.<locals>', '')}"
        frame = frame.f_back
    return None


def install(points: Points) -> None:
    """Patch every boundary of this process."""
    _patch_commits(points)
    _patch_statements(points)
    _patch_requests(points)
    _patch_disk(points)
    _patch_wakes(points)


def _patch_commits(points: Points) -> None:
    leave = asyncpg.transaction.Transaction.__aexit__

    async def __aexit__(self: Any, kind: Any, error: Any, trace: Any) -> Any:
        if kind is not None or self._nested:
            return await leave(self, kind, error, trace)
        points.reach("before commit")
        result = await leave(self, kind, error, trace)
        points.reach("after commit")
        return result

    swap(asyncpg.transaction.Transaction, __aexit__=__aexit__)


def _patch_statements(points: Points) -> None:
    def wrapped(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def statement(self: Any, query: str, *arguments: Any, **options: Any) -> Any:
            if not _WRITES.match(query):
                return await method(self, query, *arguments, **options)
            alone = not self.is_in_transaction()
            if alone:
                points.reach("before write")
            result = await method(self, query, *arguments, **options)
            points.reach("after write" if alone else "in transaction")
            return result

        return statement

    for name in _STATEMENTS:
        setattr(asyncpg.Connection, name, wrapped(getattr(asyncpg.Connection, name)))


def _patch_requests(points: Points) -> None:
    request, write = aiohttp.ClientSession._request, aiohttp.ClientRequest.write_bytes
    caller: ContextVar[str | None] = ContextVar("caller", default=None)

    async def _request(self: Any, *arguments: Any, **options: Any) -> Any:
        caller.set(calling_function(sys._getframe(1)))
        points.reach("before send")
        response = await request(self, *arguments, **options)
        points.reach("answer begins")
        return response

    async def written(self: Any, *arguments: Any, **options: Any) -> Any:
        await write(self, *arguments, **options)
        points.reach("sent", caller.get())  # a task of its own, whose frames know nobody

    swap(aiohttp.ClientSession, _request=_request)
    swap(aiohttp.ClientRequest, write_bytes=written)
    for owner, name in ((ProviderHttp, "_exchange"), (Egress, "post"), (fetch, "_save_clip")):
        setattr(owner, name, _and_then(getattr(owner, name), lambda: points.reach("received")))


def _and_then(work: Callable[..., Awaitable[Any]], then: Callable[[], None]) -> Callable[..., Awaitable[Any]]:
    async def both(*arguments: Any, **options: Any) -> Any:
        result = await work(*arguments, **options)
        then()
        return result

    return both


def _patch_disk(points: Points) -> None:
    def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
        def around(*arguments: Any, **options: Any) -> Any:
            points.reach(f"before {call.__name__}")
            result = call(*arguments, **options)
            points.reach(f"after {call.__name__}")
            return result

        return around

    for name in ("fsync", "link", "unlink"):
        setattr(os, name, wrapped(getattr(os, name)))


def _patch_wakes(points: Points) -> None:
    process = asyncpg.Connection._process_notification

    def processed(self: Any, pid: int, channel: str, payload: str) -> None:
        points.reach("woken", f"channel {channel}")
        process(self, pid, channel, payload)

    swap(asyncpg.Connection, _process_notification=processed)


def watched(app: Any, points: Points) -> Any:
    """The application, with the boundaries of its orders: they come in, are answered, have been answered."""

    async def watching(scope: Any, receive: Any, send: Any) -> None:
        name = "api " + ("callback" if scope["path"].startswith("/callbacks/") else scope["path"])
        points.reach("request comes", name)

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                points.reach("before answer", name)
            await send(message)
            if message["type"] == "http.response.body":
                points.reach("after answer", name)

        await app(scope, receive, sending)

    return watching
