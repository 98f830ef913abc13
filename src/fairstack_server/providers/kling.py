"""Kling's open platform: tasks that carry an id of ours, answered with HTTP 200 and a code of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    CallbackRequest,
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
from fairstack_server.providers.file_urls import files_of, url_or_base64
from fairstack_server.providers.http import SUBMIT, Answer, ProviderHttp, Sessions
from fairstack_server.providers.jwt import hs256
from fairstack_server.providers.key_checks import DOING, failed_check, refused_key, working_key
from fairstack_server.providers.list_search import next_number, older_than, search_list
from fairstack_server.providers.verdicts import (
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

ADDRESS = "https://api-singapore.klingai.com"
TOKEN_SECONDS = 1800
TOKEN_SLACK_SECONDS = 5
LISTED = 500
#: The tasks of this path are listed to check a key.
_ANY_TASKS = "/v1/videos/text2video"

#: Kling's codes. Whatever stands in none of these may hide a task that exists.
_OK, _UNKNOWN_TASK, _MODERATION = 0, 1203, 1301
_NO_ROOM = frozenset({1302, 1303})
_REFUSED = frozenset({1200, 1201, 1300})
_OUR_KEY = frozenset({1000, 1001, 1002, 1003, 1004, 1100, 1101, 1102, 1103})
_NO_CREDIT = frozenset({1101, 1102})
#: Our method, our path, our address: nothing that another try would change.
_OURS = frozenset({1202, 1203, 1304})
_MODERATION_WORDS = ("risk control", "moderation", "sensitive", "content policy")


class Kling:
    """Kling's tasks. Class B: `external_task_id` is our nonce, and finds the task again."""

    name = "kling"
    submit_class = SubmitClass.B

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        address: str,
        *,
        api_key: str = "",
        pair: tuple[str, str] = ("", ""),
    ) -> None:
        """With an API key, or with the pair of access key and secret key that tokens are signed with."""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        authorize = None if api_key else self._signed
        self._http = ProviderHttp(self.name, sessions, address, headers=headers, authorize=authorize)
        self._access_key, self._secret_key = pair
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once; the route's endpoint is the path."""
        images = {file: await asyncio.to_thread(url_or_base64, file) for file in files_of(order)}
        body = build_body(order, lambda file: images[file]) | {"external_task_id": order.nonce}
        if order.callback_url:
            body["callback_url"] = order.callback_url
        answer = await self._http.post_json(order.endpoint, body)
        told = answer.json_object() or {}
        match _code(told):
            case 0 if answer.ok:
                task_id = object_in(told, "data").get("task_id")
                if not isinstance(task_id, str) or not task_id:
                    raise self._http.malformed(SUBMIT)
                return Submission(self._ref(order.endpoint, task_id))
            case code if code == _MODERATION:
                return MODERATED
            case code if code in _NO_ROOM:
                return RateLimitedUpstream(answer.retry_after_seconds())
            case code if code in _REFUSED:
                return refused(self._http, told.get("message"))
            case None if answer.status == 429 and answer.is_refusal:
                return RateLimitedUpstream(answer.retry_after_seconds())
            case _:
                raise self._broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task."""
        endpoint, task_id = text_of(ref, "endpoint", self.name), text_of(ref, "id", self.name)
        task = await self._task(endpoint, task_id, "a status call")
        if task is None:
            return FORGOTTEN
        match task.get("task_status"):
            case "submitted":
                return Pending(started=False)
            case "processing":
                return Pending(started=True)
            case "succeed":
                return self._clip(object_in(task, "task_result"))
            case "failed":
                said = task.get("task_status_msg")
                return MODERATED if mentions(said, _MODERATION_WORDS) else render_failed(self._http, said)
            case other:
                raise unknown_status(self._http, other)

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The task that carries this order's nonce; asked for by it, then looked for in the list."""
        task = await self._task(order.endpoint, order.nonce, "a look-up")
        if task is not None:
            task_id = _match(task, order.nonce)
            return [self._ref(order.endpoint, task_id)] if task_id else []

        async def read_page(number: int) -> tuple[list[JSON], int | None]:
            query = {"pageNum": str(number), "pageSize": str(LISTED)}
            answer = await self._http.get(order.endpoint, query)
            told = answer.json_object() or {}
            listed = told.get("data")
            if not answer.ok or _code(told) != _OK or not isinstance(listed, list):
                raise self._broken(answer, "a list call")
            return listed, next_number(number, listed, LISTED)

        is_old = older_than(since, "created_at", unit_seconds=0.001)
        ids = await search_list(read_page, 1, lambda entry: _match(entry, order.nonce), is_old)
        return [self._ref(order.endpoint, task_id) for task_id in ids]

    async def check_key(self) -> KeyCheck:
        """List one task, which Kling's documents call a query: it needs the same key and costs nothing."""
        answer = await self._http.get(_ANY_TASKS, {"pageNum": "1", "pageSize": "1"})
        told = answer.json_object() or {}
        match _code(told):
            case 0 if answer.ok and isinstance(told.get("data"), list):
                return working_key()
            case int(code) if code in _OUR_KEY:
                return refused_key(self._http, f"code {code}", told.get("message"))
            case int(code) if code in _NO_ROOM:
                raise ProviderError(f"{self.name}: {DOING} was answered with code {code}", sent=False)
            case _ if answer.ok:
                raise self._broken(answer, DOING)
            case _:
                return failed_check(self._http, answer, told.get("message"))

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref of the task that a callback names, if it is this order's: it is read again here."""
        match request.told():
            case {"task_id": str(task_id)} | {"data": {"task_id": str(task_id)}} if task_id:
                task = await self._task(endpoint, task_id, "a look-up")
                if task is None or object_in(task, "task_info").get("external_task_id") not in (
                    None,
                    request.nonce,
                ):
                    return None
                return self._ref(endpoint, task_id)
            case _:
                return None

    async def _task(self, endpoint: str, task_id: str, doing: str) -> JSONObject | None:
        """The task with this id; None when Kling knows none."""
        answer = await self._http.get(f"{endpoint}/{quote(task_id, safe='')}")
        told = answer.json_object() or {}
        if _code(told) == _UNKNOWN_TASK or (answer.status == 404 and answer.is_refusal):
            return None
        task = told.get("data")
        if not answer.ok or _code(told) != _OK or not isinstance(task, dict):
            raise self._broken(answer, doing)
        return task

    def _clip(self, result: JSONObject) -> Succeeded:
        videos = result.get("videos")
        video = videos[0] if isinstance(videos, list) and videos else None
        if not isinstance(video, dict):
            raise self._http.malformed("a status call")
        url = clip_url(self._http, video.get("url"), "a status call")
        return Succeeded(ClipAt(url=url), ClipFacts(duration_seconds=number_in(video, "duration")))

    def _ref(self, endpoint: str, task_id: str) -> Ref:
        return {"id": task_id, "endpoint": endpoint, "submitted_at": timestamp(self._clock.now())}

    def _broken(self, answer: Answer, doing: str) -> ProviderError:
        """An answer that is no success, by Kling's code where it has one: HTTP 200 may hold an error."""
        code = _code(answer.json_object() or {})
        said = f"{self.name}: {doing} was answered with code {code}"
        if code in _NO_CREDIT:
            said += ": our account there has no credit"
            return ProviderError(said, sent=False, permanent=True, fault=Fault.CREDIT)
        if code in _OUR_KEY:
            said += ": our key is not accepted"
            return ProviderError(said, sent=False, permanent=True, fault=Fault.KEY)
        if code in _OURS:
            return ProviderError(said, sent=False, permanent=True)
        if answer.ok:
            return self._http.malformed(doing) if code in (None, _OK) else ProviderError(said, sent=True)
        return self._http.broken(answer, doing)

    async def _signed(self) -> Mapping[str, str]:
        now = int(self._clock.now().timestamp())
        claims: JSONObject = {
            "iss": self._access_key,
            "exp": now + TOKEN_SECONDS,
            "nbf": now - TOKEN_SLACK_SECONDS,
        }
        return {"Authorization": f"Bearer {hs256(claims, self._secret_key)}"}


def _code(told: JSONObject) -> int | None:
    code = told.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _match(entry: JSON, nonce: str) -> str | None:
    match entry:
        case {"task_id": str(task_id), "task_info": {"external_task_id": str(ours)}} if ours == nonce:
            return task_id
        case _:
            return None
