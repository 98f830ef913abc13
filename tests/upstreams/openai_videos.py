"""A strict stand-in for a server of `/v1/videos`: create (form or JSON), read, list, content, delete."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from aiohttp import web
from aiohttp.web_request import FileField

from tests.upstreams.clip import clip_bytes
from tests.upstreams.upstream import Task, Upstream

Dialect = Literal["multipart", "json"]

#: Field -> pattern of its text in a form; JSON takes the same as text or as a number.
FIELDS: Mapping[str, str] = {
    "model": r".+",
    "prompt": r"(?s).+",
    "negative_prompt": r"(?s).*",
    "seconds": r"[1-9]\d*",
    "size": r"\d+x\d+",
    "width": r"[1-9]\d*",
    "height": r"[1-9]\d*",
    "fps": r"[1-9]\d*",
    "num_frames": r"[1-9]\d*",
    "num_inference_steps": r"[1-9]\d*",
    "guidance_scale": r"\d+(\.\d+)?",
    "seed": r"-?\d+",
    "user": r".*",
}
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp")
STATUSES = {"queued": "queued", "rendering": "in_progress"}
ERRORS = {
    "moderated": {"code": "moderation_blocked", "message": "Your request was blocked by our moderation."},
    "invalid": {"code": "invalid_input", "message": "The reference image cannot be used."},
    "crashed": {"code": "server_error", "message": "CUDA out of memory"},
    "expired": {"code": "timeout", "message": "The job timed out"},
}


class FakeOpenAIVideos(Upstream):
    """`OPENAI_VIDEOS_URL=<base_url>` and `OPENAI_VIDEOS_KEY=<key>` make the gateway use it."""

    def __init__(
        self,
        key: str = "videos-secret-key",
        port: int = 0,
        *,
        accepts: tuple[Dialect, ...] = ("multipart", "json"),
        echoes_prompt: bool = True,
        deletes: bool = True,
        model: str | None = None,
    ) -> None:
        super().__init__(key, port)
        self.accepts = accepts
        self.echoes_prompt = echoes_prompt
        self.deletes = deletes
        self.model = model
        self.pages = True
        """Whether it knows `after`, or gives the newest videos whatever is asked."""
        self.odd_status: str | None = None
        """A status word outside the protocol that every record shows."""

    def routes(self, app: web.Application) -> None:
        """The videos resource."""
        add = app.router
        add.add_post("/v1/videos", self.serve("submit", self._create))
        add.add_get("/v1/videos", self.serve("list", self._list))
        add.add_get("/v1/videos/{id}", self.serve("status", self._read))
        add.add_get("/v1/videos/{id}/content", self.serve("content", self._content))
        add.add_delete("/v1/videos/{id}", self.serve("cancel", self._delete))

    async def _create(self, request: web.Request) -> web.Response:
        body = await _read_body(request)
        await self.note("submit", request, body)
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        dialect = "json" if request.content_type == "application/json" else "multipart"
        if (
            request.content_type not in ("application/json", "multipart/form-data")
            or dialect not in self.accepts
        ):
            return _error(415, f"Unsupported content type {request.content_type}", "invalid_request_error")
        if not isinstance(body, dict):
            return _error(400, "The body cannot be read", "invalid_request_error")
        if (wrong := self._complaint(body, dialect)) is not None:
            return _error(400, wrong, "invalid_request_error")
        task = self.take(body, task_id=f"video_{uuid.uuid4().hex}")
        return web.json_response(self._record(task))

    async def _read(self, request: web.Request) -> web.Response:
        await self.note("status", request, task_id=request.match_info["id"])
        task = self._task(request)
        if isinstance(task, web.Response):
            return task
        await asyncio.sleep(task.script.latency_seconds)
        record = self._record(task)
        task.polls += 1
        return web.json_response(record)

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        limit = int(request.query.get("limit", "20"))
        if not 1 <= limit <= 100 or set(request.query) - {"limit", "order", "after"}:
            return _error(400, "limit is 1 to 100", "invalid_request_error")
        listed = [
            task
            for task in reversed(self.log.tasks.values())
            if not task.forgotten and time.monotonic() - task.began >= task.script.list_lag_seconds
        ]
        after = request.query.get("after")
        if after is not None and self.pages:
            behind = [place for place, task in enumerate(listed, 1) if task.id == after]
            if not behind:
                return _error(400, f"No video {after!r} to list after", "invalid_request_error")
            listed = listed[behind[0] :]
        shown = [self._record(task) for task in listed[:limit]]
        ids = [record["id"] for record in shown]
        ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
        return web.json_response({"object": "list", "data": shown, "has_more": len(listed) > limit} | ends)

    async def _content(self, request: web.Request) -> web.Response:
        await self.note("content", request, task_id=request.match_info["id"])
        task = self._task(request)
        if isinstance(task, web.Response):
            return task
        if task.phase != "ended" or task.script.outcome != "ok":
            return _error(404, "The video has no content", "invalid_request_error")
        width, _, height = str(task.body.get("size", "1280x720")).partition("x")
        fps, seconds = int(task.body.get("fps", 24)), float(task.body.get("seconds", 4))
        clip = clip_bytes(int(width), int(height), fps, seconds)
        return web.Response(body=clip, content_type="video/mp4")

    async def _delete(self, request: web.Request) -> web.Response:
        await self.note("cancel", request, task_id=request.match_info["id"])
        task = self._task(request)
        if isinstance(task, web.Response):
            return task
        if not self.deletes:
            return _error(405, "Method Not Allowed", "invalid_request_error")
        task.cancelled = task.phase != "ended"
        task.forgotten = True
        return web.json_response({"id": task.id, "object": "video.deleted", "deleted": True})

    def _complaint(self, body: Mapping[str, Any], dialect: str) -> str | None:
        if not body.get("prompt"):
            return "prompt is required"
        if self.model is not None and body.get("model", self.model) != self.model:
            return f"The model {body['model']!r} does not exist"
        for name, value in body.items():
            if name in ("input_reference", "reference_url"):
                if (wrong := _image_complaint(name, value, dialect)) is not None:
                    return wrong
            elif name not in FIELDS:
                return f"Unknown field {name!r}"
            elif not _fits(name, value):
                return f"{name} = {value!r} is not valid"
        return None

    def _record(self, task: Task) -> dict[str, Any]:
        outcome = task.script.outcome
        ended = "completed" if outcome == "ok" else "failed"
        record = {
            "id": task.id,
            "object": "video",
            "model": task.body.get("model", self.model or "stand-in"),
            "status": self.odd_status or STATUSES.get(task.phase, ended),
            "progress": round(task.progress * 100),
            "created_at": int(task.created_at),
            "size": task.body.get("size", "1280x720"),
            "seconds": str(task.body.get("seconds", "4")),
            "quality": "standard",
            "error": ERRORS.get(outcome) if task.phase == "ended" else None,
        }
        return record | ({"prompt": task.body["prompt"]} if self.echoes_prompt else {})

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        if self.key and request.headers.get("Authorization") != f"Bearer {self.key}":
            return _error(401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key")
        return None

    def _task(self, request: web.Request) -> Task | web.Response:
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        task = self.log.tasks.get(request.match_info["id"])
        if task is None or task.forgotten:
            return _error(404, "Video not found", "invalid_request_error")
        return task


async def _read_body(request: web.Request) -> Any:
    if request.content_type == "application/json":
        try:
            return await request.json()
        except json.JSONDecodeError:
            return None
    if request.content_type != "multipart/form-data":
        return None
    return {
        name: {"content_type": value.content_type, "bytes": len(value.file.read())}
        if isinstance(value, FileField)
        else value
        for name, value in (await request.post()).items()
    }


def _image_complaint(name: str, value: Any, dialect: str) -> str | None:
    if dialect == "json":
        fits = isinstance(value, str) and value.startswith(("https://", "http://", "data:image/"))
        return None if fits else f"{name} is no URL"
    if name == "reference_url":
        return None if isinstance(value, str) else f"{name} is no URL"
    fits = isinstance(value, dict) and value["content_type"] in IMAGE_TYPES and value["bytes"] > 0
    return None if fits else f"{name} is no image file"


def _fits(name: str, value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    return re.fullmatch(FIELDS[name], str(value)) is not None


def _error(status: int, message: str, kind: str, code: str | None = None) -> web.Response:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return web.json_response({"error": error}, status=status)
