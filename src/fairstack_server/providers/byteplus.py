"""BytePlus ModelArk (Seedance): tasks whose content is a list of typed parts, with unsigned callbacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    CallbackRequest,
    CancelOutcome,
    ClipAt,
    ClipFacts,
    Failed,
    Fault,
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
from fairstack_server.providers.content_parts import content_parts
from fairstack_server.providers.file_urls import file_urls
from fairstack_server.providers.http import SUBMIT, Answer, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.list_search import next_number, older_than, search_list
from fairstack_server.providers.verdicts import (
    CANCELLED,
    EXPIRED,
    FORGOTTEN,
    MODERATED,
    clip_url,
    mentions,
    number_in,
    object_in,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

ADDRESS: Final = "https://ark.ap-southeast.bytepluses.com"
LISTED = 500
_TASKS: Final = "/api/v3/contents/generations/tasks"
_MODERATION_CODES = ("sensitivecontent", "riskdetection", "policyviolation")
_NO_CREDIT = "AccountOverdueError"


class BytePlus:
    """ModelArk's tasks. Class B: every record repeats `safety_identifier`, which holds our nonce."""

    name = "byteplus"
    submit_class = SubmitClass.B

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"Authorization": f"Bearer {key}"})
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once; the route's endpoint is the path."""
        answer = await self._http.post_json(order.endpoint, await self._body(order))
        told = answer.json_object() or {}
        if answer.ok:
            task_id = told.get("id")
            if not isinstance(task_id, str) or not task_id:
                raise self._http.malformed(SUBMIT)
            return Submission(self._ref(task_id))
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        error = object_in(told, "error")
        if answer.status in (400, 413, 422) and answer.is_refusal and error.get("code") != _NO_CREDIT:
            return MODERATED if _is_moderation(error) else refused(self._http, error.get("message"))
        raise self._broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task."""
        task = await self._task(ref, "a status call")
        if task is None:
            return FORGOTTEN
        match task.get("status"):
            case "queued":
                return Pending(started=False)
            case "running":
                return Pending(started=True)
            case "succeeded":
                return self._clip(task)
            case "failed":
                error = object_in(task, "error")
                return MODERATED if _is_moderation(error) else render_failed(self._http, error.get("message"))
            case "cancelled" | "canceled":
                return CANCELLED
            case "expired":
                return EXPIRED
            case other:
                raise unknown_status(self._http, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Delete the task while it is queued: nothing stops a running one, and an ended one would be lost."""
        task = await self._task(ref, "a status call")
        if task is None or task.get("status") != "queued":
            return CancelOutcome.TOO_LATE
        answer = await self._http.delete(self._path(ref))
        if answer.ok:
            return CancelOutcome.STOPPED
        if answer.status in (400, 403, 404, 409) and answer.json_object() is not None:
            return CancelOutcome.TOO_LATE
        raise self._broken(answer, "a cancel")

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The recent task of this model whose record repeats the order's nonce."""
        model = order.fixed.get("model")
        of_model = {"filter.model": model} if isinstance(model, str) else {}

        async def read_page(number: int) -> tuple[list[JSON], int | None]:
            query = {"page_num": str(number), "page_size": str(LISTED)}
            answer = await self._http.get(_TASKS, query | of_model)
            listed = (answer.json_object() or {}).get("items")
            if not answer.ok or not isinstance(listed, list):
                raise self._broken(answer, "a list call")
            return listed, next_number(number, listed, LISTED)

        is_old = older_than(since, "created_at")
        ids = await search_list(read_page, 1, lambda entry: _match(entry, order.nonce), is_old)
        return [self._ref(task_id) for task_id in ids]

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref of the task that a callback names, if it is this order's: it is read again here."""
        match request.told():
            case {"id": str(task_id)} if task_id:
                ref = self._ref(task_id)
                task = await self._task(ref, "a look-up")
                ours = task is not None and task.get("safety_identifier") in (None, request.nonce)
                return ref if ours else None
            case _:
                return None

    async def check_key(self) -> KeyCheck:
        """Ask for a list of one task."""
        answer = await self._http.get(_TASKS, {"page_num": "1", "page_size": "1"})
        told = answer.json_object() or {}
        if answer.ok and isinstance(told.get("items"), list):
            return working_key()
        error = object_in(told, "error")
        if answer.is_refusal and error.get("code") == _NO_CREDIT:
            return working_key(credits_left=0)
        return failed_check(self._http, answer, error.get("message"))

    async def _body(self, order: Order) -> JSONObject:
        urls = await file_urls(order)
        body = build_body(order, lambda file: urls[file.path])
        body |= {"content": content_parts(object_in(body, "content")), "safety_identifier": order.nonce}
        return body | ({"callback_url": order.callback_url} if order.callback_url else {})

    async def _task(self, ref: Ref, doing: str) -> JSONObject | None:
        """The task; None when ModelArk knows none (it keeps them for seven days)."""
        answer = await self._http.get(self._path(ref))
        if answer.status == 404 and answer.is_refusal:
            return None
        task = answer.json_object()
        if not answer.ok or task is None:
            raise self._broken(answer, doing)
        return task

    def _clip(self, task: JSONObject) -> Succeeded:
        url = clip_url(self._http, object_in(task, "content").get("video_url"), "a status call")
        seed = number_in(task, "seed")
        facts = ClipFacts(
            duration_seconds=number_in(task, "duration"),
            fps=number_in(task, "framespersecond"),
            seed=None if seed is None else int(seed),
        )
        return Succeeded(ClipAt(url=url), facts)

    def _broken(self, answer: Answer, doing: str) -> ProviderError:
        code = object_in(answer.json_object() or {}, "error").get("code")
        if code == _NO_CREDIT and answer.is_refusal:
            said = f"{self.name}: {doing} was refused: our account there has no credit"
            return ProviderError(said, sent=False, permanent=True, fault=Fault.CREDIT)
        return self._http.malformed(doing) if answer.ok else self._http.broken(answer, doing)

    def _ref(self, task_id: str) -> Ref:
        return {"id": task_id, "submitted_at": timestamp(self._clock.now())}

    def _path(self, ref: Ref) -> str:
        return f"{_TASKS}/{quote(text_of(ref, 'id', self.name), safe='')}"


def _is_moderation(error: JSONObject) -> bool:
    # InputTextSensitiveContentDetected, InputImageRiskDetection, OutputVideoSensitiveContentDetected …
    return mentions(error.get("code"), _MODERATION_CODES)


def _match(entry: JSON, nonce: str) -> str | None:
    match entry:
        case {"id": str(task_id), "safety_identifier": str(ours)} if ours == nonce:
            return task_id
        case _:
            return None
