"""Replicate: predictions of official models (`owner/name`) and of versions (`owner/name:version`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote, urlencode, urlsplit

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    CallbackRequest,
    CancelOutcome,
    ClipAt,
    Failed,
    KeyCheck,
    Order,
    Pending,
    RateLimitedUpstream,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)
from fairstack_server.providers.body import build_body
from fairstack_server.providers.file_urls import file_urls
from fairstack_server.providers.http import SUBMIT, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.list_search import search_list
from fairstack_server.providers.signed_callbacks import CallbackSecret
from fairstack_server.providers.verdicts import (
    CANCELLED,
    FORGOTTEN,
    MODERATED,
    clip_url,
    holds,
    is_since,
    mentions,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

ADDRESS = "https://api.replicate.com"
_MODERATION_WORDS = (
    "nsfw",
    "flagged as sensitive",
    "moderation",
    "content policy",
    "safety filter",
    "(e005)",
)
_GONE = Failed("expired", "The provider has deleted the clip before it could be fetched.")


class Replicate:
    """Replicate's predictions. Class C: no idempotency key, but a list of recent ones with their inputs."""

    name = "replicate"
    submit_class = SubmitClass.C

    def __init__(self, sessions: Sessions, token: str, address: str, clock: Clock) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = ProviderHttp(self.name, sessions, address, headers=headers)
        self._secret = CallbackSecret(self._http, "/v1/webhooks/default/secret", clock)
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the prediction, once; Replicate calls `callback_url` when it ends."""
        model, _, version = order.endpoint.partition(":")
        body: JSONObject = {"version": version} if version else {}
        body["input"] = await self._input(order)
        if order.callback_url:
            body |= {"webhook": order.callback_url, "webhook_events_filter": ["completed"]}
        path = "/v1/predictions" if version else f"/v1/models/{model}/predictions"
        answer = await self._http.post_json(path, body)
        told = answer.json_object() or {}
        if answer.ok:
            prediction_id = told.get("id")
            if not isinstance(prediction_id, str) or not prediction_id:
                raise self._http.malformed(SUBMIT)
            return Submission(self._ref(prediction_id))
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 413, 422) and answer.is_refusal:
            return MODERATED if mentions(told.get("detail"), _MODERATION_WORDS) else self._refused(told)
        raise self._http.broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the prediction."""
        answer = await self._http.get(self._path(ref))
        if answer.status == 404 and answer.is_refusal:
            return FORGOTTEN
        prediction = answer.json_object()
        if not answer.ok or prediction is None:
            raise self._http.broken(answer, "a status call")
        match prediction.get("status"):
            case "starting":
                return Pending(started=False)
            case "processing":
                return Pending(started=True)
            case "succeeded":
                return self._clip(prediction)
            case "failed":
                return self._failed(prediction.get("error"))
            case "canceled" | "aborted":
                return CANCELLED
            case other:
                raise unknown_status(self._http, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Stop the prediction; the answer tells how it stands."""
        answer = await self._http.post(f"{self._path(ref)}/cancel")
        match (answer.json_object() or {}).get("status"):
            case "canceled" | "aborted" if answer.ok:
                return CancelOutcome.STOPPED
            case "succeeded" | "failed" if answer.ok:
                return CancelOutcome.TOO_LATE
            case str() if answer.ok:
                return CancelOutcome.REQUESTED
            case _ if answer.is_refusal and answer.status not in (401, 403, 429):
                return CancelOutcome.TOO_LATE
            case _:
                raise self._http.broken(answer, "a cancel")

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The recent predictions of this model with exactly this input."""
        wanted = await self._input(order)
        first = urlencode({"created_after": timestamp(since)})
        ids = await search_list(self._page, first, lambda entry: _match(entry, order, wanted, since))
        return [self._ref(prediction_id) for prediction_id in ids]

    async def check_key(self) -> KeyCheck:
        """Ask whose token it is, as `accounts.current()` of Replicate's client does."""
        answer = await self._http.get("/v1/account")
        told = answer.json_object() or {}
        if answer.ok and isinstance(told.get("username"), str):
            return working_key()
        return failed_check(self._http, answer, told.get("detail"))

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref of the prediction in a signed callback; None when it is forged, stale or says nothing."""
        if not await self._secret.is_genuine(request):
            return None
        match request.told():
            case {"id": str(prediction_id)} if prediction_id:
                return self._ref(prediction_id)
            case _:
                return None

    async def _page(self, query: str) -> tuple[list[JSON], str | None]:
        """The predictions at this query, and the query of the next page, which is read at our own address."""
        answer = await self._http.get(f"/v1/predictions?{query}")
        told = answer.json_object() or {}
        listed, following = told.get("results"), told.get("next")
        if not answer.ok or not isinstance(listed, list):
            raise self._http.broken(answer, "a list call")
        return listed, urlsplit(following).query or None if isinstance(following, str) else None

    async def _input(self, order: Order) -> JSONObject:
        urls = await file_urls(order)
        return build_body(order, lambda file: urls[file.path])

    def _ref(self, prediction_id: str) -> Ref:
        return {"id": prediction_id, "submitted_at": timestamp(self._clock.now())}

    def _path(self, ref: Ref) -> str:
        return f"/v1/predictions/{quote(text_of(ref, 'id', self.name), safe='')}"

    def _clip(self, prediction: JSONObject) -> Succeeded | Failed:
        output = prediction.get("output")
        if output is None and prediction.get("data_removed") is True:
            return _GONE
        first = output[0] if isinstance(output, list) and output else output
        return Succeeded(ClipAt(url=clip_url(self._http, first, "a status call")))

    def _failed(self, error: JSON) -> Failed:
        return MODERATED if mentions(error, _MODERATION_WORDS) else render_failed(self._http, error)

    def _refused(self, told: JSONObject) -> Failed:
        fields = told.get("invalid_fields")
        complaints = fields if isinstance(fields, list) else []
        said = [entry.get("description") for entry in complaints if isinstance(entry, dict)]
        return refused(
            self._http, "; ".join(text for text in said if isinstance(text, str)) or told.get("detail")
        )


def _match(entry: JSON, order: Order, wanted: JSONObject, since: datetime) -> str | None:
    """The id of this prediction if it may be the wanted one: same model, same input, same callback."""
    if not isinstance(entry, dict) or not is_since(entry.get("created_at"), since):
        return None
    model, _, version = order.endpoint.partition(":")
    if entry.get("version") != version if version else entry.get("model") != model:
        return None
    if entry.get("webhook") not in (None, order.callback_url) or not holds(entry.get("input"), wanted):
        return None
    found = entry.get("id")
    return found if isinstance(found, str) else None
