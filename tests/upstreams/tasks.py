"""What the stand-ins of vendors with a JSON task API share: orders, tasks, files, callbacks, a bearer key."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from tests.upstreams.clip import clip_bytes
from tests.upstreams.faults import Operation
from tests.upstreams.upstream import Task, Upstream


class TaskUpstream(Upstream):
    """Subclasses say in their vendor's words what was refused, how a task stands, what a callback says."""

    max_in_flight: int | None = None
    odd_status: str | None = None
    """A status word outside the protocol that every record shows."""
    callbacks_reach: str | None = None
    """Where callbacks go instead of their own scheme and host: the server that stands behind that host."""

    def error(self, status: int, message: str) -> web.Response:
        """A refusal in the vendor's words."""
        raise NotImplementedError

    def record(self, task: Task) -> dict[str, Any]:
        """The task as the vendor shows it."""
        raise NotImplementedError

    def authorized(self, request: web.Request) -> bool:
        """Whether the call may be made."""
        return request.headers.get("Authorization") == f"Bearer {self.key}"

    def serve_files(self, app: web.Application) -> None:
        """Add the finished clips, which want no key."""
        app.router.add_get("/files/{id}.mp4", self.serve("content", self._file))

    def file_url(self, task: Task) -> str:
        """Where this task's clip is."""
        return f"{self.base_url}/files/{task.id}.mp4"

    async def order(self, request: web.Request) -> dict[str, Any] | web.Response:
        """The body of a submit; a refusal when it may not or cannot be taken."""
        try:
            body = await request.json()
        except ValueError:
            body = None
        await self.note("submit", request, body)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        if request.content_type != "application/json" or not isinstance(body, dict):
            return self.error(400, "The body must be a JSON object")
        in_flight = sum(task.phase != "ended" for task in self.log.tasks.values())
        if self.max_in_flight is not None and in_flight >= self.max_in_flight:
            refusal = self.error(429, "Too many tasks at a time")
            refusal.headers["Retry-After"] = "1"
            return refusal
        return body

    def taken(self, body: Mapping[str, Any], **told: Any) -> Task:
        """Take an order, and call back when its task ends if it says where."""
        task = self.take(body, **told)
        if task.callback_url is not None:
            self.start(self._call_back_at_end(task))
        return task

    async def seen_task(self, operation: Operation, request: web.Request) -> Task | web.Response:
        """The task that a call is about; a refusal when there is none or the key is wrong."""
        await self.note(operation, request, task_id=request.match_info["id"])
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        task = self.log.tasks.get(request.match_info["id"])
        if task is None or task.forgotten:
            return self.error(404, "There is no such task")
        await asyncio.sleep(task.script.latency_seconds)
        return task

    def look(self, task: Task) -> dict[str, Any]:
        """The record for a status call, which counts as one."""
        record = self.record(task)
        if task.phase == "ended":
            task.ended.set()
        task.polls += 1
        return record

    def listed(self) -> list[Task]:
        """Every task that the list shows by now, newest first."""
        return [
            task
            for task in reversed(self.log.tasks.values())
            if not task.forgotten and time.monotonic() - task.began >= task.script.list_lag_seconds
        ]

    def callback_headers(self, body: bytes) -> dict[str, str]:
        """The headers that sign a callback; none where the vendor signs nothing."""
        return {}

    def callback_body(self, task: Task) -> bytes:
        """The body of this task's callback."""
        return json.dumps(self.record(task)).encode()

    async def call_back(self, task: Task) -> int | None:
        """POST this task's callback now; the receiver's status, None when it could not be reached."""
        assert task.callback_url is not None
        body = self.callback_body(task)
        headers = self.callback_headers(body) | {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(self.reached(task.callback_url), data=body, headers=headers) as response,
            ):
                return response.status
        except aiohttp.ClientError:
            return None

    def reached(self, url: str) -> str:
        """Where a callback's URL is called."""
        return url if self.callbacks_reach is None else self.callbacks_reach + urlsplit(url).path

    async def _call_back_at_end(self, task: Task) -> None:
        await asyncio.sleep(task.script.queue_seconds + task.script.render_seconds)
        if task.script.queue_polls + task.script.render_polls:
            await task.ended.wait()
        await self.call_back(task)

    async def _file(self, request: web.Request) -> web.Response:
        await self.note("content", request, task_id=request.match_info["id"])
        task = self.log.tasks.get(request.match_info["id"])
        if task is None or task.phase != "ended" or task.script.outcome != "ok":
            return web.Response(status=404)
        return web.Response(body=self.clip(task), content_type="video/mp4")

    def clip(self, task: Task) -> bytes:
        """The clip of this task."""
        return clip_bytes()


def iso(moment: float) -> str:
    """A Unix time as vendors write it."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
