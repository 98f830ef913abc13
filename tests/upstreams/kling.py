"""A strict stand-in for Kling: tasks by kind, codes of its own, look-up by our id, unsigned callbacks."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Task

_COMMON: Fields = {
    "model_name": Field(pattern=r"kling-v[\w-]+", required=True),
    "mode": Field(choices=("std", "pro")),
    "prompt": Field(pattern=r"(?s).{0,2500}"),
    "negative_prompt": Field(pattern=r"(?s).{0,2500}"),
    "cfg_scale": Field("number", minimum=0, maximum=1),
    "duration": Field(pattern=r"[1-9]\d?"),
    "sound": Field(choices=("on", "off")),
    "callback_url": Field("url"),
    "external_task_id": Field(pattern=r".{1,128}"),
}
_MEDIA = Field("media")
#: Path -> the fields that it takes.
TAKEN: dict[str, Fields] = {
    "text2video": {
        **_COMMON,
        "prompt": Field(pattern=r"(?s).{1,2500}", required=True),
        "aspect_ratio": Field(choices=("16:9", "9:16", "1:1")),
        "camera_control": Field("object"),
    },
    "image2video": {
        **_COMMON,
        "image": Field("media", required=True),
        "image_tail": _MEDIA,
        "static_mask": _MEDIA,
        "dynamic_masks": Field("list"),
        "camera_control": Field("object"),
    },
    "multi-image2video": {
        **_COMMON,
        "image_list": Field("list", required=True),
        "aspect_ratio": Field(choices=("16:9", "9:16", "1:1")),
    },
    "motion-control": {
        **_COMMON,
        "image_url": Field("media", required=True),
        "video_url": Field("url", required=True),
        "character_orientation": Field(choices=("image", "video")),
        "keep_original_sound": Field(choices=("yes", "no")),
    },
}
STATUSES = {"queued": "submitted", "rendering": "processing"}
CODES = {400: 1201, 401: 1002, 404: 1203, 429: 1303}
MESSAGES = {
    "moderated": "Failure to pass the risk control system",
    "invalid": "The image cannot be read",
    "crashed": "Service error",
    "expired": "Timed out",
}


class FakeKling(TaskUpstream):
    """`KLING_URL=<base_url>` with `KLING_API_KEY=<key>`, or with the `pair` of access and secret key."""

    def __init__(self, key: str = "kling-stand-in-api-key", port: int = 0) -> None:
        super().__init__(key, port)
        self.pair = ("kling-access-key", "kling-secret-key")
        self.http_errors = True
        """Whether errors have an HTTP status of their own, or come with 200."""
        self.finds_ours = True
        """Whether a task is found by our id of it, or by Kling's alone."""

    def routes(self, app: web.Application) -> None:
        """Each kind of task has its own path, list and records."""
        add, kind = app.router, f"/v1/videos/{{kind:{'|'.join(TAKEN)}}}"
        add.add_post(kind, self.serve("submit", self._create))
        add.add_get(kind, self.serve("list", self._list))
        add.add_get(f"{kind}/{{id}}", self.serve("status", self._read))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As Kling words it."""
        told = {"code": CODES.get(status, 5000), "message": message, "request_id": "r"}
        return web.json_response(told, status=status if self.http_errors else 200)

    def authorized(self, request: web.Request) -> bool:
        """By API key, or by a token that the secret key signed and whose time is now."""
        return super().authorized(request) or self._is_signed(request.headers.get("Authorization", ""))

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        kind = request.match_info["kind"]
        if (wrong := complaint(body, TAKEN[kind])) is not None:
            return self.error(400, wrong)
        ours = body.get("external_task_id")
        if ours is not None and any(
            task.body.get("external_task_id") == ours for task in self.log.tasks.values()
        ):
            return self.error(400, f"external_task_id {ours} is used already")
        task = self.taken(body, endpoint=kind, callback_url=body.get("callback_url"))
        return _told(self.record(task))

    async def _read(self, request: web.Request) -> web.Response:
        wanted, kind = request.match_info["id"], request.match_info["kind"]
        await self.note("status", request, task_id=wanted)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        found = [
            task
            for task in self.log.tasks.values()
            if task.endpoint == kind
            and not task.forgotten
            and wanted in (task.id, task.body.get("external_task_id") if self.finds_ours else None)
        ]
        return _told(self.look(found[0])) if found else self.error(404, "task not found")

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        page, size = int(request.query.get("pageNum", "1")), int(request.query.get("pageSize", "30"))
        if not 1 <= page <= 1000 or not 1 <= size <= 500:
            return self.error(400, "pageNum is 1 to 1000, pageSize 1 to 500")
        shown = [self.record(task) for task in self.listed() if task.endpoint == request.match_info["kind"]]
        return _told(shown[(page - 1) * size : page * size])

    def record(self, task: Task) -> dict[str, Any]:
        """The task as Kling shows it."""
        outcome = task.script.outcome
        status = self.odd_status or STATUSES.get(task.phase, "succeed" if outcome == "ok" else "failed")
        shown: dict[str, Any] = {
            "task_id": task.id,
            "task_status": status,
            "task_info": {"external_task_id": task.body.get("external_task_id", "")},
            "created_at": int(task.created_at * 1000),
            "updated_at": int(time.time() * 1000),
        }
        if status == "succeed":
            video = {"id": task.id, "url": self.file_url(task), "duration": "5.1"}
            return shown | {"task_result": {"videos": [video]}, "final_unit_deduction": "2"}
        return shown | ({"task_status_msg": MESSAGES[outcome]} if status == "failed" else {})

    def _is_signed(self, header: str) -> bool:
        text, _, signature = header.removeprefix("Bearer ").rpartition(".")
        access, secret = self.pair
        try:
            claims = json.loads(_base64url(text.partition(".")[2]))
            right = hmac.digest(secret.encode(), text.encode(), "sha256")
            genuine = json.loads(_base64url(text.partition(".")[0])) == {"alg": "HS256", "typ": "JWT"}
            genuine = genuine and hmac.compare_digest(right, _base64url(signature))
            return genuine and claims["iss"] == access and claims["nbf"] <= time.time() < claims["exp"]
        except (ValueError, KeyError):
            return False


def _told(data: Any) -> web.Response:
    return web.json_response({"code": 0, "message": "SUCCEED", "request_id": "r", "data": data})


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
