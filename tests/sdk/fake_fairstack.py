"""The rules of a small, strict FairStack: it keeps the contract and keeps books."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.sdk.clocks import FakeClock

API_KEY = "fs_test_fake0000000000000000000000000000key"
CLIP = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(range(256)) * 64
REQUEST_FIELDS = {
    "model", "prompt", "image", "duration", "aspect_ratio", "resolution", "webhook_url", "confirm",
    "negative_prompt", "seed", "end_image", "images", "audio", "video", "audio_url", "options", "tags",
    "max_cost_micro", "cancel_after",
}  # fmt: skip
PRICES = {"wan-2-1-t2v": 48_000, "kling-2-1-std-i2v": 280_000, "local-scene-t2v": 0, "local-parallax-i2v": 0}
#: What goes wrong with one request: before it is done, after it is done, or instead of it.
Fault = Literal[
    "drop_before", "drop_after", "reset", "cut_body", "truncated_json",
    "429", "500", "502_page", "503", "408", "in_flight", "no_answer", "200_page", "302",
]  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Books:
    """What the server did, and what it shall do next."""

    clock: FakeClock
    asked: list[Asked] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    looks: dict[str, int] = field(default_factory=dict)
    answered: dict[str, tuple[bytes, int, bytes]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    file_types: dict[str, str] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: deque[tuple[str, Fault]] = field(default_factory=deque)
    balance_micros: int = 100_000_000
    looks_until_done: int = 1
    clip: bytes = CLIP
    event_cuts: int = 0
    longest_seconds: float | None = 900
    retry_after: str = "1"

    def of(self, path: str, method: str | None = None) -> list[Asked]:
        """The requests to this path."""
        return [a for a in self.asked if a.path.startswith(path) and method in (None, a.method)]

    def submits(self) -> list[Asked]:
        """The requests that wanted a clip made."""
        posts = self.of("/v1/generations/video", "POST")
        return [a for a in posts if a.json.get("confirm") is not False]

    def fault_for(self, path: str) -> Fault | None:
        """The fault that waits for this path, used up by asking."""
        if self.faults and path.startswith(self.faults[0][0]):
            return self.faults.popleft()[1]
        return None


class Refusal(Exception):
    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"code": code, "message": message, "status": status, "request_id": "req_fake"} | more


def display(micros: int) -> str:
    """Dollars with at least two decimals."""
    whole, rest = divmod(micros, 1_000_000)
    return f"${whole}.{f'{rest:06d}'.rstrip('0').ljust(2, '0')}"


def money(micros: int, currency: bool = False) -> dict[str, Any]:
    """An amount on the wire."""
    amount = {"micro": micros, "display": display(micros)}
    return amount | {"currency": "USD"} if currency else amount


class FakeFairStack:
    """The server's rules, without HTTP."""

    def __init__(self, books: Books) -> None:
        self.books = books
        self.base_url = ""
        self._lock = threading.Lock()

    def answer(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers of this request. Raises Refusal."""
        if asked.headers.get("authorization") != f"Bearer {API_KEY}" and asked.path != "/v1/models":
            raise Refusal(401, "authentication_error", "This key is not known here.")
        head, *rest = asked.path.removeprefix("/v1/").split("/")
        with self._lock:
            match asked.method, head, rest:
                case "POST", "generations", ["video"]:
                    return self._generate(asked)
                case "GET", "jobs", []:
                    return self._list(asked)
                case "GET", "jobs", [job_id]:
                    return self._look(job_id, asked)
                case "POST", "jobs", [job_id, "cancel"]:
                    return self._cancel(job_id)
                case "GET", "models", _:
                    return self._models(asked, rest)
                case (("GET" | "POST" | "PATCH" | "DELETE"), _, _):
                    return self._account(asked, head, rest)
        raise Refusal(404, "not_found", "There is no such path.")

    def _generate(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        key = asked.headers.get("idempotency-key")
        body = self._valid(asked.body)
        if key is not None and key in self.books.answered:
            first, status, answer = self.books.answered[key]
            if first != asked.body:
                raise Refusal(422, "idempotency_key_reused", f"The key {key} was used for another request.")
            return status, answer, {"Idempotent-Replayed": "true"}
        price = PRICES[body["model"]]
        if not body.get("confirm", True):
            return 200, as_json({"estimated_cost": money(price)}), {}
        if body.get("max_cost_micro", price) < price:
            raise Refusal(402, "cap_reached", f"It costs {display(price)}, over max_cost_micro.")
        if price > self.books.balance_micros:
            raise Refusal(
                402,
                "insufficient_credits",
                f"{display(price)} needed, {display(self.books.balance_micros)} there.",
            )
        if body["prompt"] == "test:content_filtered":
            raise Refusal(422, "content_filtered", "The prompt was refused.")
        job = {"id": f"job_{len(self.books.jobs) + 1:024d}", "status": "queued", "model": body["model"],
               "prompt": body["prompt"], "price": price}  # fmt: skip
        self.books.jobs[job["id"]] = job
        answer = as_json({"id": job["id"], "status": "queued", "estimated_cost": money(price)})
        if key is not None:
            self.books.answered[key] = (asked.body, 202, answer)
        return 202, answer, {"Location": f"/v1/jobs/{job['id']}"}

    def _valid(self, raw: bytes) -> dict[str, Any]:
        try:
            body = json.loads(raw)
        except ValueError:
            raise Refusal(400, "validation_error", "The body is not JSON.") from None
        for name in body:
            if name not in REQUEST_FIELDS:
                raise Refusal(400, "validation_error", f"There is no field {name!r}.", param=name)
        for name in ("model", "prompt"):
            if not isinstance(body.get(name), str) or not body[name]:
                raise Refusal(400, "validation_error", f"{name} must be text.", param=name)
        if body["model"] == "veo-3":
            raise Refusal(503, "model_unavailable", "veo-3 has no route: set GOOGLE_CLOUD_PROJECT.")
        if body["model"] not in PRICES:
            raise Refusal(400, "unknown_model", f"No model {body['model']!r}. Closest: wan-2-1-t2v.")
        if body["model"].endswith("i2v") and not body.get("image"):
            raise Refusal(400, "validation_error", "image is needed by this model.", param="image")
        if str(body.get("image", "")).startswith("file_") and body["image"] not in self.books.files:
            raise Refusal(400, "image_refused", "There is no such file.", param="image")
        if body.get("duration", 5) not in (3, 4, 5, 6, 7, 8, 9, 10):
            raise Refusal(
                400, "validation_error", "duration must be 3 to 10.", param="duration", allowed=[3, 10]
            )
        return dict(body)

    def _job(self, job_id: str) -> dict[str, Any]:
        if job_id not in self.books.jobs:
            raise Refusal(404, "not_found", f"There is no job {job_id}.")
        return self.books.jobs[job_id]

    def _look(self, job_id: str, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        job = self._job(job_id)
        self.books.looks[job_id] = self.books.looks.get(job_id, 0) + 1
        if job["status"] in ("queued", "processing"):
            self._advance(job)
        if job["status"] in ("queued", "processing"):
            wait = asked.query.get("wait", "0")
            if not wait.isdigit() or int(wait) > 60:
                raise Refusal(400, "validation_error", "wait must be 0 to 60.", param="wait")
            held = int(wait)
            self.books.clock.advance(held)
            return 200, as_json(self.view(job)), {"Retry-After": self.books.retry_after}
        return 200, as_json(self.view(job)), {}

    def _advance(self, job: dict[str, Any]) -> None:
        if self.books.looks[job["id"]] < self.books.looks_until_done:
            job["status"] = "processing"
        else:
            job["status"] = "failed" if job["prompt"].startswith("test:fail") else "completed"

    def view(self, job: dict[str, Any]) -> dict[str, Any]:
        """The job on the wire."""
        created = {"created_at": "2026-11-22T09:30:00.000Z"}
        ended = created | {"completed_at": "2026-11-22T09:30:05.000Z"}
        base = {"id": job["id"], "status": job["status"], "model": job["model"], "modality": "video"}
        free = {"cost": money(0, currency=True)}
        match job["status"]:
            case "queued" | "processing":
                looks = self.books.looks.get(job["id"], 0)
                progress = min(1.0, looks / max(self.books.looks_until_done, 1))
                return base | {"estimated_cost": money(job["price"]), "progress": progress} | created
            case "completed":
                url = f"{self.base_url}/media/{job['id']}/output.mp4"
                facts = {"width": 1280, "height": 720, "duration": 5, "fps": 24, "audio": False,
                         "bytes": len(CLIP), "sha256": hashlib.sha256(CLIP).hexdigest(),
                         "poster_url": None, "provenance": {}, "test": True}  # fmt: skip
                cost = money(job["price"], currency=True)
                return {"id": job["id"], "status": "completed", "url": url, "model": job["model"],
                        "modality": "video", "cost": cost, "metadata": facts} | ended  # fmt: skip
            case "failed":
                error = {"code": "generation_failed", "message": "The provider could not render it."}
                return base | free | {"error": error} | ended
            case _:
                return base | free | ended

    def _cancel(self, job_id: str) -> tuple[int, bytes, dict[str, str]]:
        job = self._job(job_id)
        if job["status"] not in ("queued", "processing"):
            raise Refusal(409, "job_not_cancellable", f"{job_id} is {job['status']}.")
        if job["prompt"].startswith("test:late"):
            return 200, as_json(self.view(job) | {"cancellation": "too_late"}), {}
        job["status"] = "cancelled"
        return 200, as_json(self.view(job) | {"cancellation": "stopped"}), {}

    def _list(self, asked: Asked) -> tuple[int, bytes, dict[str, str]]:
        limit, start = int(asked.query.get("limit", 20)), int(asked.query.get("cursor", 0))
        if not 1 <= limit <= 100:
            raise Refusal(400, "validation_error", "limit must be 1 to 100.", param="limit")
        found = [
            job
            for job in reversed(self.books.jobs.values())
            if job["status"] == asked.query.get("status", job["status"])
            and job["model"] == asked.query.get("model", job["model"])
        ]
        page, more = found[start : start + limit], len(found) > start + limit
        following = str(start + limit) if more else None
        items = [self.view(job) for job in page]
        return 200, as_json({"items": items, "has_more": more, "next_cursor": following}), {}

    def _models(self, asked: Asked, rest: list[str]) -> tuple[int, bytes, dict[str, str]]:
        all_models = [self._model(key) for key in PRICES]
        if not rest:
            fit = [m for m in all_models if m["type"] == asked.query.get("type", m["type"])]
            return 200, as_json({"models": fit, "total": len(fit)}), {}
        for model in all_models:
            if model["key"] == rest[0]:
                return 200, as_json(model), {}
        raise Refusal(404, "not_found", f"There is no model {rest[0]}.")

    def _model(self, key: str) -> dict[str, Any]:
        image = key.endswith("i2v")
        model: dict[str, Any] = {
            "key": key, "name": key.title(), "provider": "Maker", "modality": "video",
            "type": "i2v" if image else "t2v", "tier": "budget", "status": "active",
            "price": money(PRICES[key]) | {"unit": "clip"}, "pricing": [],
            "capabilities": {"durations": [5], "aspect_ratios": ["16:9"], "resolutions": ["720p"],
                             "audio": False, "image": "required" if image else "none",
                             "end_image": "none", "video": "none", "seed": True,
                             "negative_prompt": False, "sings": True},
            "parameters": {"type": "object"}, "quality_rank": 3, "typical_seconds": 30, "available": True,
            "aliases": [], "colour": "blue",
        }  # fmt: skip
        if self.books.longest_seconds is not None:
            model["longest_seconds"] = self.books.longest_seconds
        return model

    def _account(self, asked: Asked, head: str, rest: list[str]) -> tuple[int, bytes, dict[str, str]]:
        match asked.method, head, rest:
            case "GET", "credits", []:
                balance = money(self.books.balance_micros, currency=True)
                caps = {"account": None, "project": None, "key": None}
                return 200, as_json({"balance": balance, "held": money(0, currency=True), "caps": caps}), {}
            case "POST", "files", []:
                file_id = f"file_{len(self.books.files) + 1:024d}"
                self.books.files[file_id] = asked.body
                self.books.file_types[file_id] = asked.headers.get("content-type", "")
                file = {"id": file_id, "content_type": self.books.file_types[file_id]}
                size = {"bytes": len(asked.body), "created_at": "2026-11-22T09:30:00.000Z"}
                return 201, as_json(file | size), {}
            case "DELETE", "files", [file_id]:
                del self.books.files[file_id]
                return 204, b"", {}
            case "POST", "api-keys", []:
                made = {"id": f"key_{len(self.books.keys) + 1}", **asked.json, "prefix": "fs_live_abcd"}
                self.books.keys[made["id"]] = made
                return 201, as_json(made | {"key": "fs_live_secret"}), {}
            case "GET", "api-keys", []:
                return 200, as_json({"items": list(self.books.keys.values())}), {}
            case "PATCH", "api-keys", [key_id]:
                self.books.keys[key_id] |= asked.json
                return 200, as_json(self.books.keys[key_id]), {}
            case "DELETE", "api-keys", [key_id]:
                return 200, as_json(self.books.keys.pop(key_id)), {}
            case "GET", "usage", []:
                row = {"name": "wan-2-1-t2v", "jobs": 2, "cost": money(96_000, currency=True)}
                page = {"group_by": asked.query["group_by"], "items": [row], "total": row["cost"]}
                return 200, as_json(page), {}
            case "GET", "ledger", []:
                items = [{"id": "led_1", "kind": "grant", "amount": money(5_000_000), "job_id": None}]
                return 200, as_json({"items": items, "has_more": False, "next_cursor": None}), {}
        raise Refusal(404, "not_found", "There is no such path.")


def as_json(value: object) -> bytes:
    """Compact JSON, as the server writes it."""
    return json.dumps(value, separators=(",", ":")).encode()
