"""A strict stand-in for Vidu: four kinds of tasks, their list, cancel, credits, unsigned callbacks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream, iso
from tests.upstreams.upstream import Task

_PROMPT = Field(pattern=r"(?s).{1,1500}")
_RATIO = Field(choices=("16:9", "9:16", "1:1", "4:3", "3:4"))
_COMMON: Fields = {
    "duration": Field("integer", minimum=1, maximum=16),
    "seed": Field("integer", minimum=0, maximum=2**31 - 1),
    "resolution": Field(choices=("360p", "540p", "720p", "1080p")),
    "movement_amplitude": Field(choices=("auto", "small", "medium", "large")),
    "audio": Field("switch"),
    "payload": Field(),
    "callback_url": Field("url"),
}
_IMAGES = Field("list", required=True, of=Field("url"))


def _model(*names: str) -> Field:
    return Field(choices=names, required=True)


#: Path -> the fields that it takes, and how many images.
TAKEN: dict[str, tuple[Fields, range]] = {
    "text2video": (
        {
            **_COMMON,
            "model": _model("viduq3-pro", "viduq3-turbo", "viduq2", "viduq1"),
            "prompt": Field(pattern=_PROMPT.pattern, required=True),
            "aspect_ratio": _RATIO,
            "style": Field(choices=("general", "anime")),
            "bgm": Field("switch"),
        },
        range(1),
    ),
    "img2video": (
        {
            **_COMMON,
            "model": _model("viduq3-pro", "viduq3-turbo", "viduq2-pro", "viduq2-turbo", "viduq1"),
            "prompt": _PROMPT,
            "images": _IMAGES,
        },
        range(1, 2),
    ),
    "start-end2video": (
        {
            **_COMMON,
            "model": _model("viduq3-pro", "viduq3-turbo", "viduq2-pro", "viduq2-turbo", "viduq1"),
            "prompt": _PROMPT,
            "images": _IMAGES,
        },
        range(2, 3),
    ),
    "reference2video": (
        {
            **_COMMON,
            "model": _model("viduq3-turbo", "viduq2", "viduq1"),
            "prompt": Field(pattern=_PROMPT.pattern, required=True),
            "images": _IMAGES,
            "aspect_ratio": _RATIO,
            "bgm": Field("switch"),
        },
        range(1, 8),
    ),
}
#: Model -> the sizes that it has, where not all.
SIZES = {
    "viduq1": ("1080p",),
    "viduq2": ("540p", "720p", "1080p"),
    "viduq2-pro": ("540p", "720p", "1080p"),
    "viduq2-turbo": ("540p", "720p", "1080p"),
    "viduq3-pro": ("540p", "720p", "1080p"),
    "viduq3-turbo": ("540p", "720p", "1080p"),
}
STATES = {"queued": "queueing", "rendering": "processing"}
REASONS = {400: "FieldInvalid", 401: "Unauthorized", 404: "TaskNotFound", 429: "QuotaExceeded"}
CODES = {
    "moderated": "CreationPolicyViolation",
    "invalid": "ImageFormatInvalid",
    "crashed": "InternalServiceFailure",
    "expired": "SystemThrottling",
}


def complaint_of(kind: str, body: dict[str, Any]) -> str | None:
    """What Vidu would say against this order; None when nothing."""
    fields, images = TAKEN[kind]
    if (wrong := complaint(body, fields)) is not None:
        return wrong
    if len(body.get("images", ())) not in images:
        return f"images: {kind} takes {images.start} to {images.stop - 1}"
    if body.get("resolution", "1080p") not in SIZES[body["model"]]:
        return f"resolution {body['resolution']} is not offered by {body['model']}"
    return None


class FakeVidu(TaskUpstream):
    """`VIDU_URL=<base_url>` and `VIDU_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "vda_stand_in_key", port: int = 0) -> None:
        super().__init__(key, port)
        self.cancels = True
        """Whether a task that runs can be stopped."""
        self.credits_left = 1240

    def routes(self, app: web.Application) -> None:
        """Four ways to make a task, the tasks, the credits, and the files."""
        add, base = app.router, "/ent/v2"
        add.add_post(f"{base}/{{kind:{'|'.join(TAKEN)}}}", self.serve("submit", self._create))
        add.add_get(f"{base}/tasks", self.serve("list", self._list))
        add.add_get(f"{base}/tasks/{{id}}/creations", self.serve("status", self._read))
        add.add_post(f"{base}/tasks/{{id}}/cancel", self.serve("cancel", self._cancel))
        add.add_get(f"{base}/credits", self.serve("key", self._credits))
        self.serve_files(app)

    def authorized(self, request: web.Request) -> bool:
        """By a token; a bearer is none."""
        return request.headers.get("Authorization") == f"Token {self.key}"

    def error(self, status: int, message: str) -> web.Response:
        """As Vidu words it."""
        return self._refusal(status, REASONS[status], message)

    @staticmethod
    def _refusal(status: int, reason: str, message: str) -> web.Response:
        told = {"code": status, "reason": reason, "message": message, "metadata": {"trace_id": "t"}}
        return web.json_response(told, status=status)

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        kind = request.match_info["kind"]
        if (wrong := complaint_of(kind, body)) is not None:
            return self.error(400, wrong)
        if self.credits_left <= 0:
            return self._refusal(400, "CreditInsufficient", "insufficient credits")
        task = self.taken(body, endpoint=kind, callback_url=body.get("callback_url"))
        made = {"task_id": task.id, "state": "created", "credits": 20, "created_at": iso(task.created_at)}
        return web.json_response({**body, **made})

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        return task if isinstance(task, web.Response) else web.json_response(self.look(task))

    async def _cancel(self, request: web.Request) -> web.Response:
        task = await self.seen_task("cancel", request)
        if isinstance(task, web.Response):
            return task
        if await request.json() != {"id": task.id}:
            return self.error(400, "id is required")
        task.cancelled = task.cancelled or (self.cancels and task.phase != "ended")
        return web.json_response({})

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        page, size = int(request.query.get("pager.page", "0")), int(request.query.get("pager.pagesz", "10"))
        if page < 0 or not 1 <= size <= 100:
            return self.error(400, "pagesz is 1 to 100")
        since = datetime.fromisoformat(request.query.get("created_at.from", "2000-01-01T00:00:00Z"))
        shown = [self.record(task) for task in self.listed() if task.created_at >= since.timestamp()]
        told = {"tasks": shown[page * size : (page + 1) * size], "next_page_token": ""}
        return web.json_response(told)

    async def _credits(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        remains = {"type": "metered", "credit_remain": self.credits_left, "concurrency_limit": 5}
        return web.json_response({"remains": [remains], "packages": []})

    def record(self, task: Task) -> dict[str, Any]:
        """The task as Vidu shows it."""
        outcome = "ok" if task.script.outcome == "ok" and not task.cancelled else "failed"
        state = self.odd_status or STATES.get(task.phase, "success" if outcome == "ok" else "failed")
        code = "UserCancelled" if task.cancelled else CODES.get(task.script.outcome, "")
        creation = {"id": f"creation-{task.id}", "url": self.file_url(task), "cover_url": ""}
        return {
            "id": task.id,
            "state": state,
            "err_code": code if state == "failed" else "",
            "credits": 20 if state == "success" else 0,
            "payload": task.body.get("payload", ""),
            "creations": [creation] if state == "success" else [],
        }
