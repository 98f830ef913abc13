"""A URL of the operator's as hook: the question is posted, signed as webhooks are."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from fairstack_server.egress import Egress, EgressError, Purpose
from fairstack_server.ids import new_id
from fairstack_server.moderation.hook import HookBroke

#: The name under which the egress guard knows the operator's own address.
TRUSTED_AS = "moderation"

#: Message id, time in seconds, body -> the `webhook-signature` header.
Signs = Callable[[str, int, bytes], str]


class PostHook:
    """Posts each question to one address that the operator set."""

    shows: Literal["path", "url"] = "url"

    def __init__(self, url: str, egress: Egress, sign: Signs, now: Callable[[], datetime]) -> None:
        self._url = url
        self._egress = egress
        self._sign = sign
        self._now = now

    async def ask(self, question: bytes, *, seconds: float) -> bytes:
        """The body of a 200. Raises HookBroke."""
        message_id, at = new_id("msg"), int(self._now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": self._sign(message_id, at, question),
        }
        try:
            answer = await self._egress.post(
                self._url,
                question,
                headers,
                timeout_seconds=seconds,
                purpose=Purpose.MODERATION,
                trusted=self._egress.trusted(TRUSTED_AS),
            )
        except EgressError as error:
            raise HookBroke(f"the address gave no answer: {error}") from error
        if answer.status != 200:
            raise HookBroke(f"the address answered {answer.status}")
        return answer.body
