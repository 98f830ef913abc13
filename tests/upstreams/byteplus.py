"""A strict stand-in for BytePlus ModelArk: tasks of typed parts, their list, delete, unsigned callbacks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Task

_URL: Fields = {"url": Field("url", required=True)}
TASKS = "/api/v3/contents/generations/tasks"
#: Type of a part -> its fields.
PARTS: Mapping[str, Fields] = {
    "text": {"type": Field(), "text": Field(pattern=r"(?s).+", required=True)},
    "image_url": {
        "type": Field(),
        "image_url": Field("object", required=True, fields=_URL),
        "role": Field(choices=("first_frame", "last_frame", "reference_image")),
    },
    "video_url": {
        "type": Field(),
        "video_url": Field("object", required=True, fields=_URL),
        "role": Field(choices=("reference_video",), required=True),
    },
    "audio_url": {
        "type": Field(),
        "audio_url": Field("object", required=True, fields=_URL),
        "role": Field(choices=("reference_audio",), required=True),
    },
}
_COMMON: Fields = {
    "model": Field(required=True),
    "content": Field("list", required=True),
    "callback_url": Field("url"),
    "return_last_frame": Field("switch"),
    "service_tier": Field(choices=("default", "flex")),
    "execution_expires_after": Field("integer", minimum=3600, maximum=259_200),
    "safety_identifier": Field(pattern=r".{1,64}"),
    "priority": Field("integer"),
    "ratio": Field(choices=("16:9", "4:3", "1:1", "3:4", "9:16", "21:9", "adaptive")),
    "seed": Field("integer", minimum=-1, maximum=2**32 - 1),
    "watermark": Field("switch"),
}


def _family(shortest: int, longest: int, resolutions: tuple[str, ...], *more: str) -> Fields:
    own: Fields = {
        "generate_audio": Field("switch"),
        "draft": Field("switch"),
        "camera_fixed": Field("switch"),
    }
    own = {**own, "frames": Field("integer", minimum=29, maximum=289), "tools": Field("list")}
    seconds = Field("integer", minimum=shortest, maximum=longest)
    chosen: Fields = {"resolution": Field(choices=resolutions), "duration": seconds}
    return {**_COMMON, **chosen, **{name: own[name] for name in more}}


_ONE = _family(2, 12, ("480p", "720p", "1080p"), "camera_fixed", "frames")
_TWO = _family(4, 15, ("480p", "720p", "1080p", "4k"), "generate_audio", "tools")
#: Model -> the fields that it takes.
TAKEN: Mapping[str, Fields] = {
    "seedance-1-0-lite-t2v-250428": _ONE,
    "seedance-1-0-lite-i2v-250428": _ONE,
    "seedance-1-0-pro-250528": _ONE,
    "seedance-1-0-pro-fast-251015": _ONE,
    "seedance-1-5-pro-251215": _family(
        4, 12, ("480p", "720p", "1080p"), "generate_audio", "draft", "camera_fixed"
    ),
    "dreamina-seedance-2-0-260128": _TWO,
    "dreamina-seedance-2-0-fast-260128": _family(4, 15, ("480p", "720p"), "generate_audio", "tools"),
    "dreamina-seedance-2-5": _family(4, 30, ("480p", "720p", "1080p", "4k"), "generate_audio", "tools"),
}
STATUSES = {"queued": "queued", "rendering": "running"}
FAILURES = {
    "moderated": (
        "OutputVideoSensitiveContentDetected",
        "The output video may contain sensitive information.",
    ),
    "invalid": ("InvalidParameter.ImageURL", "The image could not be downloaded."),
    "crashed": ("InternalServiceError", "The service encountered an unexpected internal error."),
}
CODES = {
    400: "InvalidParameter",
    401: "AuthenticationError",
    404: "ResourceNotFound",
    409: "InvalidAction",
    429: "RateLimitExceeded",
}


class FakeBytePlus(TaskUpstream):
    """`BYTEPLUS_URL=<base_url>` and `ARK_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "ark-stand-in-key", port: int = 0) -> None:
        super().__init__(key, port)
        self.overdue = False
        """Whether the account has not paid its bills."""

    def routes(self, app: web.Application) -> None:
        """The tasks and the files."""
        add = app.router
        add.add_post(TASKS, self.serve("submit", self._create))
        add.add_get(TASKS, self.serve("list", self._list))
        add.add_get(f"{TASKS}/{{id}}", self.serve("status", self._read))
        add.add_delete(f"{TASKS}/{{id}}", self.serve("cancel", self._delete))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As ModelArk words it."""
        error = {"code": CODES.get(status, "InternalServiceError"), "message": message}
        kind = "BadRequest" if status == 400 else error["code"]
        return web.json_response({"error": {**error, "param": "", "type": kind}}, status=status)

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        # BytePlus's own client sends what it has no value for as null.
        body = {name: value for name, value in body.items() if value is not None}
        if self.overdue:
            return _overdue()
        if str(body.get("model")) not in TAKEN:
            return self.error(404, f"The model or endpoint {body.get('model')} does not exist")
        if (wrong := complaint_of(body)) is not None:
            return self.error(400, wrong)
        task = self.taken(body, callback_url=body.get("callback_url"))
        return web.json_response({"id": task.id})

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        return task if isinstance(task, web.Response) else web.json_response(self.look(task))

    async def _delete(self, request: web.Request) -> web.Response:
        task = await self.seen_task("cancel", request)
        if isinstance(task, web.Response):
            return task
        if task.phase == "rendering" or task.cancelled:
            return self.error(409, "A task in this status cannot be deleted")
        task.forgotten = task.phase == "ended"
        task.cancelled = not task.forgotten
        return web.json_response({})

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if not self.authorized(request):
            return self.error(401, "The API key doesn't exist")
        if self.overdue:
            return _overdue()
        known = {"page_num", "page_size", "filter.status", "filter.task_ids", "filter.model"}
        page, size = int(request.query.get("page_num", "1")), int(request.query.get("page_size", "10"))
        if set(request.query) - known or not 1 <= page <= 500 or not 1 <= size <= 500:
            return self.error(400, "page_num and page_size are 1 to 500; the filters are known by name")
        model = request.query.get("filter.model")
        shown = [self.record(task) for task in self.listed() if model in (None, task.body["model"])]
        return web.json_response({"total": len(shown), "items": shown[(page - 1) * size : page * size]})

    def record(self, task: Task) -> dict[str, Any]:
        """The task as ModelArk shows it."""
        outcome = task.script.outcome
        ended = {"ok": "succeeded", "expired": "expired"}.get(outcome, "failed")
        status = self.odd_status or ("cancelled" if task.cancelled else STATUSES.get(task.phase, ended))
        shown: dict[str, Any] = {
            "id": task.id,
            "model": task.body["model"],
            "status": status,
            "created_at": int(task.created_at),
            "updated_at": int(time.time()),
            "service_tier": "default",
            "execution_expires_after": 172_800,
        }
        if "safety_identifier" in task.body:
            shown["safety_identifier"] = task.body["safety_identifier"]
        if status == "succeeded":
            told = {name: task.body.get(name, value) for name, value in DEFAULTS.items()}
            usage = {"completion_tokens": 108_900, "total_tokens": 108_900}
            return shown | told | {"content": {"video_url": self.file_url(task)}, "usage": usage}
        if status == "failed":
            code, message = FAILURES[outcome]
            return shown | {"error": {"code": code, "message": message}}
        return shown


def _overdue() -> web.Response:
    error = {"code": "AccountOverdueError", "message": "The account has an overdue balance."}
    return web.json_response({"error": {**error, "param": "", "type": "Forbidden"}}, status=403)


#: What a finished task shows where its order said nothing.
DEFAULTS: Mapping[str, Any] = {
    "seed": 1276,
    "resolution": "720p",
    "ratio": "16:9",
    "duration": 5,
    "framespersecond": 24,
}


def complaint_of(body: Mapping[str, Any]) -> str | None:
    """The first thing that is wrong with an order for a known model; None when nothing is."""
    model = str(body["model"])
    return complaint(body, TAKEN[model]) or _wrong_content(model, body["content"])


def _wrong_content(model: str, content: list[Any]) -> str | None:
    for at, part in enumerate(content):
        kind = str(part.get("type")) if isinstance(part, dict) else ""
        if kind not in PARTS:
            return f"content[{at}].type is none of {list(PARTS)}"
        if (wrong := complaint(part, PARTS[kind], f"content[{at}].")) is not None:
            return wrong
    roles = [part.get("role", "first_frame") for part in content if part["type"] != "text"]
    texts = len(content) - len(roles)
    if texts > 1 or not content:
        return "content has one text, or media"
    if texts == 0 and "t2v" in model:
        return "content has no text"
    return _wrong_roles(model, roles)


def _wrong_roles(model: str, roles: list[str]) -> str | None:
    frames = [role for role in roles if role.endswith("_frame")]
    references = [role for role in roles if role not in frames]
    if roles and "t2v" in model:
        return f"{model} takes no media"
    if frames and references:
        return "first and last frames cannot be mixed with references"
    if frames not in ([], ["first_frame"], ["first_frame", "last_frame"]):
        return f"content has the frames {frames}"
    if "last_frame" in frames and "pro-fast" in model:
        return f"{model} takes no last frame"
    most = 9 if "seedance-2" in model else 4 if "lite-i2v" in model else 0
    if references.count("reference_image") > most:
        return f"{model} takes {most} reference images"
    if "reference_audio" in references and set(references) == {"reference_audio"}:
        return "audio comes with an image or a video"
    return None
