"""fal.ai: its queue protocol (submit, status, result, cancel), its callbacks and its list of requests."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    CallbackRequest,
    CancelOutcome,
    ClipAt,
    ClipFacts,
    Failed,
    KeyCheck,
    Order,
    Pending,
    ProviderError,
    RateLimitedUpstream,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)
from fairstack_server.providers.body import build_body
from fairstack_server.providers.file_urls import file_urls
from fairstack_server.providers.http import SUBMIT, Answer, ProviderHttp, Sessions
from fairstack_server.providers.jwks import PublishedKeys
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.list_search import search_list
from fairstack_server.providers.verdicts import (
    CANCELLED,
    FORGOTTEN,
    MODERATED,
    detail_of,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

QUEUE_URL = "https://queue.fal.run"
API_URL = "https://api.fal.ai/v1"
KEYS_URL = "https://rest.fal.ai/.well-known/jwks.json"

CALLBACK_TOLERANCE_SECONDS = 300
LISTED = 100
#: A request that the queue does not know this soon after its submit may not have reached every machine there.
NEW_REQUEST_SECONDS = 60
_REQUESTS = "/models/requests/by-endpoint"
_NAMESPACES = ("workflows", "comfy")
#: The endpoint of fal's own examples, whose price is asked for to check a key.
_PRICED_ENDPOINT = "fal-ai/flux/dev"


@dataclass(frozen=True, slots=True)
class FalAddresses:
    """Where fal is reached: the queue, the platform API (list of requests), and the callback keys."""

    queue: str = QUEUE_URL
    api: str = API_URL
    keys: str = KEYS_URL

    @classmethod
    def all_under(cls, base_url: str) -> FalAddresses:
        """Every address under one base: a stand-in or a proxy that serves the three of them."""
        base = base_url.rstrip("/")
        return cls(queue=base, api=f"{base}/v1", keys=f"{base}/.well-known/jwks.json")


class Fal:
    """The queue of fal.ai. Class C: no idempotency key, but a list of recent requests with their inputs."""

    name = "fal"
    submit_class = SubmitClass.C

    def __init__(self, sessions: Sessions, key: str, addresses: FalAddresses, clock: Clock) -> None:
        authorization = {"Authorization": f"Key {key}"}
        self._queue = ProviderHttp(self.name, sessions, addresses.queue, headers=authorization)
        self._api = ProviderHttp(self.name, sessions, addresses.api, headers=authorization)
        keys_base, _, keys_path = addresses.keys.partition("/.well-known/")
        keys_http = ProviderHttp(self.name, sessions, keys_base)
        self._keys = PublishedKeys(keys_http, f"/.well-known/{keys_path}", clock)
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Put the order into the queue, once; fal calls `callback_url` when it ends."""
        body = await self._body(order)
        query = {"fal_webhook": order.callback_url} if order.callback_url else None
        answer = await self._queue.post_json(f"/{order.endpoint}", body, query)
        if answer.ok:
            receipt = answer.json_object() or {}
            request_id = receipt.get("request_id")
            if not isinstance(request_id, str) or not request_id:
                raise self._queue.malformed(SUBMIT)
            return Submission(self._ref(order.endpoint, request_id, receipt))
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 422) and answer.is_refusal:
            return self._refused(answer, "refused")
        raise self._queue.broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the request's status and, once it is over, its result."""
        answer = await self._queue.get(_text(ref, "status_url"))
        if answer.status == 404 and answer.is_refusal:
            return self._unknown_request(ref)
        status = answer.json_object()
        if not answer.ok or status is None:
            raise self._queue.broken(answer, "a status call")
        match status.get("status"):
            case "IN_QUEUE":
                return Pending(started=False)
            case "IN_PROGRESS":
                return Pending(started=True)
            case "COMPLETED" if status.get("error") or status.get("error_type"):
                return await self._explain_failure(ref, status)
            case "COMPLETED":
                return await self._read_result(ref)
            case other:
                raise unknown_status(self._queue, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Take the request out of the queue; a render that has begun is only told that it may stop."""
        answer = await self._queue.put(_text(ref, "cancel_url"))
        match answer.status, (answer.json_object() or {}).get("status"):
            case 200, "OK":
                return CancelOutcome.STOPPED
            case 200 | 202, _:
                return CancelOutcome.REQUESTED
            case 400 | 404, _ if answer.is_refusal:
                return CancelOutcome.TOO_LATE
            case _:
                raise self._queue.broken(answer, "a cancel")

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The recent requests of this endpoint with exactly this body.

        fal does not say how soon its list shows a request, nor whether it shows unfinished ones: an empty
        answer proves nothing, and the callback stays the other way to a lost receipt.
        """
        body = await self._body(order)

        async def read_page(cursor: str) -> tuple[list[JSON], str | None]:
            query = {
                "endpoint_id": order.endpoint,
                "start": timestamp(since),
                "expand": "payloads",
                "limit": str(LISTED),
            }
            answer = await self._api.get(_REQUESTS, query | ({"cursor": cursor} if cursor else {}))
            told = answer.json_object() or {}
            listed, following = told.get("items"), told.get("next_cursor")
            if not answer.ok or not isinstance(listed, list):
                raise self._api.broken(answer, "a list call")
            return listed, following if isinstance(following, str) and following else None

        ids = await search_list(read_page, "", lambda entry: _match(entry, body, since))
        return [self._ref(order.endpoint, request_id, {}) for request_id in ids]

    async def check_key(self) -> KeyCheck:
        """Ask for a price, which fal's platform API tells only to valid keys (its reference, 2026)."""
        answer = await self._api.get("/models/pricing", {"endpoint_id": _PRICED_ENDPOINT})
        told = answer.json_object() or {}
        if answer.ok and isinstance(told.get("prices"), list):
            return working_key()
        error = told.get("error")
        said = error.get("message") if isinstance(error, dict) else told.get("detail")
        return failed_check(self._api, answer, said)

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref that a callback signed by fal names; None when it is forged, stale or says nothing."""
        if not await self._is_genuine(request):
            return None
        match request.told():
            # A request that fal retried has a new request_id; the queue knows it by the first.
            case {"gateway_request_id": str(request_id)} | {"request_id": str(request_id)} if request_id:
                return self._ref(endpoint, request_id, {})
            case _:
                return None

    async def _body(self, order: Order) -> JSONObject:
        urls = await file_urls(order)
        return build_body(order, lambda file: urls[file.path])

    def _ref(self, endpoint: str, request_id: str, receipt: Mapping[str, JSON]) -> Ref:
        """The receipt, with fal's own URLs where they are on our origin, else with those of its scheme."""
        request = f"{self._queue.base_url}/{_app_of(endpoint)}/requests/{quote(request_id, safe='')}"
        derived = {
            "status_url": f"{request}/status",
            "response_url": request,
            "cancel_url": f"{request}/cancel",
        }
        ref: Ref = {"id": request_id, "submitted_at": timestamp(self._clock.now())}
        for name, ours in derived.items():
            theirs = receipt.get(name)
            ref[name] = theirs if isinstance(theirs, str) and self._queue.is_ours(theirs) else ours
        return ref

    def _unknown_request(self, ref: Ref) -> Pending | Failed:
        age = self._clock.now() - datetime.fromisoformat(_text(ref, "submitted_at"))
        if age < timedelta(seconds=NEW_REQUEST_SECONDS):
            return Pending(started=False)
        return FORGOTTEN

    async def _read_result(self, ref: Ref) -> Pending | Succeeded | Failed:
        answer = await self._queue.get(_text(ref, "response_url"))
        if answer.ok:
            return self._clip(answer)
        if answer.status == 400 and "still in progress" in _detail_of(answer):
            return Pending(started=True)
        if answer.status == 404 and answer.is_refusal:
            return self._unknown_request(ref)
        # The runner's own 500 is the request's result; a gateway's 502 or 504 says nothing about it.
        if answer.json_object() is not None and answer.status in (400, 410, 413, 415, 422, 499, 500):
            return self._refused(answer, "render_failed")
        raise self._queue.broken(answer, "a result call")

    async def _explain_failure(self, ref: Ref, status: JSONObject) -> Pending | Succeeded | Failed:
        match status.get("error_type"):
            case "client_cancelled":
                return CANCELLED
            case "request_timeout" | "startup_timeout":
                return Failed("expired", "The provider did not start the render in time.")
            case _:
                pass
        try:
            result = await self._read_result(ref)
        except ProviderError:
            result = None
        if isinstance(result, Failed | Succeeded):
            return result
        return render_failed(self._queue, str(status.get("error") or status.get("error_type")))

    def _clip(self, answer: Answer) -> Succeeded:
        result = answer.json_object() or {}
        listed = result.get("videos")
        video = listed[0] if isinstance(listed, list) and listed else result.get("video")
        url = video.get("url") if isinstance(video, dict) else None
        if not isinstance(video, dict) or not isinstance(url, str) or not self._may_be_fetched(url):
            raise self._queue.malformed("a result call")
        return Succeeded(ClipAt(url=url), _facts(video, result))

    def _may_be_fetched(self, url: str) -> bool:
        return url.startswith("https://") or self._queue.is_ours(url)

    def _refused(self, answer: Answer, otherwise: str) -> Failed:
        body = answer.json_object() or {}
        kinds = {answer.headers.get("x-fal-error-type"), body.get("error_type")}
        detail = body.get("detail")
        entries = detail if isinstance(detail, list) else []
        kinds |= {
            entry.get("type") for entry in entries if isinstance(entry, dict) and _is_text(entry, "type")
        }
        if "content_policy_violation" in kinds:
            return MODERATED
        if "client_cancelled" in kinds:
            return CANCELLED
        said = _detail_of(answer)
        return refused(self._queue, said) if otherwise == "refused" else render_failed(self._queue, said)

    async def _is_genuine(self, request: CallbackRequest) -> bool:
        headers = request.headers
        signed_at = headers.get("x-fal-webhook-timestamp", "")
        try:
            signature = binascii.unhexlify(headers.get("x-fal-webhook-signature", ""))
            moment = datetime.fromtimestamp(int(signed_at), UTC)
        except (ValueError, OverflowError, OSError):
            return False
        if abs((self._clock.now() - moment).total_seconds()) > CALLBACK_TOLERANCE_SECONDS:
            return False
        lines = (
            headers.get("x-fal-webhook-request-id", ""),
            headers.get("x-fal-webhook-user-id", ""),
            signed_at,
            hashlib.sha256(request.body).hexdigest(),
        )
        return await self._keys.verify("\n".join(lines).encode(), signature)


def _app_of(endpoint: str) -> str:
    """The app that owns a request's URLs: owner and name, with the namespace where there is one."""
    parts = endpoint.split("/")
    return "/".join(parts[: 3 if parts[0] in _NAMESPACES else 2])


def _match(entry: JSON, body: JSONObject, since: datetime) -> str | None:
    match entry:
        case {"request_id": str(request_id), "sent_at": str(sent_at), "json_input": dict(sent)} if (
            sent == body
        ):
            try:
                return request_id if datetime.fromisoformat(sent_at) >= since else None
            except (ValueError, TypeError):
                return None
        case _:
            return None


def _detail_of(answer: Answer) -> str:
    """fal's explanation as text."""
    return detail_of(answer.json_object() or {}) or f"HTTP {answer.status}"


def _facts(video: Mapping[str, JSON], rest: Mapping[str, JSON]) -> ClipFacts:
    return ClipFacts(
        width=_whole(video.get("width")),
        height=_whole(video.get("height")),
        duration_seconds=_number(video.get("duration")),
        fps=_number(video.get("fps")),
        seed=_whole(rest.get("seed")),
    )


def _whole(value: JSON) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: JSON) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_text(entry: Mapping[str, JSON], name: str) -> bool:
    return isinstance(entry.get(name), str)


def _text(ref: Ref, name: str) -> str:
    return text_of(ref, name, Fal.name)
