"""A strict stand-in for xAI's Grok Imagine: deferred videos of three kinds, and what it knows of its key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Task

_MEDIA: Fields = {"url": Field("url", required=True)}
_COMMON: Fields = {
    "model": Field(choices=("grok-imagine-video", "grok-imagine-video-1.5")),
    "prompt": Field(pattern=r"(?s).+"),
    "user": Field(),
}
#: Path -> the fields that it takes, as the vendor's own OpenAPI document has them.
TAKEN: dict[str, Fields] = {
    "generations": {
        **_COMMON,
        "aspect_ratio": Field(choices=("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3")),
        "duration": Field("integer", minimum=1, maximum=15),
        "resolution": Field(choices=("480p", "720p", "1080p")),
        "image": Field("object", fields=_MEDIA),
        "reference_images": Field("list", of=Field("object", fields=_MEDIA)),
    },
    "edits": {
        **_COMMON,
        "prompt": Field(pattern=r"(?s).+", required=True),
        "video": Field("object", required=True, fields=_MEDIA),
    },
    "extensions": {
        **_COMMON,
        "prompt": Field(pattern=r"(?s).+", required=True),
        "video": Field("object", required=True, fields=_MEDIA),
        "duration": Field("integer", minimum=1, maximum=10),
    },
}
#: Every word that says how a video stands.
STATUSES = ("pending", "done", "expired", "failed")
WORDS = {
    400: "Client specified an invalid argument",
    401: "The request carries no credentials",
    404: "Some requested entity was not found",
    429: "Some resource has been exhausted",
}
FAILURES = {
    "moderated": ("permission_denied", "The video was rejected by content moderation."),
    "invalid": ("invalid_argument", "The image could not be read."),
    "crashed": ("internal_error", "Something went wrong."),
}


def complaint_of(kind: str, body: Mapping[str, Any]) -> str | None:
    """What xAI would say against this order; None when nothing."""
    if (wrong := complaint(body, TAKEN[kind])) is not None:
        return wrong
    if "video" in body and not body["video"]["url"].endswith(".mp4"):
        return "video.url must end in .mp4"
    if "prompt" not in body and "image" not in body:
        return "prompt is required without an image"
    references, size = body.get("reference_images", []), body.get("resolution")
    if "image" in body and references:
        return "image and reference_images exclude each other"
    if size == "1080p" and (references or body.get("model") != "grok-imagine-video-1.5"):
        return "resolution 1080p is not offered here"
    return None


class FakeXAI(TaskUpstream):
    """`XAI_URL=<base_url>` and `XAI_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "xai-stand-in-key", port: int = 0) -> None:
        super().__init__(key, port)
        self.shut: str | None = None
        """`api_key_blocked`, `api_key_disabled` or `team_blocked`, where that is so."""

    def routes(self, app: web.Application) -> None:
        """Three ways to start a video, its result, the key, and the files."""
        add = app.router
        add.add_post(f"/v1/videos/{{kind:{'|'.join(TAKEN)}}}", self.serve("submit", self._start))
        add.add_get("/v1/videos/{id}", self.serve("status", self._read))
        add.add_get("/v1/api-key", self.serve("key", self._key))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As xAI words it; a wrong key is a wrong request."""
        if status == 401:
            status, message = (
                400,
                "Incorrect API key provided: xa***ey. You can obtain an API key from the console.",
            )
        return web.json_response({"code": WORDS[status], "error": message}, status=status)

    async def _start(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        kind = request.match_info["kind"]
        if (wrong := complaint_of(kind, body)) is not None:
            return self.error(400, wrong)
        return web.json_response({"request_id": self.taken(body, endpoint=kind).id})

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        if isinstance(task, web.Response):
            return task
        queued = task.phase == "queued" and self.odd_status is None
        told = self.look(task)
        # xAI's answer to a video that is not begun need not have a body.
        return web.Response(status=202) if queued else web.json_response(told, status=self._status_of(told))

    @staticmethod
    def _status_of(told: Mapping[str, Any]) -> int:
        return 202 if told["status"] == "pending" else 200

    async def _key(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(401, "")
        shut = {name: name == self.shut for name in ("api_key_blocked", "api_key_disabled", "team_blocked")}
        known = {"redacted_api_key": "xai-...-key", "name": "stand-in", "acls": ["api-key:endpoint:*"]}
        return web.json_response(known | shut)

    def record(self, task: Task) -> dict[str, Any]:
        """The video as xAI shows it."""
        outcome = task.script.outcome
        if self.odd_status is not None:
            return {"status": self.odd_status, "progress": 0}
        if task.phase != "ended":
            return {"status": "pending", "progress": int(task.progress * 100)}
        if outcome == "expired":
            return {"status": "expired", "progress": 0}
        if outcome != "ok":
            code, message = FAILURES[outcome]
            return {"status": "failed", "progress": 0, "error": {"code": code, "message": message}}
        video = {"url": self.file_url(task), "duration": 5, "respect_moderation": True}
        usage = {"cost_in_usd_ticks": 3_500_000_000}
        return {"status": "done", "progress": 100, "video": video, "usage": usage} | _model_of(task)


def _model_of(task: Task) -> dict[str, Any]:
    return {"model": task.body["model"]} if "model" in task.body else {}
