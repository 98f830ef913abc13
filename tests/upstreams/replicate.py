"""A strict stand-in for Replicate: predictions, their list, cancel, signed webhooks and their secret."""

from __future__ import annotations

import base64
import hmac
import json
import re
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from tests.upstreams.fields import Field, Fields, complaint
from tests.upstreams.tasks import TaskUpstream, iso
from tests.upstreams.upstream import Task

PAGE = 100
EVENTS = ("start", "output", "logs", "completed")
#: What a field of this name is on every model; a name that is not here may hold anything.
KINDS: Fields = {
    "prompt": Field(required=True),
    "negative_prompt": Field(),
    "aspect_ratio": Field(pattern=r"\d+:\d+"),
    "resolution": Field(pattern=r"\d+[pk]"),
    "mode": Field(),
    "text": Field(),
    "seed": Field("integer"),
    "duration": Field("integer", minimum=1, maximum=60),
    "length": Field("integer"),
    "generate_audio": Field("switch"),
    "reference_images": Field("list", of=Field("url")),
    "reference_videos": Field("list", of=Field("url")),
    **{
        name: Field("url")
        for name in (
            "image",
            "start_image",
            "end_image",
            "last_frame",
            "last_image",
            "first_frame_image",
            "last_frame_image",
            "video",
            "video_url",
            "audio",
            "audio_file",
        )
    },
}
STATUSES = {"queued": "starting", "rendering": "processing"}
ERRORS = {
    "moderated": "NSFW content detected. Try running it again, or try a different prompt.",
    "invalid": "The image could not be loaded",
    "crashed": "CUDA out of memory",
    "expired": "Prediction timed out",
}


@lru_cache(maxsize=1)
def inputs() -> Mapping[str, list[str] | None]:
    """Model -> names of its inputs; None where they are not known and only their kinds are checked."""
    table = Path(__file__).with_name("replicate_inputs.json").read_text()
    return dict(json.loads(table))


class FakeReplicate(TaskUpstream):
    """`REPLICATE_URL=<base_url>` and `REPLICATE_API_TOKEN=<key>` make the gateway use it."""

    def __init__(self, key: str = "r8_stand_in_token", port: int = 0) -> None:
        super().__init__(key, port)
        self.told_base: str | None = None
        """Where its answers say that it is, when it stands behind a proxy."""
        self.secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()

    def routes(self, app: web.Application) -> None:
        """Predictions by model and by version, the secret, the account, the files."""
        add = app.router
        add.add_post("/v1/models/{owner}/{name}/predictions", self.serve("submit", self._create))
        add.add_post("/v1/predictions", self.serve("submit", self._create))
        add.add_get("/v1/predictions", self.serve("list", self._list))
        add.add_get("/v1/predictions/{id}", self.serve("status", self._read))
        add.add_post("/v1/predictions/{id}/cancel", self.serve("cancel", self._cancel))
        add.add_get("/v1/webhooks/default/secret", self.serve("keys", self._secret))
        add.add_get("/v1/account", self.serve("key", self._account))
        self.serve_files(app)

    def error(self, status: int, message: str) -> web.Response:
        """As Replicate words it."""
        told = {"title": "Error", "detail": message, "status": status}
        return web.json_response(told, status=status)

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        named = request.match_info
        model = f"{named['owner']}/{named['name']}" if named else ""
        if model and model not in inputs():
            return self.error(404, "The requested resource could not be found.")
        if (wrong := _complaint(body, model)) is not None:
            fields = [{"type": "invalid", "field": "input", "description": wrong}]
            told = {"title": "Input validation failed", "detail": wrong, "status": 422}
            return web.json_response(told | {"invalid_fields": fields}, status=422)
        task = self.taken(
            body, task_id=uuid.uuid4().hex[:26], endpoint=model, callback_url=body.get("webhook")
        )
        return web.json_response(self.record(task), status=201)

    async def _read(self, request: web.Request) -> web.Response:
        task = await self.seen_task("status", request)
        return task if isinstance(task, web.Response) else web.json_response(self.look(task))

    async def _cancel(self, request: web.Request) -> web.Response:
        task = await self.seen_task("cancel", request)
        if isinstance(task, web.Response):
            return task
        task.cancelled = task.cancelled or task.phase != "ended"
        return web.json_response(self.record(task))

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        if unknown := set(request.query) - {"created_after", "created_before", "cursor", "source"}:
            return self.error(400, f"Unknown query: {sorted(unknown)}")
        after = datetime.fromisoformat(request.query.get("created_after", "2000-01-01T00:00:00Z")).timestamp()
        shown = [self.record(task) for task in self.listed() if task.created_at > after]
        begin = _place_of(request.query.get("cursor", _cursor(0)))
        if begin is None:
            return self.error(400, "The cursor is none of ours")
        query = urlencode({**request.query, "cursor": _cursor(begin + PAGE)})
        following = f"{self.told_base or self.base_url}/v1/predictions?{query}"
        more = following if len(shown) > begin + PAGE else None
        return web.json_response({"previous": None, "next": more, "results": shown[begin : begin + PAGE]})

    async def _secret(self, request: web.Request) -> web.Response:
        await self.note("keys", request)
        if not self.authorized(request):
            return self.error(401, "The key is not valid")
        return web.json_response({"key": self.secret})

    async def _account(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(401, "You did not pass a valid authentication token")
        told = {"type": "organization", "username": "acme", "name": "Acme", "github_url": None}
        return web.json_response(told)

    def record(self, task: Task) -> dict[str, Any]:
        """The prediction as Replicate shows it."""
        outcome = task.script.outcome
        ended = "canceled" if task.cancelled else "succeeded" if outcome == "ok" else "failed"
        status = self.odd_status or STATUSES.get(task.phase, ended)
        urls = f"{self.base_url}/v1/predictions/{task.id}"
        return {
            "id": task.id,
            "model": task.endpoint,
            "version": task.body.get("version", "hidden"),
            "input": task.body["input"],
            "logs": "",
            "output": self.file_url(task) if status == "succeeded" else None,
            "data_removed": False,
            "error": ERRORS.get(outcome) if status == "failed" else None,
            "status": status,
            "created_at": iso(task.created_at),
            "urls": {"get": urls, "cancel": f"{urls}/cancel"},
        } | ({"webhook": task.callback_url} if task.callback_url else {})

    def callback_headers(self, body: bytes, *, at: float | None = None) -> dict[str, str]:
        """Headers that sign this body as Replicate does; `at` is a Unix time."""
        stamp = str(int(time.time() if at is None else at))
        call_id = f"msg_{uuid.uuid4().hex}"
        secret = base64.b64decode(self.secret.removeprefix("whsec_"))
        signed = hmac.digest(secret, f"{call_id}.{stamp}.".encode() + body, "sha256")
        signature = f"v1,{base64.b64encode(signed).decode()}"
        return {"webhook-id": call_id, "webhook-timestamp": stamp, "webhook-signature": signature}


def _cursor(place: int) -> str:
    return base64.b64encode(f"p={place}".encode()).decode()


def _place_of(cursor: str) -> int | None:
    """The number that a cursor of ours holds; None for anything else."""
    try:
        return int(base64.b64decode(cursor, validate=True).decode().removeprefix("p="))
    except ValueError:
        return None


def _complaint(body: Mapping[str, Any], model: str) -> str | None:
    wrapper: dict[str, Field] = {
        "input": Field("object", required=True),
        "webhook": Field("url"),
        "webhook_events_filter": Field("list", of=Field(choices=EVENTS)),
    }
    if not model:
        wrapper["version"] = Field(required=True, pattern=r"[0-9a-f]{64}")
    if (wrong := complaint(body, wrapper)) is not None:
        return wrong
    if "webhook" in body and re.match("https://", body["webhook"]) is None:
        return "webhook must be https"
    given, names = body["input"], inputs().get(model)
    if names is not None and (unknown := sorted(set(given) - set(names))):
        return f"input.{unknown[0]} is not a known field"
    known = {name: KINDS[name] for name in names or given if name in KINDS}
    return complaint({name: value for name, value in given.items() if name in known}, known, "input.")
