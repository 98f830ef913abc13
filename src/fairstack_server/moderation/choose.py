"""The hook that the settings name: a program, an address, or none."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from fairstack_server.egress import Egress
from fairstack_server.moderation.command import CommandHook
from fairstack_server.moderation.hook import AsksHook
from fairstack_server.moderation.judge import Moderation
from fairstack_server.moderation.post import PostHook
from fairstack_server.settings import Settings, SettingsError

#: Secrets, message id, time in seconds, body -> the `webhook-signature` header.
Signature = Callable[[Sequence[str], str, int, bytes], str]


def build_moderation(
    settings: Settings, egress: Egress, signature: Signature, now: Callable[[], datetime]
) -> Moderation:
    """Moderation by these settings. Raises SettingsError for what cannot be meant, before anything passes."""
    return Moderation(
        _hook(settings, egress, signature, now),
        timeout_seconds=settings.moderation_timeout_seconds,
        fail_open=settings.moderation_fail_open,
    )


def _hook(
    settings: Settings, egress: Egress, signature: Signature, now: Callable[[], datetime]
) -> AsksHook | None:
    if settings.moderation_command and settings.moderation_url:
        raise SettingsError(
            "FAIRSTACK_MODERATION_COMMAND and FAIRSTACK_MODERATION_URL are both set: keep one of them."
        )
    if settings.moderation_command:
        return CommandHook(_program(settings.moderation_command), at_once=settings.moderation_processes)
    if not settings.moderation_url:
        return None
    sign = partial(signature, [settings.moderation_secret])
    try:
        sign("msg_0", 0, b"")
    except ValueError as error:
        raise SettingsError(
            "FAIRSTACK_MODERATION_SECRET cannot be used: write whsec_ and at least one byte in base64."
        ) from error
    return PostHook(settings.moderation_url, egress, sign, now)


def _program(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SettingsError(f"FAIRSTACK_MODERATION_COMMAND cannot be read: {error}.") from error
    if not words or shutil.which(words[0]) is None:
        raise SettingsError(f"FAIRSTACK_MODERATION_COMMAND names no program that can be run: {command!r}.")
    return words
