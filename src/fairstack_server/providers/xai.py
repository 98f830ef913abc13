"""xAI's Grok Imagine: deferred requests, which are neither listed nor called back nor stopped."""

from __future__ import annotations

from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
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
from fairstack_server.providers.file_urls import file_urls
from fairstack_server.providers.http import SUBMIT, Answer, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, refused_key, working_key
from fairstack_server.providers.verdicts import (
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

ADDRESS = "https://api.x.ai"
_MODERATION_WORDS = ("moderation", "usage guidelines", "content policy", "safety_check")
#: xAI answers a wrong key with the status of a wrong request.
_KEY_WORDS = ("api key",)
#: What `GET /v1/api-key` says of a key that takes no orders, each true or false.
_SHUT = ("api_key_blocked", "api_key_disabled", "team_blocked")


class XAI:
    """xAI's deferred videos. Class D: no idempotency key, no list, no callback."""

    name = "xai"
    submit_class = SubmitClass.D

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(self.name, sessions, address, headers={"Authorization": f"Bearer {key}"})
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Start the video, once; the route's endpoint is the path."""
        urls = await file_urls(order)
        body = wrap_references(build_body(order, lambda file: urls[file.path]))
        answer = await self._http.post_json(order.endpoint, body)
        told = answer.json_object() or {}
        if answer.ok:
            request_id = told.get("request_id")
            if not isinstance(request_id, str) or not request_id:
                raise self._http.malformed(SUBMIT)
            return Submission({"id": request_id, "submitted_at": timestamp(self._clock.now())})
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        return self._refusal(answer, _words_of(told))

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the video; HTTP 202, which may come without a body, is a render that goes on."""
        answer = await self._http.get(f"/v1/videos/{quote(text_of(ref, 'id', self.name), safe='')}")
        if answer.status == 404 and answer.is_refusal:
            return FORGOTTEN
        told = answer.json_object()
        if answer.status == 202 and not (told or {}).get("status"):
            return Pending()
        if not answer.ok or told is None:
            raise self._http.broken(answer, "a status call")
        video = object_in(told, "video")
        match told.get("status"):
            case "pending":
                percent = number_in(told, "progress")
                return Pending(progress=None if percent is None else min(max(percent / 100, 0), 1))
            case "done":
                return self._ended(video)
            case None if video:
                return self._ended(video)
            case "expired":
                return EXPIRED
            case "failed":
                return self._failed(object_in(told, "error"))
            case other:
                raise unknown_status(self._http, other)

    async def check_key(self) -> KeyCheck:
        """Ask what xAI knows of the key, and whether it or its team is shut out."""
        answer = await self._http.get("/v1/api-key")
        told = answer.json_object() or {}
        if answer.ok and all(isinstance(told.get(name), bool) for name in _SHUT):
            shut = [name for name in _SHUT if told[name]]
            return refused_key(self._http, ", ".join(shut)) if shut else working_key()
        said = _words_of(told)
        if answer.status == 400 and mentions(said, _KEY_WORDS):
            return refused_key(self._http, "HTTP 400", said)
        return failed_check(self._http, answer, said)

    def _refusal(self, answer: Answer, said: JSON) -> Failed:
        """What an answer means that is no success; ProviderError where it says nothing of the order."""
        if answer.status in (400, 403) and answer.is_refusal and mentions(said, _MODERATION_WORDS):
            return MODERATED
        if answer.status == 400 and answer.is_refusal and mentions(said, _KEY_WORDS):
            told = f"{self.name}: a submit was answered with HTTP 400: our key is not accepted"
            raise ProviderError(f"{told}; check its setting", sent=False, permanent=True, fault=Fault.KEY)
        if answer.status in (400, 413, 422) and answer.is_refusal:
            return refused(self._http, said)
        raise self._http.broken(answer, SUBMIT)

    def _ended(self, video: JSONObject) -> Succeeded | Failed:
        if video.get("respect_moderation") is False:
            return MODERATED
        url = clip_url(self._http, video.get("url"), "a status call")
        return Succeeded(ClipAt(url=url), ClipFacts(duration_seconds=number_in(video, "duration")))

    def _failed(self, error: JSONObject) -> Failed:
        said = error.get("message")
        return MODERATED if mentions(said, _MODERATION_WORDS) else render_failed(self._http, said)


def wrap_references(body: JSONObject) -> JSONObject:
    """The body with each reference image as the object that xAI wants, where a route gives its URL alone."""
    references = body.get("reference_images")
    if not isinstance(references, list):
        return body
    wrapped: list[JSON] = [{"url": each} if isinstance(each, str) else each for each in references]
    return body | {"reference_images": wrapped}


def _words_of(told: JSONObject) -> JSON:
    """xAI's explanation: `error` as a text, or the message inside it as in the OpenAI form."""
    error = told.get("error")
    return error.get("message") if isinstance(error, dict) else error
