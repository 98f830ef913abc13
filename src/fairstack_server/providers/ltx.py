"""Lightricks: LTX video, as jobs (paths of /v2) or as a clip that is the answer itself (paths of /v1).

Lightricks has announced the end of /v1 for 2026-10-26. It is spoken all the same: a path is a route's own
matter, and the answer says which of the two it is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import (
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
from fairstack_server.providers.http import SUBMIT, Answer, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.verdicts import (
    FORGOTTEN,
    MODERATED,
    clip_url,
    object_in,
    refused,
    render_failed,
    text_of,
    unknown_status,
)
from fairstack_server.providers.whole_clip import WholeClip

ADDRESS = "https://api.ltx.io"
#: An answer of /v1 comes when the clip is rendered.
RENDER_SECONDS = 900.0
CLIP_MAX_BYTES = 2 * 1024**3
#: Lightricks asks its clients not to look more often.
SHORTEST_POLL_SECONDS = 5.0
_ANSWERS_WITH_CLIPS = "/v1/"
_FILTERED = "content_filtered_error"
#: A job that nobody has: looking for it tells a good key (404) from a bad one (401).
_NO_JOB = "/v2/text-to-video/00000000-0000-0000-0000-000000000000"


class Ltx:
    """LTX video. Class D: no idempotency key, list, cancel or callback; a lost answer is never sent again."""

    name = "ltx"
    submit_class = SubmitClass.D

    def __init__(self, sessions: Sessions, key: str, address: str, work_dir: Path, clock: Clock) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = ProviderHttp(self.name, sessions, address, headers=headers)
        self._patient = ProviderHttp(
            self.name, sessions, address, headers=headers, timeout_seconds=RENDER_SECONDS
        )
        self._work_dir = work_dir
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Succeeded | Failed | RateLimitedUpstream:
        """Send the order, once; the route's endpoint is the path. A clip that is the answer is kept."""
        urls = await file_urls(order)
        body = build_body(order, lambda file: urls[file.path])
        http = self._patient if order.endpoint.startswith(_ANSWERS_WITH_CLIPS) else self._http
        with WholeClip(self.name, self._clip_path(order), CLIP_MAX_BYTES) as clip:
            answer = await http.post_json(order.endpoint, body, sift=clip.sift)
            if answer.ok and clip.came:
                return Succeeded(ClipAt(path=str(clip.keep())))
        return self._taken(order, answer)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the job."""
        job_id = quote(text_of(ref, "id", self.name), safe="")
        answer = await self._http.get(f"{text_of(ref, 'endpoint', self.name)}/{job_id}")
        if answer.status == 404 and answer.is_refusal:
            return FORGOTTEN
        job = answer.json_object()
        if not answer.ok or job is None:
            raise self._http.broken(answer, "a status call")
        match job.get("status"):
            case "pending":
                return Pending(started=False, retry_after_seconds=SHORTEST_POLL_SECONDS)
            case "processing":
                return Pending(retry_after_seconds=SHORTEST_POLL_SECONDS)
            case "completed":
                url = object_in(job, "result").get("video_url")
                return Succeeded(ClipAt(url=clip_url(self._http, url, "a status call")))
            case "failed":
                error = object_in(job, "error")
                filtered = error.get("type") == _FILTERED
                return MODERATED if filtered else render_failed(self._http, error.get("message"))
            case other:
                raise unknown_status(self._http, other)

    async def check_key(self) -> KeyCheck:
        """Look for a job that nobody has: the reference of the call has 404 for it, and 401 for the key."""
        answer = await self._http.get(_NO_JOB)
        error = object_in(answer.json_object() or {}, "error")
        if answer.status == 404 and error.get("type") == "not_found_error":
            return working_key()
        return failed_check(self._http, answer, error.get("message"))

    def _taken(self, order: Order, answer: Answer) -> Submission | Failed | RateLimitedUpstream:
        told: JSONObject = answer.json_object() or {}
        if answer.ok:
            job_id = told.get("id")
            if not isinstance(job_id, str) or not job_id:
                raise self._http.malformed(SUBMIT)
            now = timestamp(self._clock.now())
            return Submission({"id": job_id, "endpoint": order.endpoint, "submitted_at": now})
        error = object_in(told, "error")
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.is_refusal and error.get("type") == _FILTERED:
            return MODERATED
        if answer.status in (400, 413, 422) and answer.is_refusal:
            return refused(self._http, error.get("message"))
        raise self._http.broken(answer, SUBMIT)

    def _clip_path(self, order: Order) -> Path:
        # A hash, because a nonce is not made to be a file name.
        return self._work_dir / f"{hashlib.sha256(order.nonce.encode()).hexdigest()[:32]}.mp4"
