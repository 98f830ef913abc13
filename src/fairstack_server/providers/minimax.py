"""MiniMax: Hailuo's tasks that end in a file (v1), and H3's tasks that end in a URL (v2), behind one key."""

from __future__ import annotations

import re
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
from fairstack_server.providers.key_checks import DOING, failed_check, refused_key, working_key
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

ADDRESS = "https://api.minimax.io"
#: MiniMax asks its clients not to look more often.
SHORTEST_POLL_SECONDS = 10.0
_V1_TASK, _V1_FILE = "/v1/query/video_generation", "/v1/files/retrieve"
_V2, _V2_TASKS, _V2_TASK = "/v2/", "/v2/query/video_generation", "/v2/video_generation"

#: MiniMax's codes. Whatever stands in none of these may hide a task that exists.
_OK, _NO_CREDIT, _INVISIBLE_TEXT, _BAD_PARAMETERS = 0, 1008, 1042, 2013
_NO_ROOM = frozenset({1002, 1039, 1041, 2045, 2056})
_MODERATION = frozenset({1026, 1027})
_REFUSED = _MODERATION | {_INVISIBLE_TEXT, _BAD_PARAMETERS}
_OUR_KEY = frozenset({1004, 2038, 2049})
_UNWELL = frozenset({1000, 1001, 1013, 1024, 1033})
_MODERATION_WORDS = ("sensitive", "moderation", "content policy")
_CODE_AT_END = re.compile(r"\((\d+)\)\s*$")


class MiniMax:
    """MiniMax's tasks. Class D: no idempotency key, and the list (v2 only) shows neither prompt nor image.

    Two orders of the same length and shape look alike in that list, so a match could be a stranger's clip.
    What brings a lost answer back is the callback, whose URL MiniMax tries while it takes the order.
    """

    name = "minimax"
    submit_class = SubmitClass.D

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"Authorization": f"Bearer {key}"})
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once; the route's endpoint is the path, and its version the protocol."""
        answer = await self._http.post_json(order.endpoint, await _body(order))
        told = answer.json_object() or {}
        code, said = _code(answer), _said(told)
        if answer.ok and code in (None, _OK):
            task_id = told.get("task_id")
            if not isinstance(task_id, str) or not task_id:
                raise self._http.malformed(SUBMIT)
            return Submission(self._ref(order.endpoint, task_id))
        if code in _NO_ROOM or (answer.status == 429 and answer.is_refusal):
            return RateLimitedUpstream(answer.retry_after_seconds())
        if code in _REFUSED or (code is None and _is_complaint(answer)):
            moderated = code in _MODERATION or mentions(said, _MODERATION_WORDS)
            return MODERATED if moderated else refused(self._http, said)
        raise self._broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task, and in v1 also the file that it ended in."""
        return await (self._poll_v2(ref) if _is_v2(ref) else self._poll_v1(ref))

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Stop a task of v2 that still waits; a running one goes on, and v1 has no such call.

        The same call throws away what is finished, so it is made only after a look.
        """
        if not _is_v2(ref):
            return CancelOutcome.TOO_LATE
        match await self.poll(ref):
            case Pending(started=False):
                pass
            case _:
                return CancelOutcome.TOO_LATE
        answer = await self._http.delete(f"{_V2_TASK}/{self._id(ref)}")
        if answer.ok:
            cancelled = mentions((answer.json_object() or {}).get("action"), ("cancel",))
            return CancelOutcome.STOPPED if cancelled else CancelOutcome.TOO_LATE
        if answer.status in (400, 404, 409) and answer.is_refusal:
            return CancelOutcome.TOO_LATE
        raise self._broken(answer, "a cancel")

    async def check_key(self) -> KeyCheck:
        """List one task, which needs the same key and costs nothing."""
        answer = await self._http.get(_V2_TASKS, {"page_num": "1", "page_size": "1"})
        told = answer.json_object() or {}
        match _code(answer):
            case None | 0 if answer.ok and {"items", "total"} & told.keys():
                return working_key()
            case int(code) if code in _OUR_KEY:
                return refused_key(self._http, f"code {code}", _said(told))
            case int(code) if code == _NO_CREDIT:
                return working_key(0.0)
            case int(code) if code in _NO_ROOM:
                raise ProviderError(f"{self.name}: {DOING} was answered with code {code}", sent=False)
            case _:
                return failed_check(self._http, answer, _said(told))

    def answer_challenge(self, request: CallbackRequest) -> JSONObject | None:
        """The word of a challenge again, which MiniMax wants within three seconds."""
        match request.told():
            case {"challenge": str(word)}:
                return {"challenge": word}
            case _:
                return None

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref of the task that a callback names, if MiniMax knows it: it is read again here.

        No record says which order it is of; the path that the callback came by is all that binds it.
        """
        match request.told():
            case {"task": {"id": str(task_id)}} | {"task_id": str(task_id)} | {"id": str(task_id)} if task_id:
                ref = self._ref(endpoint, task_id)
                return None if await self.poll(ref) == FORGOTTEN else ref
            case _:
                return None

    async def _poll_v1(self, ref: Ref) -> Pending | Succeeded | Failed:
        answer = await self._http.get(_V1_TASK, {"task_id": text_of(ref, "id", self.name)})
        told, code = answer.json_object() or {}, _code(answer)
        if code in _MODERATION:
            return MODERATED
        if _is_unknown_task(answer, code) and "status" not in told:
            return FORGOTTEN
        if not answer.ok or code is None or (code != _OK and told.get("status") != "Fail"):
            raise self._broken(answer, "a status call")
        match told.get("status"):
            case "Queueing" | "Preparing":
                return Pending(started=False, retry_after_seconds=SHORTEST_POLL_SECONDS)
            case "Processing":
                return Pending(retry_after_seconds=SHORTEST_POLL_SECONDS)
            case "Success":
                return Succeeded(ClipAt(url=await self._file_url(told.get("file_id"))), _facts(told))
            case "Fail":
                return render_failed(self._http, _said(told) if code != _OK else None)
            case other:
                raise unknown_status(self._http, other)

    async def _file_url(self, file_id: JSON) -> str:
        """Where this file can be read; the URL lasts for about an hour, and each look gives a new one."""
        if not isinstance(file_id, str | int) or not file_id:
            raise self._http.malformed("a status call")
        answer = await self._http.get(_V1_FILE, {"file_id": str(file_id)})
        if not answer.ok or _code(answer) != _OK:
            raise self._broken(answer, "a look at a file")
        file = object_in(answer.json_object() or {}, "file")
        return clip_url(self._http, file.get("download_url"), "a look at a file")

    async def _poll_v2(self, ref: Ref) -> Pending | Succeeded | Failed:
        answer = await self._http.get(f"{_V2_TASKS}/{self._id(ref)}")
        if _is_unknown_task(answer, _code(answer)):
            return FORGOTTEN
        task = object_in(answer.json_object() or {}, "task")
        if not answer.ok or not task:
            raise self._broken(answer, "a status call")
        match task.get("status"):
            case "queued":
                return Pending(started=False, retry_after_seconds=SHORTEST_POLL_SECONDS)
            case "running":
                return Pending(retry_after_seconds=SHORTEST_POLL_SECONDS)
            case "succeeded":
                url = clip_url(self._http, object_in(task, "content").get("url"), "a status call")
                return Succeeded(ClipAt(url=url), ClipFacts(duration_seconds=number_in(task, "duration")))
            case "failed":
                return self._failed_v2(object_in(task, "error"))
            case "cancelled":
                return CANCELLED
            case "expired":
                return EXPIRED
            case other:
                raise unknown_status(self._http, other)

    def _failed_v2(self, error: JSONObject) -> Failed:
        code, said = number_in(error, "code"), error.get("message")
        moderated = code in _MODERATION or mentions(said, _MODERATION_WORDS)
        return MODERATED if moderated else render_failed(self._http, said)

    def _ref(self, endpoint: str, task_id: str) -> Ref:
        return {"id": task_id, "endpoint": endpoint, "submitted_at": timestamp(self._clock.now())}

    def _id(self, ref: Ref) -> str:
        return quote(text_of(ref, "id", self.name), safe="")

    def _broken(self, answer: Answer, doing: str) -> ProviderError:
        """An answer that is no success, by MiniMax's code where it has one: HTTP 200 may hold an error."""
        code = _code(answer)
        said = f"{self.name}: {doing} was answered with code {code}"
        if code in _OUR_KEY:
            said += ": our key is not accepted"
            return ProviderError(said, sent=False, permanent=True, fault=Fault.KEY)
        if code == _NO_CREDIT:
            said += ": our account there has no credit"
            return ProviderError(said, sent=False, permanent=True, fault=Fault.CREDIT)
        if not answer.ok:
            return self._http.broken(answer, doing)
        if code in (None, _OK):
            return self._http.malformed(doing)
        return ProviderError(said, sent=True, fault=Fault.PROVIDER if code in _UNWELL else Fault.CALL)


async def _body(order: Order) -> JSONObject:
    urls = await file_urls(order)
    body = build_body(order, lambda file: urls[file.path])
    if order.endpoint.startswith(_V2):
        body["content"] = content_parts(object_in(body, "content"))
    return body | ({"callback_url": order.callback_url} if order.callback_url else {})


def _is_v2(ref: Ref) -> bool:
    return text_of(ref, "endpoint", MiniMax.name).startswith(_V2)


def _code(answer: Answer) -> int | None:
    """MiniMax's code: v1 has it beside every answer, v2 at the end of an error's message."""
    told = answer.json_object() if answer.ok or answer.is_refusal else None
    match told:
        case {"base_resp": {"status_code": int(code)}}:
            return code
        case {"error": {"message": str(message)}} if found := _CODE_AT_END.search(message):
            return int(found[1])
        case _:
            return None


def _said(told: JSONObject) -> JSON:
    return object_in(told, "base_resp").get("status_msg") or object_in(told, "error").get("message")


def _is_complaint(answer: Answer) -> bool:
    return answer.status in (400, 413, 422) and answer.is_refusal


def _is_unknown_task(answer: Answer, code: int | None) -> bool:
    """Whether MiniMax does not know the task: its id is the only parameter that could be bad."""
    return code == _BAD_PARAMETERS or (answer.status == 404 and answer.is_refusal)


def _facts(told: JSONObject) -> ClipFacts:
    width, height = number_in(told, "video_width"), number_in(told, "video_height")
    return ClipFacts(width=int(width) if width else None, height=int(height) if height else None)
