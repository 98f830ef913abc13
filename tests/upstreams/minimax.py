"""A strict stand-in for MiniMax: v1 with files and codes inside HTTP 200, v2; callbacks after a challenge."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import aiohttp
from aiohttp import web

from tests.upstreams.faults import Operation
from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Handler, Task

_PROMPT = Field(pattern=r"(?s).{1,2000}")
_SUBJECT: Fields = {
    "type": Field(choices=("character",), required=True),
    "image": Field("list", required=True, of=Field("url")),
}
_COMMON: Fields = {
    "model": Field(required=True),
    "prompt": _PROMPT,
    "prompt_optimizer": Field("switch"),
    "aigc_watermark": Field("switch"),
    "callback_url": Field("url"),
}
_FAST: Fields = {"fast_pretreatment": Field("switch")}
_FRAME = Field("url")
_TEXT: Fields = {**_COMMON, "prompt": replace(_PROMPT, required=True)}
_OLD_SHAPE: Fields = {
    "duration": Field("integer", choices=(6,)),
    "resolution": Field(choices=("720P", "1080P")),
}
_NEW_SHAPE: Fields = {
    "duration": Field("integer", choices=(6, 10)),
    "resolution": Field(choices=("768P", "1080P")),
}
_IMAGE: Fields = {**_COMMON, **_OLD_SHAPE, "first_frame_image": replace(_FRAME, required=True)}
#: Model of v1 -> the fields that it takes.
TAKEN: dict[str, Fields] = {
    "T2V-01": {**_TEXT, **_OLD_SHAPE},
    "T2V-01-Director": {**_TEXT, **_OLD_SHAPE},
    "I2V-01": _IMAGE,
    "I2V-01-Director": _IMAGE,
    "I2V-01-live": _IMAGE,
    "S2V-01": {
        **_COMMON,
        "subject_reference": Field("list", required=True, of=Field("object", fields=_SUBJECT)),
    },
    "MiniMax-Hailuo-02": {
        **_COMMON,
        **_FAST,
        "duration": Field("integer", choices=(6, 10)),
        "resolution": Field(choices=("512P", "768P", "1080P")),
        "first_frame_image": _FRAME,
        "last_frame_image": _FRAME,
    },
    "MiniMax-Hailuo-2.3": {**_COMMON, **_FAST, **_NEW_SHAPE, "first_frame_image": _FRAME},
    "MiniMax-Hailuo-2.3-Fast": {**_IMAGE, **_FAST, **_NEW_SHAPE},
}
_URL: Fields = {"url": Field("url", required=True)}
_ITEM: Fields = {
    "type": Field(choices=("text", "image_url", "video_url", "audio_url"), required=True),
    "text": Field(pattern=r"(?s).{1,7000}"),
    "image_url": Field("object", fields=_URL),
    "video_url": Field("object", fields=_URL),
    "audio_url": Field("object", fields=_URL),
    "role": Field(
        choices=("first_frame", "last_frame", "reference_image", "reference_video", "reference_audio")
    ),
}
TAKEN_V2: Fields = {
    "model": Field(choices=("MiniMax-H3",), required=True),
    "content": Field("list", required=True, of=Field("object", fields=_ITEM)),
    "resolution": Field(choices=("768P", "2K"), required=True),
    "duration": Field("integer", minimum=4, maximum=15, required=True),
    "ratio": Field(choices=("adaptive", "21:9", "16:9", "4:3", "1:1", "3:4", "9:16")),
    "aigc_watermark": Field("switch"),
    "callback_url": Field("url"),
}
#: Role -> how many items of it one order may have.
MOST = {
    "first_frame": 1,
    "last_frame": 1,
    "reference_image": 9,
    "reference_video": 3,
    "reference_audio": 3,
}
#: HTTP status of v2 -> its kind of error and the code inside.
ERRORS = {
    400: ("bad_request_error", 2013),
    401: ("authorized_error", 1004),
    402: ("insufficient_balance_error", 1008),
    429: ("rate_limit_error", 1002),
}
FAILURES = {
    "moderated": (1027, "video description contains sensitive content"),
    "invalid": (2013, "invalid params, the image cannot be read"),
    "crashed": (1000, "unknown error"),
    "expired": (1001, "timeout"),
}
CHALLENGE_SECONDS = 3.0
STATES = {"queued": "Queueing", "rendering": "Processing"}
STATES_V2 = {"queued": "queued", "rendering": "running"}


class FakeMiniMax(TaskUpstream):
    """`MINIMAX_URL=<base_url>` and `MINIMAX_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "minimax-stand-in-key", port: int = 0) -> None:
        super().__init__(key, port)

    def routes(self, app: web.Application) -> None:
        """Both protocols, and the clips."""
        add, tasks = app.router, "/v2/query/video_generation"
        add.add_post("/v1/video_generation", self._serve_v1("submit", self._create_v1))
        add.add_get("/v1/query/video_generation", self._serve_v1("status", self._read_v1))
        add.add_get("/v1/files/retrieve", self._serve_v1("result", self._file_of_task))
        add.add_post("/v2/video_generation", self.serve("submit", self._create_v2))
        add.add_get(f"{tasks}/{{id}}", self.serve("status", self._read_v2))
        add.add_get(tasks, self.serve("key", self._list))
        add.add_delete("/v2/video_generation/{id}", self.serve("cancel", self._delete))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As v2 words it; an unknown task is a bad parameter."""
        status = 400 if status == 404 else status
        kind, code = ERRORS[status]
        told = {"type": kind, "message": f"{message} ({code})", "http_code": str(status)}
        return web.json_response({"type": "error", "error": told, "request_id": "r"}, status=status)

    def _serve_v1(self, operation: Operation, handler: Handler) -> Handler:
        """Serve a handler whose refusals come as v1 words them: HTTP 200 with a code."""

        async def answer(request: web.Request) -> web.StreamResponse:
            told = await handler(request)
            if told.status == 200 or not isinstance(told, web.Response):
                return told
            message = json.loads(told.text or "")["error"]["message"]
            refusal = _v1({"task_id": ""}, ERRORS[told.status][1], message)
            refusal.headers.update(
                {name: told.headers[name] for name in told.headers if name == "Retry-After"}
            )
            return refusal

        return self.serve(operation, answer)

    async def _taken(self, body: dict[str, Any], version: str) -> Task | web.Response:
        url = body.get("callback_url")
        if url is not None and not await self._is_repeated_at(url):
            return self.error(400, "invalid params, callback_url did not repeat the challenge")
        number = 106_916_112_212_032 + len(self.log.tasks)
        return self.taken(body, task_id=str(number), endpoint=version, callback_url=url)

    async def _is_repeated_at(self, url: str) -> bool:
        """Whether a word that is sent to this URL comes back within three seconds, and nothing with it."""
        word = {"challenge": uuid.uuid4().hex}
        within = aiohttp.ClientTimeout(total=CHALLENGE_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=within) as session,
                session.post(self.reached(url), json=word) as response,
            ):
                return response.status == 200 and await response.json() == word
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    def callback_body(self, task: Task) -> bytes:
        """As its protocol tells of a task: v1 in words of its own, v2 as in its record."""
        if task.endpoint == "v2":
            return json.dumps({"task": self.record(task)}).encode()
        state = "success" if task.script.outcome == "ok" else "failed"
        told = {"task_id": task.id, "status": state, "file_id": f"9{task.id}" if state == "success" else ""}
        return json.dumps(told | {"base_resp": {"status_code": 0, "status_msg": "success"}}).encode()

    def _find(self, task_id: str, version: str) -> Task | None:
        task = self.log.tasks.get(task_id)
        return task if task and task.endpoint == version and not task.forgotten else None

    async def _create_v1(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        if (wrong := complaint_of_v1(body)) is not None:
            return self.error(400, f"invalid params, {wrong}")
        task = await self._taken(body, "v1")
        return task if isinstance(task, web.Response) else _v1({"task_id": task.id})

    async def _read_v1(self, request: web.Request) -> web.Response:
        task_id = request.query.get("task_id", "")
        await self.note("status", request, task_id=task_id)
        if not self.authorized(request):
            return self.error(401, "login fail")
        task = self._find(task_id, "v1")
        return self.error(404, "invalid task_id") if task is None else _v1(*self._shown_v1(task))

    def _shown_v1(self, task: Task) -> tuple[dict[str, Any], int, str]:
        state = self.look(task)["status"]
        shown: dict[str, Any] = {"task_id": task.id, "status": state, "file_id": ""}
        if state == "Success":
            shown |= {"file_id": f"9{task.id}", "video_width": 1280, "video_height": 720}
        code, message = FAILURES[task.script.outcome] if state == "Fail" else (0, "success")
        return shown, code, message

    async def _file_of_task(self, request: web.Request) -> web.Response:
        file_id = request.query.get("file_id", "")
        await self.note("result", request, task_id=file_id)
        if not self.authorized(request):
            return self.error(401, "login fail")
        task = self._find(file_id.removeprefix("9"), "v1")
        if task is None or task.phase != "ended" or not file_id.startswith("9"):
            return self.error(404, "invalid file_id")
        return _v1({"file": {"file_id": file_id, "purpose": "video", "download_url": self.file_url(task)}})

    async def _create_v2(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        if (wrong := complaint_of_v2(body)) is not None:
            return self.error(400, f"invalid params, {wrong}")
        task = await self._taken(body, "v2")
        return task if isinstance(task, web.Response) else web.json_response({"task_id": task.id})

    async def _read_v2(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        if isinstance(task, web.Response):
            return task
        return web.json_response({"task": self.look(task)})

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(401, "login fail")
        page, size = int(request.query.get("page_num", "1")), int(request.query.get("page_size", "20"))
        if page < 1 or not 1 <= size <= 100:
            return self.error(400, "invalid params, page_num and page_size")
        shown = [self.record(task) for task in self.listed() if task.endpoint == "v2"]
        return web.json_response({"items": shown[(page - 1) * size : page * size], "total": len(shown)})

    async def _delete(self, request: web.Request) -> web.Response:
        task = await self.seen_task("cancel", request)
        if isinstance(task, web.Response):
            return task
        if task.cancelled or task.phase == "rendering":
            return self.error(400, "invalid params, the task cannot be cancelled")
        action = "cancelled" if task.phase == "queued" else "deleted"
        task.cancelled, task.forgotten = action == "cancelled", action == "deleted"
        return web.json_response({"task_id": task.id, "action": action, "status": action})

    def record(self, task: Task) -> dict[str, Any]:
        """The task as its protocol shows it: neither repeats what was asked for."""
        outcome = task.script.outcome
        if task.endpoint == "v1":
            ended = "Success" if outcome == "ok" else "Fail"
            return {"status": self.odd_status or STATES.get(task.phase, ended)}
        ended = {"ok": "succeeded", "expired": "expired"}.get(outcome, "failed")
        state = self.odd_status or STATES_V2.get(task.phase, "cancelled" if task.cancelled else ended)
        shown = {
            name: task.body.get(name, "adaptive") for name in ("model", "resolution", "duration", "ratio")
        }
        created = {"created_at": int(task.created_at), "task_type": "generation", "modality": "video"}
        shown |= {"id": task.id, "status": state, **created}
        if state == "succeeded":
            return shown | {"content": {"url": self.file_url(task)}, "usage": {"output_seconds": 5}}
        if state == "failed":
            code, message = FAILURES[outcome]
            return shown | {"error": {"code": str(code), "message": message}}
        return shown


def _v1(told: dict[str, Any], code: int = 0, message: str = "success") -> web.Response:
    return web.json_response(told | {"base_resp": {"status_code": code, "status_msg": message}})


def complaint_of_v1(body: Mapping[str, Any]) -> str | None:
    """What is wrong with an order of v1; None when nothing is."""
    fields = TAKEN.get(str(body.get("model")))
    if fields is None:
        return f"no model {body.get('model')!r}"
    if (wrong := complaint(body, fields)) is not None:
        return wrong
    if (body.get("duration"), body.get("resolution")) == (10, "1080P"):
        return "1080P lasts 6 seconds"
    if "last_frame_image" in body and body.get("resolution") == "512P":
        return "512P takes no last_frame_image"
    given = {"prompt", "first_frame_image", "last_frame_image", "subject_reference"} & body.keys()
    return None if given else "prompt is required"


def complaint_of_v2(body: Mapping[str, Any]) -> str | None:
    """What is wrong with an order of v2; None when nothing is."""
    return complaint(body, TAKEN_V2) or _wrong_content(body)


def _wrong_content(body: Mapping[str, Any]) -> str | None:
    """What is wrong with the items together, or with the ratio that they call for."""
    items = body["content"]
    if any(item["type"] not in item for item in items):
        return "content: an item lacks what its type names"
    if sum(item["type"] == "text" for item in items) != 1:
        return "content must include one non-empty text item"
    roles = [item.get("role", "first_frame") for item in items if item["type"] != "text"]
    if any(roles.count(role) > most for role, most in MOST.items()):
        return "content: too many items of a role"
    if len({role.startswith("reference") for role in roles}) > 1:
        return "content: frames and references cannot be mixed"
    if not roles and body.get("ratio", "adaptive") == "adaptive":
        return "ratio is required without media"
    return None
