"""Luma Dream Machine: generations, whose callbacks are unsigned and therefore only ever a reason to look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

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
from fairstack_server.providers.list_search import older_than, search_list
from fairstack_server.providers.verdicts import (
    FORGOTTEN,
    MODERATED,
    clip_url,
    detail_of,
    holds,
    is_since,
    mentions,
    number_in,
    object_in,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

ADDRESS = "https://api.lumalabs.ai"
LISTED = 100
_GENERATIONS = "/dream-machine/v1/generations"
_CREDITS = "/dream-machine/v1/credits"
_MODERATION_WORDS = ("moderation", "content policy")


class Luma:
    """Luma's generations. Class C: no idempotency key, but a list of recent ones with their requests."""

    name = "luma"
    submit_class = SubmitClass.C

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"Authorization": f"Bearer {key}"})
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the generation, once; the route's endpoint is the path."""
        answer = await self._http.post_json(order.endpoint, await self._body(order))
        told = answer.json_object() or {}
        if answer.ok:
            generation_id = told.get("id")
            if not isinstance(generation_id, str) or not generation_id:
                raise self._http.malformed(SUBMIT)
            return Submission(self._ref(generation_id))
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 413, 422) and answer.is_refusal:
            said = detail_of(told)
            return MODERATED if mentions(said, _MODERATION_WORDS) else refused(self._http, said)
        raise self._http.broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the generation."""
        answer = await self._http.get(self._path(ref))
        if answer.status == 404 and answer.is_refusal:
            return FORGOTTEN
        generation = answer.json_object()
        if not answer.ok or generation is None:
            raise self._http.broken(answer, "a status call")
        match generation.get("state"):
            case "queued":
                return Pending(started=False)
            case "dreaming":
                return Pending(started=True)
            case "completed":
                url = object_in(generation, "assets").get("video")
                return Succeeded(ClipAt(url=clip_url(self._http, url, "a status call")))
            case "failed":
                said = generation.get("failure_reason")
                return MODERATED if mentions(said, _MODERATION_WORDS) else render_failed(self._http, said)
            case other:
                raise unknown_status(self._http, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Delete the generation unless it is over: a clip that exists is never thrown away."""
        if isinstance(await self.poll(ref), Succeeded | Failed):
            return CancelOutcome.TOO_LATE
        answer = await self._http.delete(self._path(ref))
        if answer.ok:
            return CancelOutcome.STOPPED
        if answer.status in (400, 404, 409) and answer.is_refusal:
            return CancelOutcome.TOO_LATE
        raise self._http.broken(answer, "a cancel")

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The recent generations with this request; the callback's path in it tells equal orders apart."""
        wanted = await self._body(order)
        is_old = older_than(since, "created_at")
        ids = await search_list(self._page, 0, lambda entry: _match(entry, wanted, since), is_old)
        return [self._ref(generation_id) for generation_id in ids]

    async def check_key(self) -> KeyCheck:
        """Ask for the credits that are left, as `credits.get()` of Luma's client does."""
        answer = await self._http.get(_CREDITS)
        told = answer.json_object() or {}
        credits_left = number_in(told, "credit_balance")
        if answer.ok and credits_left is not None:
            return working_key(credits_left)
        return failed_check(self._http, answer, detail_of(told))

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref of the generation that a callback names, if it is this order's: it is read again here."""
        match request.told():
            case {"id": str(generation_id)} if generation_id:
                ref = self._ref(generation_id)
                return ref if await self._is_called_back_at(ref, request.nonce) else None
            case _:
                return None

    async def _page(self, offset: int) -> tuple[list[JSON], int | None]:
        answer = await self._http.get(_GENERATIONS, {"limit": str(LISTED), "offset": str(offset)})
        told = answer.json_object() or {}
        listed = told.get("generations")
        if not answer.ok or not isinstance(listed, list):
            raise self._http.broken(answer, "a list call")
        return listed, offset + len(listed) if told.get("has_more", len(listed) >= LISTED) else None

    async def _is_called_back_at(self, ref: Ref, nonce: str) -> bool:
        """Whether Luma has this generation, and does not call another attempt's path for it."""
        answer = await self._http.get(self._path(ref))
        if answer.status == 404 and answer.is_refusal:
            return False
        generation = answer.json_object()
        if not answer.ok or generation is None:
            raise self._http.broken(answer, "a look-up")
        called = object_in(generation, "request").get("callback_url")
        return not isinstance(called, str) or called.endswith(f"/{nonce}")

    async def _body(self, order: Order) -> JSONObject:
        urls = await file_urls(order)
        body = build_body(order, lambda file: urls[file.path])
        if keyframes := object_in(body, "keyframes"):
            # A route's fixed fields name the type of frames that this order may not have.
            body["keyframes"] = {
                name: {"type": "image", **frame}
                for name, frame in keyframes.items()
                if isinstance(frame, dict) and "url" in frame
            }
        return body | ({"callback_url": order.callback_url} if order.callback_url else {})

    def _ref(self, generation_id: str) -> Ref:
        return {"id": generation_id, "submitted_at": timestamp(self._clock.now())}

    def _path(self, ref: Ref) -> str:
        return f"{_GENERATIONS}/{quote(text_of(ref, 'id', self.name), safe='')}"


def _match(entry: JSON, wanted: JSONObject, since: datetime) -> str | None:
    """The id of this generation if it may be the wanted one: same request, and no other callback."""
    match entry:
        case {"id": str(found), "created_at": created_at, "request": dict(sent)}:
            # A list that does not show where it calls says nothing against an order.
            called = sent.get("callback_url") or wanted.get("callback_url")
            same = holds(sent | {"callback_url": called}, wanted)
            return found if same and is_since(created_at, since) else None
        case _:
            return None
