"""Runway: its task API, which has no callbacks and no list."""

from __future__ import annotations

from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
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
from fairstack_server.providers.verdicts import (
    CANCELLED,
    FORGOTTEN,
    MODERATED,
    clip_url,
    mentions,
    number_in,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

ADDRESS = "https://api.dev.runwayml.com"
VERSION = "2024-11-06"
#: Runway asks its clients not to look more often.
SHORTEST_POLL_SECONDS = 5.0
_MODERATION_WORDS = ("moderation", "safety", "content policy")


class Runway:
    """Runway's tasks. Class D: no idempotency key and no list, so a lost answer is never sent again."""

    name = "runway"
    submit_class = SubmitClass.D

    def __init__(self, sessions: Sessions, secret: str, address: str, clock: Clock) -> None:
        self._http = ProviderHttp(
            self.name,
            sessions,
            address,
            headers={"Authorization": f"Bearer {secret}"},
            public_headers={"X-Runway-Version": VERSION},
        )
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once; the route's endpoint is the path."""
        urls = await file_urls(order)
        answer = await self._http.post_json(order.endpoint, build_body(order, lambda file: urls[file.path]))
        told = answer.json_object() or {}
        if answer.ok:
            task_id = told.get("id")
            if not isinstance(task_id, str) or not task_id:
                raise self._http.malformed(SUBMIT)
            return Submission({"id": task_id, "submitted_at": timestamp(self._clock.now())})
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 413, 422) and answer.is_refusal:
            moderated = mentions(told.get("error"), _MODERATION_WORDS)
            return MODERATED if moderated else refused(self._http, _complaints(told))
        raise self._http.broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task."""
        answer = await self._http.get(self._path(ref))
        if answer.status == 404 and answer.is_refusal:
            return FORGOTTEN
        task = answer.json_object()
        if not answer.ok or task is None:
            raise self._http.broken(answer, "a status call")
        match task.get("status"):
            case "PENDING" | "THROTTLED":
                return Pending(started=False, retry_after_seconds=SHORTEST_POLL_SECONDS)
            case "RUNNING":
                return Pending(
                    progress=number_in(task, "progress"), retry_after_seconds=SHORTEST_POLL_SECONDS
                )
            case "SUCCEEDED":
                output = task.get("output")
                first = output[0] if isinstance(output, list) and output else None
                return Succeeded(ClipAt(url=clip_url(self._http, first, "a status call")))
            case "FAILED":
                return self._failed(task)
            case "CANCELLED":
                return CANCELLED
            case other:
                raise unknown_status(self._http, other)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Delete the task unless it is over: Runway stops what runs, but throws away what is finished."""
        if isinstance(await self.poll(ref), Succeeded | Failed):
            return CancelOutcome.TOO_LATE
        answer = await self._http.delete(self._path(ref))
        if answer.ok:
            return CancelOutcome.STOPPED
        if answer.status in (404, 409) and answer.is_refusal:
            return CancelOutcome.TOO_LATE
        raise self._http.broken(answer, "a cancel")

    async def check_key(self) -> KeyCheck:
        """Ask for the organization and its credits, as `organization.retrieve()` of Runway's client does."""
        answer = await self._http.get("/v1/organization")
        told = answer.json_object() or {}
        credits_left = number_in(told, "creditBalance")
        if answer.ok and credits_left is not None:
            return working_key(credits_left)
        return failed_check(self._http, answer, told.get("error"))

    def _path(self, ref: Ref) -> str:
        return f"/v1/tasks/{quote(text_of(ref, 'id', self.name), safe='')}"

    def _failed(self, task: JSONObject) -> Failed:
        # SAFETY.INPUT.TEXT, INPUT_PREPROCESSING.SAFETY.TEXT, THIRD_PARTY.SAFETY …
        if mentions(task.get("failureCode"), _MODERATION_WORDS):
            return MODERATED
        return render_failed(self._http, task.get("failure"))


def _complaints(told: JSONObject) -> JSON:
    """Runway's explanation: the field and message of each issue, else its error."""
    issues = told.get("issues")
    found = []
    for issue in issues if isinstance(issues, list) else []:
        if isinstance(issue, dict) and isinstance(message := issue.get("message"), str):
            path = issue.get("path")
            place = ".".join(str(step) for step in path) if isinstance(path, list) else ""
            found.append(f"{place}: {message}" if place else message)
    return "; ".join(found) or told.get("error")
