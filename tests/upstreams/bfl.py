"""A strict stand-in for Black Forest Labs: FLUX 3 video tasks, their results, the credits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Task

_COMMON: Fields = {
    "mode": Field(required=True),
    "prompt": Field(pattern=r"(?s).+", required=True),
    "aspect_ratio": Field(choices=("auto", "21:9", "2:1", "16:9", "4:3", "1:1", "3:4", "9:16")),
    "duration": Field("integer", minimum=5, maximum=20),
    "resolution": Field(choices=("hd", "fhd")),
    "generate_audio": Field("switch"),
    "safety_tolerance": Field("integer", minimum=0, maximum=5),
    "draft": Field("switch"),
    "version": Field(),
}
#: Mode -> the fields that it takes; one of another mode is refused like an unknown one.
TAKEN: dict[str, Fields] = {
    "t2v": _COMMON,
    "i2v": {**_COMMON, "keyframes": Field("list", required=True, of=Field("media"))},
    "v2v": {**_COMMON, "start_video": Field("media", required=True)},
}
MOST_KEYFRAMES = 10
#: From this many on, keyframes without times need a duration.
UNTIMED_KEYFRAMES = 3
STATUSES = {"queued": "Pending", "rendering": "Generating"}
ENDED = {
    "ok": "Ready",
    "moderated": "Request Moderated",
    "invalid": "Error",
    "crashed": "Error",
    "expired": "Failed",
}
DETAILS = {
    "moderated": "Moderation Reasons: Protected Content",
    "invalid": {"message": "The keyframe could not be read"},
    "crashed": {"message": "Internal error"},
    "expired": {"message": "The task timed out"},
}


class FakeBfl(TaskUpstream):
    """`BFL_URL=<base_url>` and `BFL_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "bfl-stand-in-key", port: int = 0) -> None:
        super().__init__(key, port)
        self.credits_left = 1240.0
        self.polling_base: str | None = None
        """Base of the polling URLs in receipts; None = this server, "" = receipts have none."""

    def routes(self, app: web.Application) -> None:
        """The video endpoint, the results, the credits, the files."""
        add = app.router
        add.add_post("/v1/flux-3-video", self.serve("submit", self._create))
        add.add_get("/v1/get_result", self.serve("status", self._read))
        add.add_get("/v1/credits", self.serve("key", self._credits))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As its server words it."""
        return web.json_response({"detail": message}, status=status)

    def authorized(self, request: web.Request) -> bool:
        """By the key in a header of its own."""
        return request.headers.get("x-key") == self.key

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        if (wrong := complaint_of(body)) is not None:
            place, _, message = wrong.partition(" ")
            told = {"loc": ["body", place], "msg": message, "type": "value_error"}
            return web.json_response({"detail": [told]}, status=422)
        task = self.taken(body)
        receipt: dict[str, Any] = {"id": task.id, "cost": 85.0, "input_mp": 0.0, "output_mp": 4.6}
        base = self.base_url if self.polling_base is None else self.polling_base
        if base:
            receipt["polling_url"] = f"{base}/v1/get_result?id={task.id}"
        return web.json_response(receipt)

    async def _read(self, request: web.Request) -> web.Response:
        wanted = request.query.get("id", "")
        await self.note("status", request, task_id=wanted)
        if not self.authorized(request):
            return self.error(403, "Not authenticated - Invalid Authentication")
        task = self.log.tasks.get(wanted)
        if task is None or task.forgotten:
            gone = {"id": wanted, "status": "Task not found", "result": None}
            return web.json_response(gone, status=404)
        return web.json_response(self.look(task))

    async def _credits(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(403, "Not authenticated - Invalid Authentication")
        return web.json_response({"credits": self.credits_left})

    def record(self, task: Task) -> dict[str, Any]:
        """The task as get_result shows it."""
        outcome = task.script.outcome
        status = self.odd_status or STATUSES.get(task.phase, ENDED[outcome])
        shown: dict[str, Any] = {"id": task.id, "status": status, "result": None, "details": None}
        if status == "Ready":
            sample = {"sample": self.file_url(task), "seed": 42, "duration": task.body.get("duration", 5)}
            return shown | {"result": sample, "progress": 1.0}
        if task.phase == "ended":
            return shown | {"details": DETAILS.get(outcome)}
        return shown | {"progress": round(task.progress, 3)}


def complaint_of(body: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with this body; None when nothing is."""
    fields = TAKEN.get(str(body.get("mode")))
    if fields is None:
        return f"mode is none of {list(TAKEN)}"
    plain = {name: value for name, value in body.items() if (name, value) != ("duration", "auto")}
    if (wrong := complaint(plain, fields)) is not None:
        return wrong
    frames = body.get("keyframes", [])
    if len(frames) > MOST_KEYFRAMES or ("keyframes" in body and not frames):
        return f"keyframes holds 1 to {MOST_KEYFRAMES} images"
    if len(frames) >= UNTIMED_KEYFRAMES and "duration" not in plain:
        return f"duration is required with {UNTIMED_KEYFRAMES} keyframes or more"
    return None
