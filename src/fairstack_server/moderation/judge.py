"""Asks the operator's hook and keeps to what it says; if it says nothing, to the operator's setting."""

from __future__ import annotations

import asyncio
import re

import msgspec
import structlog

from fairstack_server.moderation.hook import AsksHook, HookBroke
from fairstack_server.moderation.question import ClipAsked, RequestAsked

log = structlog.get_logger()

_CODE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_MAX_MESSAGE_CHARACTERS = 300
_NO_MESSAGE = "It is against the rules of this server."


class ContentRefused(Exception):
    """The hook said no: its `code`, and its `message` for the user."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class NoVerdict(Exception):
    """The hook said nothing that can be used, and without its word nothing passes here."""


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    verdict: str
    code: str = "refused"
    message: str = _NO_MESSAGE


class Moderation:
    """Judges requests and clips; everything passes where the operator has no hook."""

    def __init__(
        self, hook: AsksHook | None = None, *, timeout_seconds: float = 10.0, fail_open: bool = False
    ) -> None:
        self._hook = hook
        self._timeout_seconds = timeout_seconds
        self._fail_open = fail_open

    @property
    def asks(self) -> bool:
        """Whether there is anybody to ask."""
        return self._hook is not None

    async def judge(self, asked: RequestAsked | ClipAsked) -> None:
        """Return if it may pass. Raises ContentRefused, and NoVerdict where a broken hook stops all."""
        if self._hook is None:
            return
        question = msgspec.json.encode(asked.as_json(self._hook.shows))
        try:
            async with asyncio.timeout(self._timeout_seconds):
                verdict = _read(await self._hook.ask(question, seconds=self._timeout_seconds))
        except (HookBroke, TimeoutError) as broken:
            reason = str(broken) or f"no answer in {self._timeout_seconds:g} s"
            log.error(
                "moderation.no_verdict",
                job=asked.job,
                stage=asked.stage,
                reason=reason,
                let_through=self._fail_open,
            )
            if self._fail_open:
                return
            raise NoVerdict(reason) from broken
        if verdict.verdict == "refuse":
            log.warning(
                "moderation.refused",
                job=asked.job,
                stage=asked.stage,
                account=asked.account,
                code=verdict.code,
            )
            raise ContentRefused(verdict.code, verdict.message)


def _read(raw: bytes) -> _Verdict:
    """The verdict, if it is one in every detail: a hook that is half understood is a broken hook."""
    try:
        verdict = msgspec.json.decode(raw, type=_Verdict)
    except msgspec.DecodeError:
        # Its text is not told: it may quote what the hook was asked about.
        raise HookBroke('the answer is not {"verdict": "allow"} or {"verdict": "refuse", …}') from None
    if verdict.verdict not in ("allow", "refuse"):
        raise HookBroke("the verdict is neither allow nor refuse")
    if not _CODE.fullmatch(verdict.code):
        raise HookBroke("the code is not of the form a-z 0-9 _ . -, at most 64 characters")
    if not verdict.message.strip() or len(verdict.message) > _MAX_MESSAGE_CHARACTERS:
        raise HookBroke(f"the message is empty or longer than {_MAX_MESSAGE_CHARACTERS} characters")
    return verdict
