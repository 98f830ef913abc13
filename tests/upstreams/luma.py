"""A strict stand-in for Luma Dream Machine: generations, their list, unsigned callbacks."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream, iso
from tests.upstreams.upstream import Task

_IMAGE: Fields = {"type": Field(choices=("image",), required=True), "url": Field("url", required=True)}
VIDEO: Fields = {
    "model": Field(choices=("ray-2", "ray-flash-2", "ray-1-6"), required=True),
    "prompt": Field(pattern=r"(?s).+"),
    "aspect_ratio": Field(choices=("1:1", "16:9", "9:16", "4:3", "3:4", "21:9", "9:21")),
    "duration": Field(pattern=r"[1-9]\d*s"),
    "resolution": Field(choices=("540p", "720p", "1080p", "4k")),
    "loop": Field("switch"),
    "generation_type": Field(choices=("video",)),
    "concepts": Field("list"),
    "callback_url": Field("url"),
    "keyframes": Field(
        "object",
        fields={"frame0": Field("object", fields=_IMAGE), "frame1": Field("object", fields=_IMAGE)},
    ),
}
STATES = {"queued": "queued", "rendering": "dreaming"}
REASONS = {
    "moderated": "prompt not allowed because advanced moderation failed",
    "invalid": "frame0 could not be read",
    "crashed": "The render crashed",
    "expired": "The generation timed out",
}


class FakeLuma(TaskUpstream):
    """`LUMA_URL=<base_url>` and `LUMAAI_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "luma-stand-in-key", port: int = 0) -> None:
        super().__init__(key, port)
        self.credits_left = 1240.0

    def routes(self, app: web.Application) -> None:
        """The generations, the credits and the files."""
        add, base = app.router, "/dream-machine/v1/generations"
        add.add_post(f"{base}/video", self.serve("submit", self._create))
        add.add_get(base, self.serve("list", self._list))
        add.add_get(f"{base}/{{id}}", self.serve("status", self._read))
        add.add_delete(f"{base}/{{id}}", self.serve("cancel", self._delete))
        add.add_get("/dream-machine/v1/credits", self.serve("key", self._credits))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As Luma words it."""
        return web.json_response({"detail": message}, status=status)

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        if (wrong := complaint(body, VIDEO)) is not None:
            return self.error(400, wrong)
        if "prompt" not in body and "keyframes" not in body:
            return self.error(400, "Either prompt or keyframes must be given")
        task = self.taken(body, callback_url=body.get("callback_url"))
        return web.json_response(self.record(task), status=201)

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        return task if isinstance(task, web.Response) else web.json_response(self.look(task))

    async def _delete(self, request: web.Request) -> web.Response:
        task = await self.seen_task("cancel", request)
        if isinstance(task, web.Response):
            return task
        task.cancelled = task.phase != "ended"
        task.forgotten = True
        return web.Response(status=204)

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        limit, offset = int(request.query.get("limit", "10")), int(request.query.get("offset", "0"))
        if not 1 <= limit <= 100 or offset < 0 or set(request.query) - {"limit", "offset"}:
            return self.error(400, "limit is 1 to 100, offset 0 or more")
        shown = [self.record(task) for task in self.listed()]
        told = {"generations": shown[offset : offset + limit], "count": len(shown[offset : offset + limit])}
        page = {"has_more": len(shown) > offset + limit, "limit": limit, "offset": offset}
        return web.json_response(told | page)

    async def _credits(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(403, "Not authenticated")
        return web.json_response({"credit_balance": self.credits_left})

    def record(self, task: Task) -> dict[str, Any]:
        """The generation as Luma shows it."""
        outcome = task.script.outcome
        ended = "completed" if outcome == "ok" else "failed"
        state = self.odd_status or STATES.get(task.phase, ended)
        return {
            "id": task.id,
            "generation_type": "video",
            "state": state,
            "failure_reason": REASONS.get(outcome) if state == "failed" else None,
            "created_at": iso(task.created_at),
            "assets": {"video": self.file_url(task)} if state == "completed" else None,
            "model": task.body["model"],
            "request": {"generation_type": "video", **task.body},
        }
