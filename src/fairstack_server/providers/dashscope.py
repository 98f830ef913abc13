"""Alibaba's DashScope (Wan): asynchronous tasks, read by their id; no callbacks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
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
from fairstack_server.providers.file_urls import file_urls, files_of
from fairstack_server.providers.http import SUBMIT, Answer, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.list_search import MOST_PAGES, next_number, older_than, search_list
from fairstack_server.providers.verdicts import (
    CANCELLED,
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

ADDRESS: Final = "https://dashscope-intl.aliyuncs.com"
LISTED = 50
#: Each finished task that a search looks at is a call of its own; so many of them are kept in memory.
REMEMBERED: Final = LISTED * MOST_PAGES
_TASKS: Final = "/api/v1/tasks"
#: A submit without it is refused: clips are made as tasks only.
_ASYNC: Final = {"X-DashScope-Async": "enable"}
_MODERATION_CODES = ("datainspectionfailed", "data_inspection_failed", "ipinfringementsuspect")
_NO_CREDIT_CODES = ("arrearage", "allocationquota.freetieronly")


class DashScope:
    """DashScope's tasks. Class C: a list of tasks, each of which repeats its prompt once it is done."""

    name = "dashscope"
    submit_class = SubmitClass.C

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"Authorization": f"Bearer {key}"})
        self._clock = clock
        self._reading = asyncio.Lock()
        self._read: dict[str, JSONObject] = {}

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once; the route's endpoint is the path."""
        answer = await self._http.post_json(order.endpoint, await self._body(order), headers=_ASYNC)
        told = answer.json_object() or {}
        if answer.ok:
            task_id = object_in(told, "output").get("task_id")
            if not isinstance(task_id, str) or not task_id:
                raise self._http.malformed(SUBMIT)
            return Submission(self._ref(task_id))
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 413, 422) and answer.is_refusal and not _is_unpaid(told):
            return MODERATED if _is_moderation(told) else refused(self._http, told.get("message"))
        raise self._broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task."""
        told = await self._task(text_of(ref, "id", self.name))
        output = object_in(told, "output")
        match output.get("task_status"):
            case "PENDING" | "SUSPENDED":
                return Pending(started=False)
            case "RUNNING":
                return Pending(started=True)
            case "SUCCEEDED":
                url = clip_url(self._http, output.get("video_url"), "a status call")
                seconds = number_in(object_in(told, "usage"), "duration")
                return Succeeded(ClipAt(url=url), ClipFacts(duration_seconds=seconds))
            case "FAILED":
                said = output.get("message")
                return MODERATED if _is_moderation(output) else render_failed(self._http, said)
            case "CANCELED":
                return CANCELLED
            case "UNKNOWN":
                # The word for a task that is gone: they are kept for a day.
                return FORGOTTEN
            case other:
                raise unknown_status(self._http, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Take the task out of the queue; DashScope refuses that for one that has begun."""
        answer = await self._http.post(f"{_path(text_of(ref, 'id', self.name))}/cancel")
        if answer.ok:
            return CancelOutcome.STOPPED
        if answer.status in (400, 404, 409) and answer.json_object() is not None:
            return CancelOutcome.TOO_LATE
        raise self._broken(answer, "a cancel")

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The finished tasks with this order's model and words; none for an order with files.

        No record shows the files, so the clip of somebody else's picture could be taken for this one's.
        """
        if files_of(order):
            return []
        body = await self._body(order)
        query = {"page_size": str(LISTED), "status": "SUCCEEDED"}
        if isinstance(model := body.get("model"), str):
            query["model_name"] = model

        async def read_page(number: int) -> tuple[list[JSON], int | None]:
            answer = await self._http.get(_TASKS, {"page_no": str(number)} | query)
            listed = (answer.json_object() or {}).get("data")
            if not answer.ok or not isinstance(listed, list):
                raise self._broken(answer, "a list call")
            return listed, next_number(number, listed, LISTED)

        is_old = older_than(since, "gmt_create", unit_seconds=0.001)
        ids = await search_list(read_page, 1, lambda entry: _recent(entry, since), is_old)
        return [self._ref(task_id) for task_id in ids if _agrees(await self._finished(task_id), body)]

    async def check_key(self) -> KeyCheck:
        """Ask for a list of one task."""
        answer = await self._http.get(_TASKS, {"page_no": "1", "page_size": "1"})
        told = answer.json_object() or {}
        if answer.ok and isinstance(told.get("data"), list):
            return working_key()
        if answer.is_refusal and _is_unpaid(told):
            return working_key(credits_left=0)
        return failed_check(self._http, answer, told.get("message"))

    async def _body(self, order: Order) -> JSONObject:
        urls = await file_urls(order)
        body = build_body(order, lambda file: urls[file.path])
        inputs = object_in(body, "input")
        if named := object_in(inputs, "media"):
            inputs["media"] = media_list(named)
        return body

    async def _task(self, task_id: str) -> JSONObject:
        answer = await self._http.get(_path(task_id))
        told = answer.json_object()
        if not answer.ok or told is None:
            raise self._broken(answer, "a status call")
        return told

    async def _finished(self, task_id: str) -> JSONObject:
        """A finished task, read once: it never changes, and every lost order asks for the same ones."""
        async with self._reading:
            if task_id not in self._read:
                if len(self._read) >= REMEMBERED:
                    del self._read[next(iter(self._read))]
                self._read[task_id] = await self._task(task_id)
            return self._read[task_id]

    def _broken(self, answer: Answer, doing: str) -> ProviderError:
        if answer.is_refusal and _is_unpaid(answer.json_object() or {}):
            said = f"{self.name}: {doing} was refused: our account there has no credit"
            return ProviderError(said, sent=False, permanent=True, fault=Fault.CREDIT)
        return self._http.malformed(doing) if answer.ok else self._http.broken(answer, doing)

    def _ref(self, task_id: str) -> Ref:
        return {"id": task_id, "submitted_at": timestamp(self._clock.now())}


def media_list(named: JSONObject) -> list[JSON]:
    """`{"first_frame": url, "reference_image": [url, …]}` as the list of typed media that Wan 2.7 takes."""
    return [
        {"type": kind, "url": url}
        for kind, value in named.items()
        for url in (value if isinstance(value, list) else [value])
    ]


def _path(task_id: str) -> str:
    return f"{_TASKS}/{quote(task_id, safe='')}"


def _is_moderation(told: JSONObject) -> bool:
    # Not InvalidParameter.DataInspection, which says that a file could not be fetched.
    return mentions(told.get("code"), _MODERATION_CODES)


def _is_unpaid(told: JSONObject) -> bool:
    return mentions(told.get("code"), _NO_CREDIT_CODES)


def _recent(entry: JSON, since: datetime) -> str | None:
    match entry:
        case {"task_id": str(task_id), "gmt_create": int(created_ms)} if (
            created_ms >= since.timestamp() * 1000
        ):
            return task_id
        case _:
            return None


def _agrees(task: JSONObject, body: JSONObject) -> bool:
    """Whether all that a finished task shows of its order is in this body."""
    usage, parameters = object_in(task, "usage"), object_in(body, "parameters")
    shown = [name for name in ("duration", "size") if name in usage and name in parameters]
    prompt = object_in(task, "output").get("orig_prompt")
    return prompt == object_in(body, "input").get("prompt") and all(
        usage[name] == parameters[name] for name in shown
    )
