"""A strict stand-in for PixVerse: uploads, tasks under a trace, and codes inside HTTP 200."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream, iso
from tests.upstreams.upstream import Task

_COMMON: Fields = {
    "model": Field(choices=("v3.5", "v4", "v4.5", "v5", "v5.5", "v5.6", "v6", "c1"), required=True),
    "prompt": Field(pattern=r"(?s).{1,2048}", required=True),
    "negative_prompt": Field(pattern=r"(?s).{0,2048}"),
    "duration": Field("integer", minimum=1, maximum=15, required=True),
    "quality": Field(choices=("360p", "540p", "720p", "1080p"), required=True),
    "motion_mode": Field(choices=("normal", "fast")),
    "style": Field(choices=("anime", "3d_animation", "clay", "comic", "cyberpunk")),
    "seed": Field("integer", minimum=0, maximum=2**31 - 1),
    "template_id": Field("integer"),
    "generate_audio_switch": Field("switch"),
    "generate_multi_clip_switch": Field("switch"),
    "water_mark": Field("switch"),
    "play_bgm": Field("switch"),
    "sound_effect_switch": Field("switch"),
    "sound_effect_content": Field(pattern=r"(?s).{0,2048}"),
    "sound_mode": Field(),
}
MOVES = (
    *("horizontal_left", "horizontal_right", "vertical_up", "vertical_down", "zoom_in", "zoom_out"),
    *("crane_up", "quickly_zoom_in", "quickly_zoom_out", "smooth_zoom_in", "camera_rotation", "robo_arm"),
    *("super_dolly_out", "whip_pan", "hitchcock", "left_follow", "right_follow", "pan_left", "pan_right"),
    "fix_bg",
)
_PICTURE = Field("integer", minimum=1, required=True)
_RATIOS = ("16:9", "4:3", "1:1", "3:4", "9:16", "2:3", "3:2", "21:9")
#: Path -> the fields that it takes.
TAKEN: dict[str, Fields] = {
    "text": {**_COMMON, "aspect_ratio": Field(choices=_RATIOS, required=True)},
    "img": {**_COMMON, "img_id": _PICTURE, "camera_movement": Field(choices=MOVES)},
    "transition": {**_COMMON, "first_frame_img": _PICTURE, "last_frame_img": _PICTURE},
}
#: Models that make no sound of their own, and last 5 or 8 seconds.
SILENT_MODELS = ("v3.5", "v4", "v4.5", "v5")
#: Model -> the lengths that it has; every other one lasts 1 to 15 seconds.
LENGTHS = dict.fromkeys(SILENT_MODELS, (5, 8)) | dict.fromkeys(("v5.5", "v5.6"), (5, 8, 10))
#: Field -> the models that it is for.
GATED = {
    "camera_movement": ("v4", "v4.5"),
    "generate_audio_switch": ("v5.5", "v5.6", "v6", "c1"),
    "generate_multi_clip_switch": ("v5.5", "v6"),
    "sound_effect_switch": SILENT_MODELS,
}
PICTURES = ("image/jpeg", "image/jpg", "image/png", "image/webp")
CODES = {400: 400017, 401: 400012, 404: 500008, 429: 500044}
STATUSES = {"ok": 1, "moderated": 7, "invalid": 8, "crashed": 8, "expired": 8}


class FakePixVerse(TaskUpstream):
    """`PIXVERSE_URL=<base_url>` and `PIXVERSE_API_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "pixverse-stand-in-key", port: int = 0) -> None:
        super().__init__(key, port)
        self.credits_left = 1240
        self.pictures: dict[int, bytes] = {}
        self._traces: dict[str, str] = {}

    def routes(self, app: web.Application) -> None:
        """Uploads, three ways to make a task, the tasks, the balance, and the clips."""
        add, base = app.router, "/openapi/v2"
        add.add_post(f"{base}/image/upload", self.serve("upload", self._upload))
        add.add_post(f"{base}/video/{{kind:{'|'.join(TAKEN)}}}/generate", self.serve("submit", self._create))
        add.add_get(f"{base}/video/result/{{id}}", self.serve("status", self._read))
        add.add_get(f"{base}/account/balance", self.serve("key", self._balance))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As PixVerse words it."""
        return web.json_response({"ErrCode": CODES[status], "ErrMsg": message, "Resp": None})

    def authorized(self, request: web.Request) -> bool:
        """By the key in its own header."""
        return request.headers.get("API-KEY") == self.key

    def _used(self, request: web.Request, purpose: str) -> web.Response | None:
        """A refusal unless the call has a UUID of its own; the same order may come again under its own."""
        trace = request.headers.get("Ai-trace-id", "")
        try:
            uuid.UUID(trace)
        except ValueError:
            return self.error(400, f"Ai-trace-id {trace!r} is no UUID")
        if self._traces.setdefault(trace, purpose) != purpose:
            return self.error(400, "Ai-trace-id was used for another call")
        return None

    def forget_traces(self) -> None:
        """From here on a trace of earlier is a new one, and makes a second task."""
        self._traces.clear()
        for task in self.log.tasks.values():
            task.endpoint = ""

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form.get("image")
        content = file.file.read() if isinstance(file, web.FileField) else b""
        await self.note("upload", request, base64.b64encode(content).decode())
        if not self.authorized(request):
            return self.error(401, "Invalid API-KEY")
        if (refusal := self._used(request, f"upload {len(self.log.seen)}")) is not None:
            return refusal
        if not isinstance(file, web.FileField) or set(form) != {"image"} or not content:
            return self.error(400, "image is required")
        if file.content_type not in PICTURES:
            return self.error(400, f"{file.content_type} is no picture")
        img_id = 7001 + len(self.pictures)
        self.pictures[img_id] = content
        return _told({"img_id": img_id, "img_url": f"https://media.pixverse.ai/{img_id}.png"})

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        trace = request.headers.get("Ai-trace-id", "")
        if (refusal := self._used(request, "order")) is not None:
            return refusal
        for earlier in self.log.tasks.values():
            if earlier.endpoint == trace:
                return _told({"video_id": int(earlier.id)})
        if (wrong := complaint_of(request.match_info["kind"], body)) is not None:
            return self.error(400, wrong)
        ids = {body[name] for name in ("img_id", "first_frame_img", "last_frame_img") if name in body}
        if not ids <= self.pictures.keys():
            return web.json_response({"ErrCode": 400032, "ErrMsg": "Invalid image ID", "Resp": None})
        task = self.taken(body, task_id=str(317_982_208 + len(self.log.tasks)), endpoint=trace)
        return _told({"video_id": int(task.id), "credits": 45})

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        if isinstance(task, web.Response):
            return task
        refusal = self._used(request, f"look {len(self.log.seen)}")
        return refusal if refusal is not None else _told(self.look(task))

    async def _balance(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(401, "Invalid API-KEY")
        if (refusal := self._used(request, f"balance {len(self.log.seen)}")) is not None:
            return refusal
        return _told({"account_id": 1, "credit_monthly": self.credits_left, "credit_package": 0})

    def record(self, task: Task) -> dict[str, Any]:
        """The task as PixVerse shows it."""
        status = STATUSES[task.script.outcome] if task.phase == "ended" else 5
        shown = {
            "id": int(task.id),
            "create_time": iso(task.created_at),
            "prompt": task.body["prompt"],
            "negative_prompt": task.body.get("negative_prompt", ""),
            "seed": task.body.get("seed", 1),
            "status": self.odd_status or status,
            "url": "",
        }
        if shown["status"] == 1:
            shown |= {"url": self.file_url(task), "outputWidth": 1280, "outputHeight": 720, "size": 1}
        return shown


def _told(told: dict[str, Any]) -> web.Response:
    return web.json_response({"ErrCode": 0, "ErrMsg": "Success", "Resp": told})


def complaint_of(kind: str, body: Mapping[str, Any]) -> str | None:
    """What is wrong with an order of this kind; None when nothing is."""
    return complaint(body, TAKEN[kind]) or _wrong_for_model(body)


def _wrong_for_model(body: Mapping[str, Any]) -> str | None:
    model, duration = body["model"], body["duration"]
    for name, models in GATED.items():
        if name in body and model not in models:
            return f"{name} is not for {model}"
    if duration not in LENGTHS.get(model, range(1, 16)):
        return f"duration is one of {LENGTHS[model]}"
    longest = {"v5.5": 8, "v5.6": 8}.get(model, 5 if model in SILENT_MODELS else 15)
    return (
        f"1080p lasts {longest} seconds at most"
        if body["quality"] == "1080p" and duration > longest
        else None
    )
