"""A made-up vendor that offers any of the four things against a double submit, and its provider."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import aiohttp
import msgspec
from aiohttp import web

from fairstack_server.providers.base import (
    CallbackRequest,
    ClipAt,
    Failed,
    KeyCheck,
    Order,
    Pending,
    RateLimitedUpstream,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)
from fairstack_server.providers.http import ProviderHttp, Sessions
from tests.upstreams.clip import clip_bytes
from tests.upstreams.faults import PAGE_502, Fault, act_out

LostKind = Literal["drop", "reset", "truncate", "http_500", "page_502", "page_504", "hang"]


@dataclass
class Task:
    """A render that was begun, and will be billed."""

    id: str
    prompt: str
    key: str | None
    callback_url: str | None
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


class Vendor:
    """Takes orders at `/orders`, renders at once, and loses the first answer to each."""

    def __init__(self, offers: SubmitClass, kind: LostKind) -> None:
        self.offers = offers
        self.kind: LostKind = kind
        self.gateway_url = ""
        self.tasks: dict[str, Task] = {}
        self.submits = 0
        self.called_back = 0
        self.base_url = ""
        self._of_key: dict[str, Task] = {}
        self._lost: set[str] = set()
        self._stopping = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._clip = clip_bytes()

    async def __aenter__(self) -> Vendor:
        app = web.Application()
        app.router.add_post("/orders", self._submit)
        app.router.add_get("/orders", self._list)
        app.router.add_get("/orders/{id}", self._status)
        app.router.add_get("/clips/{id}", self._send_clip)
        app.router.add_get("/v1/videos", self._tell_health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping.set()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        await self._runner.cleanup()

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        """Begin a render, then lose the answer; an order that is repeated under its key is answered."""
        told = await request.json()
        self.submits += 1
        key = (
            request.headers.get("Idempotency-Key") if self.offers is SubmitClass.A else told.get("client_id")
        )
        task = self._of_key.get(key) if key and self.offers is SubmitClass.A else None
        if task is None:
            task = Task(str(uuid.uuid4()), told["prompt"], key, told.get("callback_url"))
            self.tasks[task.id] = task
            if key:
                self._of_key[key] = task
            if task.callback_url:
                call = asyncio.create_task(self._call_back(task))
                self._calls.add(call)
                call.add_done_callback(self._calls.discard)
        answer = web.json_response({"id": task.id}, status=201)
        if task.prompt in self._lost:
            return answer
        self._lost.add(task.prompt)
        if self.kind == "page_504":
            return web.Response(
                status=504, text=PAGE_502.replace("502 Bad Gateway", "504"), content_type="text/html"
            )
        return await act_out(Fault(self.kind), request, answer, self._stopping)

    async def _call_back(self, task: Task) -> None:
        assert task.callback_url is not None
        await asyncio.sleep(0.2)
        path = "/" + task.callback_url.split("/", 3)[3]
        async with aiohttp.ClientSession() as http, http.post(self.gateway_url + path, json={"id": task.id}):
            self.called_back += 1

    async def _list(self, request: web.Request) -> web.Response:
        wanted = request.query.get("client_id")
        found = [t for t in self.tasks.values() if wanted is None or t.key == wanted]
        return web.json_response(
            {"orders": [{"id": t.id, "prompt": t.prompt, "created_at": t.created_at} for t in found]}
        )

    async def _status(self, request: web.Request) -> web.Response:
        task = self.tasks.get(request.match_info["id"])
        if task is None:
            return web.json_response({"error": "no such order"}, status=404)
        return web.json_response({"id": task.id, "status": "done", "url": f"{self.base_url}/clips/{task.id}"})

    async def _tell_health(self, _: web.Request) -> web.Response:
        """The free call by which the gateway learns, after a row of broken ones, that orders may go on."""
        return web.json_response({"object": "list", "data": []})

    async def _send_clip(self, _: web.Request) -> web.Response:
        return web.Response(body=self._clip, content_type="video/mp4")


class Speaker:
    """The provider of that vendor, in the class that the vendor offers; it goes through our own transport."""

    resend_within = timedelta(hours=1)

    def __init__(self, name: str, sessions: Sessions, vendor: Vendor, timeout_seconds: float) -> None:
        self.name = name
        self.submit_class = vendor.offers
        self._http = ProviderHttp(name, sessions, vendor.base_url, timeout_seconds=timeout_seconds)

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Send the order once."""
        body: dict[str, Any] = {"prompt": order.prompt}
        if self.submit_class is SubmitClass.B:
            body["client_id"] = order.nonce
        if self.submit_class is SubmitClass.D:
            body["callback_url"] = order.callback_url
        headers = {"Idempotency-Key": order.nonce} if self.submit_class is SubmitClass.A else None
        answer = await self._http.post_json("/orders", body, headers=headers)
        told = answer.json_object() or {}
        if answer.ok and isinstance(told.get("id"), str):
            return Submission({"id": told["id"]})
        raise self._http.broken(answer, "a submit")

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Look once."""
        answer = await self._http.get(f"/orders/{ref['id']}")
        told = answer.json_object() or {}
        if not answer.ok:
            raise self._http.broken(answer, "a status call")
        return Succeeded(ClipAt(url=str(told["url"])))

    async def check_key(self) -> KeyCheck:
        """Always good."""
        return KeyCheck(accepted=True, message="the key works")


class Finder(Speaker):
    """Classes B and C: the vendor can be asked."""

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """By our id, or by prompt and time."""
        query = {"client_id": order.nonce} if self.submit_class is SubmitClass.B else None
        answer = await self._http.get("/orders", query)
        told: Any = answer.json_object() or {}
        if not answer.ok:
            raise self._http.broken(answer, "a list call")
        return [
            {"id": entry["id"]}
            for entry in told["orders"]
            if entry["prompt"] == order.prompt and datetime.fromisoformat(entry["created_at"]) >= since
        ]


class Hearer(Speaker):
    """Class D: the vendor calls."""

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The order that a callback names, if the vendor knows it."""
        task_id = msgspec.json.decode(request.body)["id"]
        answer = await self._http.get(f"/orders/{task_id}")
        return {"id": task_id} if answer.ok else None


SPEAKERS = {
    SubmitClass.A: Speaker,
    SubmitClass.B: Finder,
    SubmitClass.C: Finder,
    SubmitClass.D: Hearer,
}
