"""Vidu's enterprise API: tasks carry a text of ours, which tells them apart in the list and in callbacks."""

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
from fairstack_server.providers.file_urls import file_urls
from fairstack_server.providers.http import SUBMIT, Answer, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.list_search import next_number, search_list
from fairstack_server.providers.verdicts import (
    CANCELLED,
    FORGOTTEN,
    MODERATED,
    clip_url,
    number_in,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

ADDRESS = "https://api.vidu.com"
LISTED = 100
_TASKS = "/ent/v2/tasks"

#: Vidu's words for what went wrong: `reason` of a refusal, `err_code` of a task that failed.
_MODERATION = frozenset({"TaskPromptPolicyViolation", "AuditSubmitIllegal", "CreationPolicyViolation"})
_STOPPED = frozenset({"UserCancelled", "Canceled"})
_NO_ROOM = frozenset({"QuotaExceeded", "TooManyRequests", "SystemThrottling"})
_NO_CREDIT = "CreditInsufficient"
_UNKNOWN_TASK = "TaskNotFound"


class Vidu:
    """Vidu's tasks. Class C: no idempotency key, but a list of recent ones with the `payload` of each."""

    name = "vidu"
    submit_class = SubmitClass.C

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"Authorization": f"Token {key}"})
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once; the route's endpoint is the path, our nonce its `payload`."""
        urls = await file_urls(order)
        body = build_body(order, lambda file: urls[file.path]) | {"payload": order.nonce}
        if order.callback_url:
            body["callback_url"] = order.callback_url
        answer = await self._http.post_json(order.endpoint, body)
        told = answer.json_object() or {}
        if answer.ok and (task_id := _id_of(told)):
            return Submission(self._ref(task_id))
        return self._not_taken(answer, told)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task."""
        task = await self._task(ref, "a status call")
        if task is None:
            return FORGOTTEN
        match task.get("state"):
            case "created" | "queueing":
                return Pending(started=False)
            case "processing":
                return Pending(started=True)
            case "success":
                return Succeeded(ClipAt(url=clip_url(self._http, _first_url(task), "a status call")))
            case "failed":
                return self._failed(_word(task, "err_code"))
            case other:
                raise unknown_status(self._http, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Ask Vidu to stop; stopped is only what the task itself then says, for not every task can be."""
        if isinstance(await self.poll(ref), Succeeded | Failed):
            return CancelOutcome.TOO_LATE
        task_id = text_of(ref, "id", self.name)
        answer = await self._http.ask_json(f"{self._path(task_id)}/cancel", {"id": task_id})
        if not answer.ok and not (answer.status in (400, 404) and answer.is_refusal):
            raise self._http.broken(answer, "a cancel")
        match await self.poll(ref):
            case Failed("cancelled"):
                return CancelOutcome.STOPPED
            case Succeeded() | Failed():
                return CancelOutcome.TOO_LATE
            case Pending():
                return CancelOutcome.REQUESTED if answer.ok else CancelOutcome.TOO_LATE

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The recent tasks whose `payload` is this order's nonce."""

        async def read_page(number: int) -> tuple[list[JSON], int | None]:
            query = {"created_at.from": timestamp(since), "pager.page": str(number)}
            answer = await self._http.get(_TASKS, query | {"pager.pagesz": str(LISTED)})
            listed = (answer.json_object() or {}).get("tasks")
            if not answer.ok or not isinstance(listed, list):
                raise self._http.broken(answer, "a list call")
            return listed, next_number(number, listed, LISTED)

        ids = await search_list(read_page, 0, lambda entry: _match(entry, order.nonce))
        return [self._ref(task_id) for task_id in ids]

    async def check_key(self) -> KeyCheck:
        """Ask for the credits that are left in each kind of package."""
        answer = await self._http.get("/ent/v2/credits")
        told = answer.json_object() or {}
        remains = told.get("remains")
        if not answer.ok or not isinstance(remains, list):
            return failed_check(self._http, answer, _words_of(told))
        packages = [package for package in remains if isinstance(package, dict)]
        # A package of places takes orders for as long as it lasts, whatever credits it shows.
        if any(package.get("type") == "concurrent" for package in packages):
            return working_key()
        return working_key(sum(number_in(package, "credit_remain") or 0 for package in packages))

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref of the task that a callback names, if it is this order's: it is read again here.

        Vidu signs neither the body nor the task's id, so its signature would prove nothing of either.
        """
        told = request.told()
        task_id = _id_of(told) if isinstance(told, dict) else None
        if task_id is None:
            return None
        ref = self._ref(task_id)
        task = await self._task(ref, "a look-up")
        return ref if task is not None and task.get("payload") in (None, "", request.nonce) else None

    async def _task(self, ref: Ref, doing: str) -> JSONObject | None:
        """The task's record; None when Vidu knows none."""
        answer = await self._http.get(f"{self._path(text_of(ref, 'id', self.name))}/creations")
        told = answer.json_object() or {}
        if told.get("reason") == _UNKNOWN_TASK or (answer.status == 404 and answer.is_refusal):
            return None
        if not answer.ok or not told:
            raise self._http.broken(answer, doing)
        return told

    def _not_taken(self, answer: Answer, told: JSONObject) -> Failed | RateLimitedUpstream:
        """What an answer to a submit means that names no task; by Vidu's word for it, whatever the status."""
        reason = _word(told, "reason")
        if answer.ok or answer.is_refusal:
            if reason in _MODERATION:
                return MODERATED
            if reason in _NO_ROOM or answer.status == 429:
                return RateLimitedUpstream(answer.retry_after_seconds())
            if reason == _NO_CREDIT:
                said = f"{self.name}: a submit was refused: our account there has no credit"
                raise ProviderError(said, sent=False, permanent=True, fault=Fault.CREDIT)
        if answer.status in (400, 413, 422) and answer.is_refusal:
            return refused(self._http, _words_of(told))
        if answer.ok:
            raise self._http.malformed(SUBMIT)
        raise self._http.broken(answer, SUBMIT)

    def _failed(self, code: str) -> Failed:
        if code in _MODERATION:
            return MODERATED
        return CANCELLED if code in _STOPPED else render_failed(self._http, code)

    def _ref(self, task_id: str) -> Ref:
        return {"id": task_id, "submitted_at": timestamp(self._clock.now())}

    def _path(self, task_id: str) -> str:
        return f"{_TASKS}/{quote(task_id, safe='')}"


def _id_of(told: JSONObject) -> str | None:
    """A task's id: `task_id` where it was made, `id` in its record, the list and callbacks."""
    found = told.get("task_id") or told.get("id")
    return found if isinstance(found, str) and found else None


def _match(entry: JSON, nonce: str) -> str | None:
    return _id_of(entry) if isinstance(entry, dict) and entry.get("payload") == nonce else None


def _first_url(task: JSONObject) -> JSON:
    creations = task.get("creations")
    first = creations[0] if isinstance(creations, list) and creations else None
    return first.get("url") if isinstance(first, dict) else None


def _word(told: JSONObject, name: str) -> str:
    """Vidu's word at this field; an empty one when there is none."""
    value = told.get(name)
    return value if isinstance(value, str) else ""


def _words_of(told: JSONObject) -> JSON:
    """Vidu's explanation: its message, else its word for the reason."""
    return told.get("message") or told.get("reason")
