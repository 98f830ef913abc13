"""A strict stand-in for fal.ai: queue, results, cancel, signed callbacks and their keys, list of requests."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.upstreams.clip import clip_bytes
from tests.upstreams.fal_schema import TABLE, complaints
from tests.upstreams.upstream import Task, Upstream

USER_ID = "user_stand_in"
PRICED = "fal-ai/flux/dev"
"""The endpoint whose price is known."""
MODERATED = {
    "loc": ["body", "prompt"],
    "msg": "The content could not be processed because it contained material flagged by a content checker.",
    "type": "content_policy_violation",
}


class FakeFal(Upstream):
    """`FAL_QUEUE_URL=<base_url>` and `FAL_KEY=<key>` make the gateway use it."""

    def __init__(self, key: str = "fal-key-id:fal-secret", port: int = 0) -> None:
        super().__init__(key, port)
        self.signing_key = Ed25519PrivateKey.generate()
        self.max_in_flight: int | None = None
        self.receipt_base: str | None = None
        """Base of the URLs in receipts; None = this server."""

    def routes(self, app: web.Application) -> None:
        """The queue, its requests, the files, the keys and the platform API."""
        add = app.router
        add.add_get("/.well-known/jwks.json", self.serve("keys", self._keys))
        add.add_get("/v1/models/requests/by-endpoint", self.serve("list", self._list))
        add.add_get("/v1/models/pricing", self.serve("key", self._pricing))
        add.add_get("/files/{id}/output.mp4", self.serve("content", self._file))
        app_id = "/{app:(?:(?:workflows|comfy)/)?[^/]+/[^/]+}/requests/{id}"
        add.add_get(f"{app_id}/status", self.serve("status", self._status))
        add.add_put(f"{app_id}/cancel", self.serve("cancel", self._cancel))
        add.add_get(app_id, self.serve("result", self._result))
        add.add_post("/{endpoint:.+}", self.serve("submit", self._submit))

    async def _submit(self, request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except ValueError:
            body = None
        await self.note("submit", request, body)
        endpoint = request.match_info["endpoint"]
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        if request.content_type != "application/json" or not isinstance(body, dict):
            return web.json_response({"detail": "Request body must be a JSON object"}, status=400)
        if endpoint not in TABLE:
            return web.json_response({"detail": f"Application '{endpoint}' not found"}, status=404)
        if wrong := complaints(endpoint, body):
            return web.json_response({"detail": wrong}, status=422)
        if unknown := set(request.query) - {"fal_webhook"}:
            return web.json_response({"detail": f"Unknown query: {sorted(unknown)}"}, status=400)
        return self._accepted(request, endpoint, body)

    def _accepted(self, request: web.Request, endpoint: str, body: dict[str, Any]) -> web.Response:
        in_flight = sum(task.phase != "ended" for task in self.log.tasks.values())
        if self.max_in_flight is not None and in_flight >= self.max_in_flight:
            return web.json_response(
                {"detail": "Concurrency limit reached"}, status=429, headers={"Retry-After": "1"}
            )
        task = self.take(body, endpoint=endpoint, callback_url=request.query.get("fal_webhook"))
        if task.callback_url is not None:
            self.start(self._call_back_at_end(task))
        urls = self._urls(task)
        return web.json_response(
            {"request_id": task.id, "gateway_request_id": task.id, "status": "IN_QUEUE", "queue_position": 0}
            | urls
        )

    async def _status(self, request: web.Request) -> web.Response:
        await self.note("status", request, task_id=request.match_info["id"])
        task = self._task(request)
        if isinstance(task, web.Response):
            return task
        await asyncio.sleep(task.script.latency_seconds)
        phase = task.phase
        task.polls += 1
        urls = self._urls(task)
        if phase == "queued":
            return web.json_response({"status": "IN_QUEUE", "queue_position": 0} | urls, status=202)
        if phase == "rendering":
            return web.json_response({"status": "IN_PROGRESS", "logs": None} | urls, status=202)
        task.ended.set()
        told: dict[str, Any] = {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 1.5}}
        if task.cancelled:
            told |= {"error": "Request was cancelled", "error_type": "client_cancelled"}
        elif task.script.outcome == "crashed":
            told |= {"error": "Internal server error", "error_type": "runner_server_error"}
        elif task.script.outcome == "expired":
            told |= {"error": "Startup timeout", "error_type": "startup_timeout"}
        return web.json_response(told | urls)

    async def _result(self, request: web.Request) -> web.Response:
        await self.note("result", request, task_id=request.match_info["id"])
        task = self._task(request)
        if isinstance(task, web.Response):
            return task
        if task.phase != "ended":
            return web.json_response({"detail": "Request is still in progress"}, status=400)
        status, told = self._ending(task)
        return web.json_response(told, status=status)

    async def _cancel(self, request: web.Request) -> web.Response:
        await self.note("cancel", request, task_id=request.match_info["id"])
        task = self._task(request)
        if isinstance(task, web.Response):
            return web.json_response({"status": "NOT_FOUND"}, status=404) if task.status == 404 else task
        if task.phase == "ended":
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
        if task.phase == "queued":
            task.cancelled = True
            return web.json_response({"status": "OK"})
        # A render that has begun goes on: the runner decides what a cancel means to it.
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    async def _list(self, request: web.Request) -> web.Response:
        await self.note("list", request)
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        if (wrong := _wrong_list_query(request.query)) is not None:
            return _platform_error(400, "validation_error", wrong)
        start = datetime.fromisoformat(request.query["start"]).timestamp()
        shown = [
            {
                "request_id": task.id,
                "endpoint_id": task.endpoint,
                "sent_at": _iso(task.created_at),
                "started_at": _iso(task.created_at),
                "ended_at": _iso(task.created_at) if task.phase == "ended" else None,
                "status_code": self._ending(task)[0],
                "duration": 1.5,
            }
            | ({"json_input": task.body} if request.query.get("expand") == "payloads" else {})
            for task in reversed(self.log.tasks.values())
            if task.endpoint == request.query["endpoint_id"]
            and task.created_at >= start
            and time.monotonic() - task.began >= task.script.list_lag_seconds
        ]
        size, begin = int(request.query.get("limit", "50")), _place_of(request.query.get("cursor")) or 0
        more = len(shown) > begin + size
        told = {"items": shown[begin : begin + size], "has_more": more}
        return web.json_response(told | {"next_cursor": _cursor(begin + size) if more else None})

    async def _pricing(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if self._unauthorized(request) is not None:
            return _platform_error(401, "authorization_error", "Authentication is required")
        asked = request.query.get("endpoint_id")
        if not asked or set(request.query) - {"endpoint_id", "limit", "cursor"}:
            return _platform_error(400, "validation_error", "endpoint_id is required, and nothing else known")
        if asked != PRICED:
            return _platform_error(404, "not_found", f"Endpoint '{asked}' not found")
        price = {"endpoint_id": asked, "unit_price": 0.025, "unit": "megapixels", "currency": "USD"}
        return web.json_response({"prices": [price], "next_cursor": None, "has_more": False})

    async def _file(self, request: web.Request) -> web.Response:
        await self.note("content", request, task_id=request.match_info["id"])
        if request.match_info["id"] not in self.log.tasks:
            raise web.HTTPNotFound
        return web.Response(body=clip_bytes(), content_type="video/mp4")

    async def _keys(self, request: web.Request) -> web.Response:
        await self.note("keys", request)
        x = base64.urlsafe_b64encode(self.signing_key.public_key().public_bytes_raw()).rstrip(b"=").decode()
        return web.json_response({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "1"}]})

    def _unauthorized(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization")
        if given is None:
            return web.json_response({"detail": "Authentication is required"}, status=401)
        if given != f"Key {self.key}":
            return web.json_response({"detail": "Invalid key"}, status=401)
        return None

    def _task(self, request: web.Request) -> Task | web.Response:
        if (refusal := self._unauthorized(request)) is not None:
            return refusal
        task = self.log.tasks.get(request.match_info["id"])
        if task is None or task.forgotten or _app_of(task.endpoint) != request.match_info["app"]:
            return web.json_response({"detail": "Request not found"}, status=404)
        return task

    def _urls(self, task: Task) -> dict[str, str]:
        base = f"{self.receipt_base or self.base_url}/{_app_of(task.endpoint)}/requests/{task.id}"
        return {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}

    def _ending(self, task: Task) -> tuple[int, dict[str, Any]]:
        if task.cancelled:
            return 499, {"detail": "Request was cancelled", "error_type": "client_cancelled"}
        match task.script.outcome:
            case "ok":
                return 200, {
                    "video": {
                        "url": f"{self.base_url}/files/{task.id}/output.mp4",
                        "content_type": "video/mp4",
                        "file_name": "output.mp4",
                        "file_size": 1,
                    },
                    "seed": 42,
                }
            case "moderated":
                return 422, {"detail": [MODERATED | {"input": task.body.get("prompt")}]}
            case "invalid":
                told = {
                    "loc": ["body", "image_url"],
                    "msg": "Could not load the image",
                    "type": "file_download_error",
                }
                return 422, {"detail": [told]}
            case "crashed" | "expired":
                return 500, {"detail": "Internal server error"}

    def callback_body(self, task: Task) -> bytes:
        """The body of this task's callback."""
        status, told = self._ending(task)
        outcome: dict[str, Any] = {"status": "OK", "payload": told}
        if status != 200:
            outcome = {"status": "ERROR", "error": f"Invalid status code: {status}", "payload": told}
        return json.dumps({"request_id": task.id, "gateway_request_id": task.id} | outcome).encode()

    def callback_headers(
        self, body: bytes, *, at: float | None = None, request_id: str = "r"
    ) -> dict[str, str]:
        """Headers that sign this body as fal does; `at` is a Unix time."""
        signed_at = str(int(time.time() if at is None else at))
        message = "\n".join((request_id, USER_ID, signed_at, hashlib.sha256(body).hexdigest()))
        return {
            "x-fal-webhook-request-id": request_id,
            "x-fal-webhook-user-id": USER_ID,
            "x-fal-webhook-timestamp": signed_at,
            "x-fal-webhook-signature": self.signing_key.sign(message.encode()).hex(),
        }

    async def call_back(self, task: Task) -> int | None:
        """POST this task's callback now; the receiver's status, None when it could not be reached."""
        assert task.callback_url is not None
        body = self.callback_body(task)
        headers = self.callback_headers(body, request_id=task.id) | {"Content-Type": "application/json"}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.post(task.callback_url, data=body, headers=headers) as response,
            ):
                return response.status
        except aiohttp.ClientError:
            return None

    async def _call_back_at_end(self, task: Task) -> None:
        script = task.script
        await asyncio.sleep(script.queue_seconds + script.render_seconds)
        if script.queue_polls + script.render_polls:
            await task.ended.wait()
        await self.call_back(task)


def _wrong_list_query(query: Mapping[str, str]) -> str | None:
    if unknown := set(query) - {"endpoint_id", "start", "end", "status", "limit", "cursor", "expand"}:
        return f"Unknown query: {sorted(unknown)}"
    if not 1 <= int(query.get("limit", "50")) <= 100:
        return "limit is 1 to 100"
    if "cursor" in query and _place_of(query["cursor"]) is None:
        return "cursor is none of ours"
    return None


def _cursor(place: int) -> str:
    return base64.b64encode(f"p={place}".encode()).decode()


def _place_of(cursor: str | None) -> int | None:
    """The number that a cursor of ours holds; None for anything else."""
    try:
        return int(base64.b64decode(cursor or "", validate=True).decode().removeprefix("p="))
    except ValueError:
        return None


def _platform_error(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"error": {"type": kind, "message": message}}, status=status)


def _app_of(endpoint: str) -> str:
    parts = endpoint.split("/")
    return "/".join(parts[: 3 if parts[0] in ("workflows", "comfy") else 2])


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
