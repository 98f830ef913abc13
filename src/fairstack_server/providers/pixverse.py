"""PixVerse: pictures are uploaded first, and every answer is HTTP 200 with a code of PixVerse's own."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    ClipAt,
    ClipFacts,
    Failed,
    Fault,
    InputFile,
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
from fairstack_server.providers.file_urls import files_of, read_file
from fairstack_server.providers.http import SUBMIT, Answer, Part, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import DOING, failed_check, refused_key, working_key
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

ADDRESS = "https://app-api.pixverse.ai"
#: PixVerse asks its clients to look every 3 to 5 seconds.
SHORTEST_POLL_SECONDS = 3.0
_UPLOAD, _BALANCE = "/openapi/v2/image/upload", "/openapi/v2/account/balance"
_RESULT = "/openapi/v2/video/result"
#: Makes a UUID of an attempt's nonce.
_TRACES = uuid.UUID("5c0b7a52-5f0c-4c0e-9d39-0f3f6a6f1f0b")

#: PixVerse's codes. Whatever stands in none of these may hide a task that exists.
_OK, _NO_CREDIT = 0, 500090
_NO_ROOM = frozenset({500044, 500069})
_MODERATION = frozenset({500054, 500063})
_UNKNOWN_TASK = frozenset({500008, 500064})
_REFUSED = frozenset(
    {400011, 400013, 400017, 400018, 400019, 400032, 500030, 500031, 500032, 500033, 500042}
    | {500060, 500070, 500071}
)
_OUR_KEY = frozenset({10001, 10002, 10003, 10004, 10005, 400012, 500020})
_UNWELL = frozenset({99999, 500100})
_KEY_WORDS = ("api-key", "api key", "apikey")


class PixVerse:
    """PixVerse's tasks. Class A: a repeated `Ai-trace-id` gives the earlier task and makes no second one."""

    name = "pixverse"
    submit_class = SubmitClass.A
    # Its documents promise it without a time; a trace that is forgotten would order a second clip.
    resend_within = timedelta(minutes=10)

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"API-KEY": key})
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Upload the pictures, then create the task under a trace made of the nonce."""
        try:
            ids = await self._upload_all(order)
        except ProviderError as error:
            # Nothing is ordered yet: a picture that may have arrived costs nothing and may be sent again.
            raise ProviderError(
                str(error), sent=False, permanent=error.permanent, fault=error.fault
            ) from None
        if not isinstance(ids, Mapping):
            return ids
        body = build_body(order, lambda file: ids[file.path])
        trace = str(uuid.uuid5(_TRACES, order.nonce))
        answer = await self._http.post_json(order.endpoint, body, headers={"Ai-trace-id": trace})
        verdict = self._verdict(answer, SUBMIT)
        if not isinstance(verdict, dict):
            return verdict
        video_id = verdict.get("video_id")
        if not _is_id(video_id):
            raise self._http.malformed(SUBMIT)
        return Submission({"id": str(video_id), "submitted_at": timestamp(self._clock.now())})

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task."""
        path = f"{_RESULT}/{quote(text_of(ref, 'id', self.name), safe='')}"
        answer = await self._http.get(path, headers=_new_trace())
        told = answer.json_object() or {}
        task = object_in(told, "Resp")
        if _code(answer) in _UNKNOWN_TASK or (answer.status == 404 and answer.is_refusal):
            return FORGOTTEN
        if not answer.ok or _code(answer) != _OK or not task:
            raise self._broken(answer, "a status call")
        match task.get("status"):
            case 5:
                return Pending(retry_after_seconds=SHORTEST_POLL_SECONDS)
            case 1:
                return Succeeded(
                    ClipAt(url=clip_url(self._http, task.get("url"), "a status call")), _facts(task)
                )
            case 6:
                return FORGOTTEN
            case 7:
                return MODERATED
            case 8:
                return render_failed(self._http, None)
            case other:
                raise unknown_status(self._http, other)

    async def check_key(self) -> KeyCheck:
        """Ask for the balance, which costs nothing."""
        answer = await self._http.get(_BALANCE, headers=_new_trace())
        told = answer.json_object() or {}
        balance, said = object_in(told, "Resp"), told.get("ErrMsg")
        monthly, bought = number_in(balance, "credit_monthly"), number_in(balance, "credit_package")
        code = _code(answer)
        if answer.ok and code == _OK and (monthly is not None or bought is not None):
            return working_key((monthly or 0) + (bought or 0))
        if code is not None and _is_about_key(code, said):
            return refused_key(self._http, f"code {code}", said)
        if code in _NO_ROOM:
            raise ProviderError(f"{self.name}: {DOING} was answered with code {code}", sent=False)
        return failed_check(self._http, answer, said)

    async def _upload_all(self, order: Order) -> Mapping[str, int] | Failed | RateLimitedUpstream:
        """Path -> PixVerse's id of each picture of this order; or the first refusal."""
        ids: dict[str, int] = {}
        for file in files_of(order):
            uploaded = await self._upload(file)
            if not isinstance(uploaded, int):
                return uploaded
            ids[file.path] = uploaded
        return ids

    async def _upload(self, file: InputFile) -> int | Failed | RateLimitedUpstream:
        content = await asyncio.to_thread(read_file, file)
        part = Part(content, file.content_type, f"image.{file.content_type.rpartition('/')[2]}")
        answer = await self._http.post_multipart(_UPLOAD, {"image": part}, headers=_new_trace())
        verdict = self._verdict(answer, "an upload")
        if not isinstance(verdict, dict):
            return verdict
        image_id = verdict.get("img_id")
        if not isinstance(image_id, int) or not _is_id(image_id):
            raise self._http.malformed("an upload")
        return image_id

    def _verdict(self, answer: Answer, doing: str) -> JSONObject | Failed | RateLimitedUpstream:
        """What PixVerse made of a call: `Resp` of a success, or a refusal. Raises ProviderError."""
        told, code = answer.json_object() or {}, _code(answer)
        if answer.ok and code == _OK:
            return object_in(told, "Resp")
        if code in _MODERATION:
            return MODERATED
        if code in _NO_ROOM or (answer.status == 429 and answer.is_refusal):
            return RateLimitedUpstream(answer.retry_after_seconds())
        if code in _REFUSED and not mentions(told.get("ErrMsg"), _KEY_WORDS):
            return refused(self._http, told.get("ErrMsg"))
        raise self._broken(answer, doing)

    def _broken(self, answer: Answer, doing: str) -> ProviderError:
        """An answer that is no success, by PixVerse's code where it has one."""
        code = _code(answer)
        said = f"{self.name}: {doing} was answered with code {code}"
        if code is not None and _is_about_key(code, (answer.json_object() or {}).get("ErrMsg")):
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


def _new_trace() -> Mapping[str, str]:
    """A trace of its own for a call that orders nothing: a repeated one would give an old answer."""
    return {"Ai-trace-id": str(uuid.uuid4())}


def _code(answer: Answer) -> int | None:
    """PixVerse's code; None where the answer is not PixVerse's own."""
    told = answer.json_object() if answer.ok or answer.is_refusal else None
    code = (told or {}).get("ErrCode")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _is_about_key(code: int, said: JSON) -> bool:
    """Whether a refusal is about our key; where its code is not known, its words name the header."""
    return code in _OUR_KEY or (code != _OK and mentions(said, _KEY_WORDS))


def _is_id(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _facts(task: JSONObject) -> ClipFacts:
    width, height, seed = (number_in(task, name) for name in ("outputWidth", "outputHeight", "seed"))
    return ClipFacts(
        width=int(width) if width else None,
        height=int(height) if height else None,
        seed=int(seed) if seed is not None else None,
    )
