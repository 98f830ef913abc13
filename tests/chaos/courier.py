"""A vendor of class D that calls back, and the provider that speaks to it: no key, no list, only a callback.

Of the real vendors, those without a list call nobody back; what a callback alone can save is shown here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from fairstack_server.clock import Clock
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    CallbackRequest,
    ClipAt,
    Failed,
    Order,
    Pending,
    RateLimitedUpstream,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)
from fairstack_server.providers.body import build_body
from fairstack_server.providers.http import ProviderHttp, Sessions
from fairstack_server.providers.verdicts import FORGOTTEN, text_of
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Task

_CALLS = 200
_CALL_PAUSE_SECONDS = 0.1


class Courier:
    """Orders at the stand-in below."""

    name = "courier"
    submit_class = SubmitClass.D

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"Authorization": f"Bearer {key}"})
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once."""
        body = build_body(order, lambda file: file.path) | {"callback_url": order.callback_url}
        answer = await self._http.post_json(order.endpoint, body)
        told = answer.json_object() or {}
        if not answer.ok or not isinstance(told.get("id"), str):
            raise self._http.broken(answer, "a submit")
        return Submission({"id": told["id"]})

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task."""
        task = await self._task(text_of(ref, "id", self.name))
        if task is None:
            return FORGOTTEN
        url = task.get("url")
        return Succeeded(ClipAt(url=url)) if isinstance(url, str) else Pending(retry_after_seconds=0.5)

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref of the task that a callback names, if it was ordered with this callback's address."""
        match msgspec.json.decode(request.body):
            case {"id": str(task_id)}:
                task = await self._task(task_id)
                address = "" if task is None else str(task.get("callback_url"))
                return {"id": task_id} if address.endswith(f"/{request.nonce}") else None
            case _:
                return None

    async def _task(self, task_id: str) -> JSONObject | None:
        answer = await self._http.get(f"/orders/{task_id}")
        if answer.status == 404 and answer.is_refusal:
            return None
        told = answer.json_object()
        if not answer.ok or told is None:
            raise self._http.broken(answer, "a status call")
        return told


class FakeCourier(TaskUpstream):
    """Takes orders, shows tasks, and calls until it is answered with 200."""

    def routes(self, app: web.Application) -> None:
        """Orders and files."""
        app.router.add_post("/orders", self.serve("submit", self._create))
        app.router.add_get("/orders/{id}", self.serve("status", self._read))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """Plain JSON."""
        return web.json_response({"message": message}, status=status)

    def record(self, task: Task) -> dict[str, Any]:
        """The task with its clip, once it has one."""
        shown: dict[str, JSON] = {"id": task.id, "callback_url": task.callback_url}
        return shown | ({"url": self.file_url(task)} if task.phase == "ended" else {})

    async def call_back(self, task: Task) -> int | None:
        """Call again and again: a gateway that is dead now lives again soon."""
        for _ in range(_CALLS):
            if await super().call_back(task) == 200:
                return 200
            await asyncio.sleep(_CALL_PAUSE_SECONDS)
        return None

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        return web.json_response({"id": self.taken(body, callback_url=body["callback_url"]).id})

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        return task if isinstance(task, web.Response) else web.json_response(self.look(task))
