"""A strict stand-in for Alibaba's DashScope: asynchronous video tasks, their list, cancel in the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Task

SYNTHESIS = "/api/v1/services/aigc/video-generation/video-synthesis"
TASKS = "/api/v1/tasks"
SIZES = {
    "480P": ("832*480", "480*832", "624*624"),
    "720P": ("1280*720", "720*1280", "960*960", "1088*832", "832*1088"),
    "1080P": ("1920*1080", "1080*1920", "1440*1440", "1632*1248", "1248*1632"),
}
_PROMPT = Field(pattern=r"(?s).{1,1500}")
_LONG_PROMPT = Field(pattern=r"(?s).{1,5000}")
_NEEDED_PROMPT = Field(pattern=r"(?s).{1,1500}", required=True)
_URL = Field("url")


def _size(*resolutions: str) -> Fields:
    return {"size": Field(choices=tuple(size for name in resolutions for size in SIZES[name]))}


def _resolution(*resolutions: str) -> Fields:
    return {"resolution": Field(choices=resolutions)}


def _seconds(*lengths: int) -> Fields:
    return {"duration": Field("integer", choices=lengths)}


def _model(inputs: Fields, *parameters: Fields) -> Fields:
    settings: Fields = {
        "prompt_extend": Field("switch"),
        "watermark": Field("switch"),
        "seed": Field("integer", minimum=0, maximum=2**31 - 1),
    }
    for more in parameters:
        settings = {**settings, **more}
    # The last two come from Alibaba's own client, whatever is ordered.
    told: Fields = {
        **inputs,
        "negative_prompt": Field(pattern=r"(?s).{0,500}"),
        "extend_prompt": Field("switch"),
        "function": Field(choices=("video-synthesis",)),
    }
    return {
        "model": Field(required=True),
        "input": Field("object", required=True, fields=told),
        "parameters": Field("object", fields=settings),
    }


def _media(*kinds: str) -> Field:
    fields: Fields = {"type": Field(choices=kinds, required=True), "url": Field("url", required=True)}
    return Field("list", required=True, of=Field("object", fields=fields))


_SHOT: Fields = {"shot_type": Field(choices=("single", "multi"))}
_AUDIO: Fields = {"audio": Field("switch")}
_RATIO: Fields = {"ratio": Field(choices=("16:9", "9:16", "1:1", "4:3", "3:4"))}
_TEXT: Fields = {"prompt": _NEEDED_PROMPT, "audio_url": _URL}
_IMAGE: Fields = {"prompt": _PROMPT, "img_url": Field("url", required=True), "audio_url": _URL}
_ANY = tuple(range(2, 16))
#: Model -> the fields that it takes.
TAKEN: Mapping[str, Fields] = {
    "wan2.5-t2v-preview": _model(_TEXT, _size("480P", "720P", "1080P"), _seconds(5, 10), _AUDIO),
    "wan2.5-i2v-preview": _model(_IMAGE, _resolution("480P", "720P", "1080P"), _seconds(5, 10), _AUDIO),
    "wan2.6-t2v": _model(_TEXT, _size("720P", "1080P"), _seconds(*_ANY), _SHOT),
    "wan2.6-i2v": _model(_IMAGE, _resolution("720P", "1080P"), _seconds(*_ANY), _SHOT),
    "wan2.6-i2v-flash": _model(_IMAGE, _resolution("720P", "1080P"), _seconds(*_ANY), _SHOT, _AUDIO),
    "wan2.6-r2v": _model(
        {"prompt": _NEEDED_PROMPT, "reference_urls": Field("list", required=True, of=_URL)},
        _size("720P", "1080P"),
        _seconds(*range(2, 11)),
        _SHOT,
        _AUDIO,
    ),
    "wan2.7-t2v": _model(
        {"prompt": Field(pattern=r"(?s).{1,5000}", required=True), "audio_url": _URL},
        _resolution("720P", "1080P"),
        _RATIO,
        _seconds(*_ANY),
    ),
    "wan2.7-i2v": _model(
        {
            "prompt": _LONG_PROMPT,
            "media": _media("first_frame", "last_frame", "driving_audio", "first_clip"),
        },
        _resolution("720P", "1080P"),
        _seconds(*_ANY),
    ),
    "wan2.7-r2v": _model(
        {
            "prompt": Field(pattern=r"(?s).{1,5000}", required=True),
            "media": _media("reference_image", "reference_video", "first_frame"),
        },
        _resolution("720P", "1080P"),
        _RATIO,
        _seconds(*range(2, 11)),
    ),
}
STATUSES = {"queued": "PENDING", "rendering": "RUNNING"}
FAILURES = {
    "moderated": ("DataInspectionFailed", "Output data may contain inappropriate content."),
    "invalid": ("InvalidParameter.DataInspection", "Unable to download the media resource."),
    "crashed": ("InternalError", "An internal error has occurred."),
    "expired": ("InternalError.Timeout", "The render took too long."),
}
CODES = {
    400: "InvalidParameter",
    401: "InvalidApiKey",
    403: "AccessDenied",
    404: "ModelNotFound",
    429: "Throttling.RateQuota",
}


class FakeDashScope(TaskUpstream):
    """`DASHSCOPE_URL=<base_url>` and `DASHSCOPE_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "sk-stand-in-of-dashscope", port: int = 0) -> None:
        super().__init__(key, port)
        self.overdue = False
        """Whether the account has not paid its bills."""

    def routes(self, app: web.Application) -> None:
        """The one way to make a clip, the tasks, and the files."""
        add = app.router
        add.add_post(SYNTHESIS, self.serve("submit", self._create))
        add.add_get(TASKS, self.serve("list", self._list))
        add.add_get(f"{TASKS}/{{id}}", self.serve("status", self._read))
        add.add_post(f"{TASKS}/{{id}}/cancel", self.serve("cancel", self._cancel))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As DashScope words it."""
        return self._refusal(status, CODES.get(status, "InternalError"), message)

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        if self.overdue:
            return self._refusal(
                400, "Arrearage", "Access denied, please make sure your account is in good standing."
            )
        if request.headers.get("X-DashScope-Async") != "enable":
            return self.error(403, "current user api does not support synchronous calls.")
        if str(body.get("model")) not in TAKEN:
            return self.error(404, f"Model not exist: {body.get('model')}")
        if (wrong := complaint_of(body)) is not None:
            return self.error(400, wrong)
        task = self.taken(body)
        return web.json_response(
            {"request_id": "r", "output": {"task_id": task.id, "task_status": "PENDING"}}
        )

    async def _read(self, request: web.Request) -> web.Response:
        await self.note("status", request, task_id=request.match_info["id"])
        if not self.authorized(request):
            return self.error(401, "Invalid API-key provided.")
        task = self.log.tasks.get(request.match_info["id"])
        if task is None or task.forgotten:
            gone = {"task_id": request.match_info["id"], "task_status": "UNKNOWN"}
            return web.json_response({"request_id": "r", "output": gone})
        await asyncio.sleep(task.script.latency_seconds)
        return web.json_response(self.look(task))

    async def _cancel(self, request: web.Request) -> web.Response:
        task = await self.seen_task("cancel", request)
        if isinstance(task, web.Response):
            return task
        if task.phase != "queued":
            said = "Failed to cancel the task, please confirm if the task is in PENDING status."
            return self._refusal(400, "UnsupportedOperation", said)
        task.cancelled = True
        return web.json_response({"request_id": "r"})

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if not self.authorized(request):
            return self.error(401, "Invalid API-key provided.")
        known = {"task_id", "start_time", "end_time", "model_name", "status", "page_no", "page_size"}
        if unknown := set(request.query) - known - {"api_key_id", "region"}:
            return self.error(400, f"{min(unknown)} is not a known parameter")
        page, size = int(request.query.get("page_no", "1")), int(request.query.get("page_size", "10"))
        if page < 1 or not 1 <= size <= 100:
            return self.error(400, "page_no is 1 or more, page_size 1 to 100")
        model, status = request.query.get("model_name"), request.query.get("status")
        shown = [
            entry
            for task in self.listed()
            if (entry := self._entry(task))["model_name"] == (model or entry["model_name"])
            and entry["status"] == (status or entry["status"])
        ]
        told = {"total": len(shown), "page_no": page, "page_size": size, "request_id": "r"}
        return web.json_response(told | {"data": shown[(page - 1) * size : page * size]})

    def _entry(self, task: Task) -> dict[str, Any]:
        """The task as the list shows it: without anything of its order but the model."""
        model = task.body["model"]
        return {
            "api_key_id": "1",
            "gmt_create": int(task.created_at * 1000),
            "model_name": model,
            "region": "ap-southeast-1",
            "request_id": "r",
            "status": self._status(task),
            "task_id": task.id,
            "user_api_unique_key": f"apikey:v1:aigc:video-generation:video-synthesis:{model}",
        }

    def _status(self, task: Task) -> str:
        ended = "SUCCEEDED" if task.script.outcome == "ok" else "FAILED"
        return self.odd_status or ("CANCELED" if task.cancelled else STATUSES.get(task.phase, ended))

    def record(self, task: Task) -> dict[str, Any]:
        """The task as DashScope shows it."""
        status = self._status(task)
        output: dict[str, Any] = {"task_id": task.id, "task_status": status, "submit_time": _time(task)}
        told: dict[str, Any] = {"request_id": "r", "output": output}
        if status == "SUCCEEDED":
            prompt, settings = task.body["input"].get("prompt", ""), task.body.get("parameters", {})
            output |= {"video_url": self.file_url(task), "orig_prompt": prompt, "end_time": _time(task)}
            usage = {"video_count": 1, "duration": settings.get("duration", 5), "SR": 720}
            if "size" in settings:
                usage["size"] = settings["size"]
            return told | {"usage": usage}
        if status == "FAILED":
            output["code"], output["message"] = FAILURES[task.script.outcome]
        return told

    def _refusal(self, status: int, code: str, message: str) -> web.Response:
        return web.json_response({"code": code, "message": message, "request_id": "r"}, status=status)


def complaint_of(body: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with an order for a known model; None when nothing is."""
    if (wrong := complaint(body, TAKEN[str(body["model"])])) is not None:
        return wrong
    kinds = [medium["type"] for medium in body["input"].get("media", [])]
    if "media" in body["input"] and not kinds:
        return "input.media is empty"
    once = {"first_frame", "last_frame", "driving_audio", "first_clip"}
    if repeated := [kind for kind in kinds if kind in once and kinds.count(kind) > 1]:
        return f"input.media has several of {repeated[0]}"
    if "i2v" in str(body["model"]) and kinds and not {"first_frame", "first_clip"} & set(kinds):
        return "input.media has neither first_frame nor first_clip"
    if len(kinds) > 5:
        return "input.media has more than 5 entries"
    return None


def _time(task: Task) -> str:
    return datetime.fromtimestamp(task.created_at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
