"""Black Forest Labs: FLUX video tasks, which are read at the cluster that took them."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from yarl import URL

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    ClipAt,
    ClipFacts,
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
from fairstack_server.providers.file_urls import files_of, url_or_base64
from fairstack_server.providers.http import SUBMIT, ProviderHttp, Sessions
from fairstack_server.providers.key_checks import failed_check, working_key
from fairstack_server.providers.verdicts import (
    FORGOTTEN,
    MODERATED,
    clip_url,
    detail_of,
    mentions,
    number_in,
    object_in,
    refused,
    render_failed,
    text_of,
    unknown_status,
)

ADDRESS = "https://api.bfl.ai"
#: Whose hosts may be asked with our key, where our own address is one of them.
DOMAIN = ".bfl.ai"
_MODERATION_WORDS = ("moderated", "moderation", "content policy")


class BlackForestLabs:
    """FLUX video tasks. Class D: no idempotency key, list or callback; a lost answer is never sent again."""

    name = "bfl"
    submit_class = SubmitClass.D

    def __init__(self, sessions: Sessions, key: str, address: str, clock: Clock) -> None:
        self._sessions = sessions
        self._key_header = {"x-key": key}
        self._http = ProviderHttp(self.name, sessions, address, headers=self._key_header)
        self._clock = clock

    def __repr__(self) -> str:
        return f"<BlackForestLabs {self._http!r}>"

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Create the task, once; the route's endpoint is the path."""
        files = {file: await asyncio.to_thread(url_or_base64, file) for file in files_of(order)}
        answer = await self._http.post_json(order.endpoint, build_body(order, lambda file: files[file]))
        told = answer.json_object() or {}
        if answer.ok:
            task_id = told.get("id")
            if not isinstance(task_id, str) or not task_id:
                raise self._http.malformed(SUBMIT)
            ref: Ref = {"id": task_id, "submitted_at": timestamp(self._clock.now())}
            if self._asked_at(url := told.get("polling_url")) is not None:
                ref["polling_url"] = url
            return Submission(ref)
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 413, 422) and answer.is_refusal:
            said = detail_of(told)
            return MODERATED if mentions(said, _MODERATION_WORDS) else refused(self._http, said)
        raise self._http.broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Read the task where its receipt says, if that is the vendor's."""
        http, target = self._place(ref)
        answer = await http.get(target)
        task = answer.json_object()
        if answer.status == 404 and answer.is_refusal:
            return FORGOTTEN
        if not answer.ok or task is None:
            raise http.broken(answer, "a status call")
        match task.get("status"):
            case "Pending":
                return Pending(progress=number_in(task, "progress"), started=False)
            case "Reasoning" | "Generating":
                return Pending(progress=number_in(task, "progress"))
            case "Ready":
                return self._clip(object_in(task, "result"))
            case "Request Moderated" | "Content Moderated":
                return MODERATED
            case "Error" | "Failed":
                return render_failed(http, _words_of(task.get("details")))
            case "Task not found":
                return FORGOTTEN
            case other:
                raise unknown_status(http, other)

    async def check_key(self) -> KeyCheck:
        """Ask for the credits that are left, which the vendor's reference has as "Get the user's credits"."""
        answer = await self._http.get("/v1/credits")
        told = answer.json_object() or {}
        credits_left = number_in(told, "credits")
        if answer.ok and credits_left is not None:
            return working_key(credits_left)
        return failed_check(self._http, answer, detail_of(told))

    def _place(self, ref: Ref) -> tuple[ProviderHttp, str]:
        """Who is asked for this task with our key, and where: its cluster, else our own address."""
        task_id, url = text_of(ref, "id", self.name), ref.get("polling_url")
        if isinstance(url, str) and (http := self._asked_at(url)) is not None:
            return http, url
        return self._http, f"/v1/get_result?id={quote(task_id, safe='')}"

    def _asked_at(self, url: JSON) -> ProviderHttp | None:
        """Who is asked at this URL with our key: our own address, or a cluster; None for everybody else."""
        if not isinstance(url, str):
            return None
        if self._http.is_ours(url):
            return self._http
        if not _is_cluster(url) or not _is_cluster(self._http.base_url):
            return None
        return ProviderHttp(self.name, self._sessions, str(URL(url).origin()), headers=self._key_header)

    def _clip(self, result: JSONObject) -> Succeeded:
        url = clip_url(self._http, result.get("sample"), "a status call")
        seed = result.get("seed")
        facts = ClipFacts(
            duration_seconds=number_in(result, "duration"),
            seed=seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
        )
        return Succeeded(ClipAt(url=url), facts)


def _is_cluster(url: str) -> bool:
    """Whether this URL is https on a host of the vendor's domain."""
    try:
        place = URL(url)
        return place.scheme == "https" and place.port == 443 and (place.host or "").endswith(DOMAIN)
    except ValueError:
        return False


def _words_of(details: JSON) -> JSON:
    """Why a task failed: a text, or the text in an object that has one."""
    match details:
        case {"message": str(said)} | {"error": str(said)} | {"detail": str(said)}:
            return said
        case _:
            return details
