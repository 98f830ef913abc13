"""A strict stand-in for Runway: tasks of five kinds, read, cancel or delete."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream, iso
from tests.upstreams.upstream import Task

VERSION = "2024-11-06"
WIDE = ("1280:720", "720:1280")
SIX = (*WIDE, "1104:832", "960:960", "832:1104", "1584:672")
_PROMPT = Field(pattern=r"(?s).{1,1000}")
_SEED = Field("integer", minimum=0, maximum=2**32 - 1)
_SECONDS = Field("integer", minimum=2, maximum=10)
_MODERATION = Field("object")
_MEDIA: Fields = {
    "type": Field(choices=("image", "video"), required=True),
    "uri": Field("url", required=True),
}


def _needed(wanted: Field) -> Field:
    return replace(wanted, required=True)


#: Path and model -> the fields that it takes, as the vendor's own types have them.
TAKEN: dict[tuple[str, str], Fields] = {
    ("text_to_video", "gen4.5"): {
        "promptText": _needed(_PROMPT),
        "ratio": Field(choices=WIDE, required=True),
        "duration": _needed(_SECONDS),
        "seed": _SEED,
        "contentModeration": _MODERATION,
    },
    ("image_to_video", "gen4.5"): {
        "promptText": _needed(_PROMPT),
        "promptImage": Field("url", required=True),
        "ratio": Field(choices=SIX, required=True),
        "duration": _needed(_SECONDS),
        "seed": _SEED,
        "contentModeration": _MODERATION,
    },
    ("image_to_video", "gen4_turbo"): {
        "promptText": _PROMPT,
        "promptImage": Field("url", required=True),
        "ratio": Field(choices=SIX, required=True),
        "duration": _SECONDS,
        "seed": _SEED,
        "contentModeration": _MODERATION,
    },
    ("video_to_video", "aleph2"): {
        "promptText": _PROMPT,
        "videoUri": Field("url", required=True),
        "keyframes": Field("list"),
        "targetAspectRatio": Field(),
        "seed": _SEED,
    },
    ("character_performance", "act_two"): {
        "character": Field("object", required=True, fields=_MEDIA),
        "reference": Field("object", required=True, fields=_MEDIA),
        "ratio": Field(choices=SIX),
        "bodyControl": Field("switch"),
        "expressionIntensity": Field("integer", minimum=1, maximum=5),
        "seed": _SEED,
    },
}
FAILURES = {
    "moderated": ("The request did not pass moderation.", "SAFETY.INPUT.TEXT"),
    "invalid": ("The image could not be used.", "INPUT_PREPROCESSING.INTERNAL"),
    "crashed": ("An unexpected error occurred.", "INTERNAL.BAD_OUTPUT.CODE01"),
    "expired": ("The task timed out.", "INTERNAL"),
}


class FakeRunway(TaskUpstream):
    """`RUNWAYML_URL=<base_url>` and `RUNWAYML_API_SECRET=<key>` make the gateway use it."""

    def __init__(self, key: str = "key_stand_in_of_runway", port: int = 0) -> None:
        super().__init__(key, port)
        self.credits_left = 1240

    def routes(self, app: web.Application) -> None:
        """Five ways to make a task, the tasks, the organization, and the files."""
        add = app.router
        kinds = "text_to_video|image_to_video|video_to_video|character_performance|video_upscale"
        add.add_post(f"/v1/{{kind:{kinds}}}", self.serve("submit", self._create))
        add.add_get("/v1/tasks/{id}", self.serve("status", self._read))
        add.add_delete("/v1/tasks/{id}", self.serve("cancel", self._delete))
        add.add_get("/v1/organization", self.serve("key", self._organization))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As Runway words it."""
        return web.json_response({"error": message}, status=status)

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        if request.headers.get("X-Runway-Version") != VERSION:
            return self.error(400, f"X-Runway-Version must be {VERSION}")
        kind = request.match_info["kind"]
        fields = TAKEN.get((kind, str(body.get("model"))))
        if fields is None:
            return self.error(400, f"{kind} has no model {body.get('model')!r}")
        if (wrong := complaint(body, {"model": Field(), **fields})) is not None:
            issue = {"code": "custom", "path": [wrong.split()[0]], "message": wrong}
            told = {"error": "Validation of body failed", "issues": [issue]}
            return web.json_response(told, status=400)
        return web.json_response({"id": self.taken(body, endpoint=kind).id})

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        return task if isinstance(task, web.Response) else web.json_response(self.look(task))

    async def _delete(self, request: web.Request) -> web.Response:
        task = await self.seen_task("cancel", request)
        if isinstance(task, web.Response):
            return task
        task.forgotten = task.phase == "ended"
        task.cancelled = not task.forgotten
        return web.Response(status=204)

    async def _organization(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        if request.headers.get("X-Runway-Version") != VERSION:
            return self.error(400, f"X-Runway-Version must be {VERSION}")
        limits = {"gen4_turbo": {"maxConcurrentGenerations": 1, "maxDailyGenerations": 50}}
        tier = {"maxMonthlyCreditSpend": 10_000, "models": limits}
        usage = {"models": {"gen4_turbo": {"dailyGenerations": 0}}}
        return web.json_response({"creditBalance": self.credits_left, "tier": tier, "usage": usage})

    def record(self, task: Task) -> dict[str, Any]:
        """The task as Runway shows it."""
        shown: dict[str, Any] = {"id": task.id, "createdAt": iso(task.created_at)}
        outcome = task.script.outcome
        if self.odd_status is not None:
            return shown | {"status": self.odd_status}
        if task.cancelled:
            return shown | {"status": "CANCELLED", "cost": {"credits": 0}}
        if task.phase == "queued":
            return shown | {"status": "PENDING", "estimatedCost": {"credits": 25}}
        if task.phase == "rendering":
            told = {"progress": round(task.progress, 3), "estimatedCost": {"credits": 25}}
            return shown | {"status": "RUNNING"} | told
        if outcome == "ok":
            return shown | {"status": "SUCCEEDED", "output": [self.file_url(task)], "cost": {"credits": 25}}
        failure, code = FAILURES[outcome]
        return shown | {"status": "FAILED", "failure": failure, "failureCode": code, "cost": {"credits": 0}}
