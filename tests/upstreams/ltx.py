"""A strict stand-in for Lightricks: jobs of /v2, clips as the answers of /v1."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream, iso
from tests.upstreams.upstream import Task

MODELS = ("ltx-2-3-fast", "ltx-2-3-pro", "ltx-2-5-fast", "ltx-2-5-pro")
#: Resolution, lying or standing -> height of its tier.
TIERS = {
    f"{wide}x{high}" if lying else f"{high}x{wide}": high
    for wide, high in ((1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
    for lying in (True, False)
}
SHORT, LONG = (6, 8, 10), (6, 8, 10, 12, 14, 16, 18, 20)
_TEXT: Fields = {
    "prompt": Field(pattern=r"(?s).{1,5000}", required=True),
    "model": Field(choices=MODELS, required=True),
    "duration": Field("integer", required=True),
    "resolution": Field(choices=tuple(TIERS), required=True),
    "fps": Field("integer", minimum=24, maximum=50),
    "generate_audio": Field("switch"),
    "camera_motion": Field(),
}
#: Path -> the fields that it takes.
TAKEN: dict[str, Fields] = {
    "text-to-video": _TEXT,
    "image-to-video": {**_TEXT, "image_uri": Field("url", required=True), "last_frame_uri": Field("url")},
}
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_funds_error",
    404: "not_found_error",
    422: "content_filtered_error",
    429: "rate_limit_error",
    500: "api_error",
    504: "api_error",
}
STATUSES = {"queued": "pending", "rendering": "processing"}
ENDINGS = {
    "moderated": (422, "The content was rejected by safety filters"),
    "invalid": (400, "The image could not be read"),
    "crashed": (500, "Unexpected server error"),
    "expired": (504, "Request timeout"),
}


class FakeLtx(TaskUpstream):
    """`LTX_URL=<base_url>` and `LTX_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "ltx-stand-in-key", port: int = 0) -> None:
        super().__init__(key, port)

    def routes(self, app: web.Application) -> None:
        """Both ways of two endpoints, the jobs, the files."""
        add, kind = app.router, f"{{kind:{'|'.join(TAKEN)}}}"
        add.add_post(f"/v1/{kind}", self.serve("submit", self._answer_with_clip))
        add.add_post(f"/v2/{kind}", self.serve("submit", self._create))
        add.add_get(f"/v2/{kind}/{{id}}", self.serve("status", self._read))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As Lightricks words it."""
        return web.json_response({"type": "error", "error": _error(status, message)}, status=status)

    async def _create(self, request: web.Request) -> web.Response:
        task = await self._order(request)
        if isinstance(task, web.Response):
            return task
        return web.json_response({"id": task.id, "created_at": iso(task.created_at)}, status=202)

    async def _answer_with_clip(self, request: web.Request) -> web.Response:
        task = await self._order(request)
        if isinstance(task, web.Response):
            return task
        await asyncio.sleep(task.script.queue_seconds + task.script.render_seconds)
        if task.script.outcome != "ok":
            return self.error(*ENDINGS[task.script.outcome])
        return web.Response(body=self.clip(task), content_type="video/mp4", headers={"x-request-id": task.id})

    async def _order(self, request: web.Request) -> Task | web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        kind = request.match_info["kind"]
        if (wrong := complaint_of(kind, body)) is not None:
            return self.error(400, wrong)
        return self.taken(body, endpoint=kind)

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        if isinstance(task, web.Response):
            return task
        if task.endpoint != request.match_info["kind"]:
            return self.error(404, "There is no such job")
        return web.json_response(self.look(task))

    def record(self, task: Task) -> dict[str, Any]:
        """The job as Lightricks shows it."""
        outcome = task.script.outcome
        status = self.odd_status or STATUSES.get(task.phase, "completed" if outcome == "ok" else "failed")
        shown: dict[str, Any] = {"id": task.id, "status": status, "created_at": iso(task.created_at)}
        if status == "completed":
            return shown | {
                "completed_at": iso(task.created_at),
                "result": {"video_url": self.file_url(task)},
            }
        if status == "failed":
            return shown | {"completed_at": iso(task.created_at), "error": _error(*ENDINGS[outcome])}
        return shown


def complaint_of(kind: str, body: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with the body of such an order; None when nothing is."""
    return complaint(body, TAKEN[kind]) or _unsupported(body)


def _error(status: int, message: str) -> dict[str, str]:
    return {"type": KINDS[status], "message": message}


def _unsupported(body: Mapping[str, Any]) -> str | None:
    """What the table of models does not have: length, rate and size depend on each other."""
    fps, fast = body.get("fps", 24), body["model"].endswith("fast")
    if fps not in (24, 25, 48, 50):
        return "fps is none of [24, 25, 48, 50]"
    allowed = LONG if fast and fps <= 25 and TIERS[body["resolution"]] <= 1080 else SHORT
    return None if body["duration"] in allowed else f"duration is none of {list(allowed)}"
