"""Has the operator's moderation look at a request, when all of it is known and nothing of it is held yet."""

from __future__ import annotations

from typing import cast

from fairstack_server.catalog.settled import Settled
from fairstack_server.errors import Unavailable, Unprocessable
from fairstack_server.jobs.placement import NewJob
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.media.store import MediaStore
from fairstack_server.moderation import ContentRefused, FileShown, Moderation, NoVerdict, RequestAsked

_ASK_AGAIN_SECONDS = 10


class RequestJudge:
    """Asks whether a request may be rendered."""

    def __init__(self, moderation: Moderation, media: MediaStore) -> None:
        self._moderation = moderation
        self._media = media

    async def judge(self, job: NewJob) -> None:
        """Return if it may. Raises Unprocessable for refused content, Unavailable where nobody says."""
        if not self._moderation.asks:
            return
        try:
            await self._moderation.judge(self._asked(job))
        except ContentRefused as refused:
            raise Unprocessable(
                f"The request was refused: {refused.message} You were charged nothing.",
                code="content_filtered",
                details={"reason": refused.code},
            ) from refused
        except NoVerdict as silent:
            raise Unavailable(
                "This server has requests checked, and the check gives no answer now. Nothing was held; send "
                "the request again later.",
                code="provider_unavailable",
                retry_after_seconds=_ASK_AGAIN_SECONDS,
            ) from silent

    def _asked(self, job: NewJob) -> RequestAsked:
        settled = Settled.from_json(job.settled)
        return RequestAsked(
            job=job.id,
            account=job.account_id,
            mode=job.mode,
            model=job.model,
            prompt=str(job.ask["prompt"]),
            negative_prompt=settled.negative_prompt,
            options=settled.options,
            files=[self._shown(role, stored) for role, stored in _each_file(job.inputs)],
        )

    def _shown(self, role: str, stored: JSONObject) -> FileShown:
        key = str(stored["key"])
        return FileShown(
            role=role,
            content_type=str(stored["content_type"]),
            bytes=cast(int, stored["bytes"]),
            sha256=str(stored["sha256"]),
            url=self._media.url_of(key),
            path=self._media.path_of(key),
        )


def _each_file(inputs: JSONObject) -> list[tuple[str, JSONObject]]:
    """Every stored file of a request with its role; a role such as `images` has several."""
    return [
        (role, cast(JSONObject, each))
        for role, stored in inputs.items()
        for each in (stored if isinstance(stored, list) else [stored])
    ]
