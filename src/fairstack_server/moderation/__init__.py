"""The operator's say over prompts and clips: a command or a URL is asked; no list of ours."""

from fairstack_server.moderation.choose import build_moderation
from fairstack_server.moderation.command import CommandHook
from fairstack_server.moderation.hook import AsksHook, HookBroke
from fairstack_server.moderation.judge import ContentRefused, Moderation, NoVerdict
from fairstack_server.moderation.post import TRUSTED_AS, PostHook
from fairstack_server.moderation.question import ClipAsked, FileShown, RequestAsked

__all__ = [
    "TRUSTED_AS",
    "AsksHook",
    "ClipAsked",
    "CommandHook",
    "ContentRefused",
    "FileShown",
    "HookBroke",
    "Moderation",
    "NoVerdict",
    "PostHook",
    "RequestAsked",
    "build_moderation",
]
