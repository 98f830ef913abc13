"""Any server that speaks `/v1/videos`: GPU engines of your own (vLLM-Omni, SGLang, FastVideo) and gateways.

`endpoint` of a route is the model's name on that server; a path (it begins with "/") means that the server
has one model and is told none. The body is a form with the image as a file, or JSON with it as a URL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from urllib.parse import quote

import msgspec

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    CancelOutcome,
    ClipAt,
    ClipFacts,
    Failed,
    InputFile,
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
from fairstack_server.providers.file_urls import INLINE_MAX_BYTES, file_urls, files_of, read_file
from fairstack_server.providers.http import SUBMIT, Answer, Part, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.list_search import older_than, search_list
from fairstack_server.providers.verdicts import (
    FORGOTTEN,
    MODERATED,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

Dialect = Literal["multipart", "json"]

LISTED = 100
#: Marks a file's place in a form's fields; no JSON of a user can hold this name (NUL is refused on entry).
_FILE = "\0file"
_MODERATION_WORDS = ("moderation", "content_policy", "content_filter", "safety")


class OpenAIVideos:
    """One server of `/v1/videos`. Class C: no idempotency key, but a list of recent videos."""

    name = "openai_videos"
    submit_class = SubmitClass.C

    def __init__(
        self, sessions: Sessions, base_url: str, key: str, clock: Clock, dialect: Dialect = "multipart"
    ) -> None:
        """`base_url` with or without the `/v1` at its end; an empty `key` sends none."""
        self._key_header = {"Authorization": f"Bearer {key}"} if key else {}
        base = base_url.rstrip("/").removesuffix("/v1")
        self._http = ProviderHttp(self.name, sessions, base, headers=self._key_header)
        self._clock = clock
        self._dialect = dialect

    def largest_input_bytes(self, *, has_url: bool) -> int | None:
        """A form carries a file of any size; JSON a URL, or in its place what fits inside."""
        return None if has_url or self._dialect == "multipart" else INLINE_MAX_BYTES

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the video, once."""
        answer = await self._create(order)
        if answer.ok:
            video_id = (answer.json_object() or {}).get("id")
            if not isinstance(video_id, str) or not video_id:
                raise self._http.malformed(SUBMIT)
            return Submission(self._ref(video_id))
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 413, 415, 422) and answer.is_refusal:
            return self._refused(answer)
        raise self._http.broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the video's record; any status but the four of the protocol is an error, never an end."""
        answer = await self._http.get(_path_of(ref))
        if answer.status == 404 and answer.is_refusal:
            return FORGOTTEN
        video = answer.json_object()
        if not answer.ok or video is None:
            raise self._http.broken(answer, "a status call")
        match video.get("status"):
            case "queued":
                return Pending(progress=_progress(video), started=False)
            case "in_progress":
                return Pending(progress=_progress(video), started=True)
            case "completed":
                url = f"{self._http.base_url}{_path_of(ref)}/content"
                return Succeeded(ClipAt(url=url, headers=self._key_header), _facts(video))
            case "failed":
                return self._failed(video.get("error"))
            case other:
                raise unknown_status(self._http, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Delete the video unless it is finished: a clip that exists is never thrown away."""
        if isinstance(await self.poll(ref), Succeeded | Failed):
            return CancelOutcome.TOO_LATE
        answer = await self._http.delete(_path_of(ref))
        told = answer.json_object() or {}
        if answer.ok and (told.get("deleted") is True or told.get("status") == "deleted"):
            return CancelOutcome.STOPPED
        if answer.ok or answer.is_refusal or answer.status in (404, 405, 409, 501):
            return CancelOutcome.TOO_LATE
        raise self._http.broken(answer, "a cancel")

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The videos since then with this prompt, size and length; none where there is no proof.

        Only a server that repeats the prompt in its records can be searched; the others show nothing that
        ties a video to an order.
        """
        wanted = build_body(order, lambda file: file.sha256)
        is_old = older_than(since, "created_at")
        ids = await search_list(self._page, "", lambda entry: _match(entry, wanted, since), is_old)
        return [self._ref(video_id) for video_id in ids]

    async def check_key(self) -> KeyCheck:
        """List one video, as `videos.list` of OpenAI's client does; a server without a list is asked no more.

        Such a server's 404 or 405 says that it is there, and nothing against the key.
        """
        answer = await self._http.get("/v1/videos", {"limit": "1", "order": "desc"})
        told = answer.json_object() or {}
        if answer.ok and isinstance(told.get("data"), list):
            return working_key()
        if answer.status in (404, 405) and answer.is_refusal:
            return KeyCheck(True, "the server answers; it has no list to check the key with")
        return failed_check(self._http, answer, _message_of(told))

    async def _page(self, after: str) -> tuple[list[JSON], str | None]:
        """The videos behind this one, and the last of them if the list goes on; "" begins it."""
        query = {"limit": str(LISTED), "order": "desc"} | ({"after": after} if after else {})
        answer = await self._http.get("/v1/videos", query)
        told = answer.json_object() or {}
        listed = told.get("data")
        if not answer.ok or not isinstance(listed, list):
            raise self._http.broken(answer, "a list call")
        match listed[-1:]:
            case [{"id": str(last)}] if told.get("has_more", len(listed) >= LISTED):
                return listed, last
            case _:
                return listed, None

    async def _create(self, order: Order) -> Answer:
        if self._dialect == "json":
            urls = await file_urls(order)
            body = _with_model(order, build_body(order, lambda file: urls[file.path]))
            return await self._http.post_json("/v1/videos", body)
        body = _with_model(order, build_body(order, lambda file: {_FILE: file.path}))
        parts = {file.path: await asyncio.to_thread(_part, file) for file in files_of(order)}
        form = {name: _form_value(value, parts) for name, value in body.items()}
        return await self._http.post_multipart("/v1/videos", form)

    def _ref(self, video_id: str) -> Ref:
        return {"id": video_id, "submitted_at": timestamp(self._clock.now())}

    def _refused(self, answer: Answer) -> Failed:
        body = answer.json_object() or {}
        error = body.get("error")
        if isinstance(error, dict) and _is_moderation(error):
            return MODERATED
        return refused(self._http, _message_of(body))

    def _failed(self, error: JSON) -> Failed:
        if isinstance(error, dict) and _is_moderation(error):
            return MODERATED
        return render_failed(self._http, error.get("message") if isinstance(error, dict) else None)


def _with_model(order: Order, body: JSONObject) -> JSONObject:
    if "model" in body or order.endpoint.startswith("/"):
        return body
    return {"model": order.endpoint, **body}


def _part(file: InputFile) -> Part:
    suffix = file.content_type.rpartition("/")[2]
    return Part(read_file(file), file.content_type, f"{file.sha256[:16]}.{suffix}")


def _form_value(value: JSON, parts: Mapping[str, Part]) -> str | Part:
    """A form knows text and files: numbers and switches in their JSON spelling, objects as JSON."""
    match value:
        case str():
            return value
        case {"\0file": str(path)}:
            return parts[path]
        case _:
            return msgspec.json.encode(value).decode()


def _path_of(ref: Ref) -> str:
    return f"/v1/videos/{quote(text_of(ref, 'id', OpenAIVideos.name), safe='')}"


def _match(entry: JSON, wanted: JSONObject, since: datetime) -> str | None:
    """The id of this record if it may be the wanted video: same prompt, and nothing it tells differs."""
    if not isinstance(entry, dict) or entry.get("prompt") != wanted.get("prompt"):
        return None
    if not all(_agree(entry.get(name), wanted.get(name)) for name in ("size", "seconds", "model")):
        return None
    match entry:
        case {"id": str(video_id), "created_at": int(created_at)} if created_at >= int(since.timestamp()):
            return video_id
        case _:
            return None


def _agree(theirs: JSON, ours: JSON) -> bool:
    return theirs in (None, "") or ours is None or str(theirs) == str(ours)


def _progress(video: JSONObject) -> float | None:
    percent = video.get("progress")
    if isinstance(percent, bool) or not isinstance(percent, int | float):
        return None
    return min(max(percent / 100, 0.0), 1.0)


def _facts(video: JSONObject) -> ClipFacts:
    width, height = _pixels(video.get("size"))
    return ClipFacts(width=width, height=height, duration_seconds=_seconds(video.get("seconds")))


def _pixels(size: JSON) -> tuple[int | None, int | None]:
    width, _, height = size.partition("x") if isinstance(size, str) else ("", "", "")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else (None, None)


def _seconds(value: JSON) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None


def _is_moderation(error: Mapping[str, JSON]) -> bool:
    kinds = f"{error.get('code')} {error.get('type')}".lower()
    return any(word in kinds for word in _MODERATION_WORDS)


def _message_of(body: JSONObject) -> str:
    """The server's explanation: OpenAI's `error.message`, or FastAPI's `detail`."""
    match body:
        case {"error": {"message": str(message)}} | {"detail": str(message)} | {"message": str(message)}:
            return message
        case {"detail": list(entries)}:
            told = [entry["msg"] for entry in entries if isinstance(entry, dict) and "msg" in entry]
            return "; ".join(str(message) for message in told)
        case _:
            return "no reason was given"
