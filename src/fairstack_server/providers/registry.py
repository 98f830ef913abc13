"""Builds the providers that the settings enable, and says what would enable the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast, get_args

from fairstack_server.clock import Clock
from fairstack_server.providers.base import Provider
from fairstack_server.providers.fal import Fal, FalAddresses
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.local import Local, Pool
from fairstack_server.providers.openai_videos import Dialect, OpenAIVideos
from fairstack_server.providers.sandbox import MakeCard, Sandbox
from fairstack_server.settings import Settings, SettingsError

#: Provider -> the settings that it cannot do without, by the vendors' usual names.
REQUIRED_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "bfl": ("BFL_API_KEY",),
    "byteplus": ("ARK_API_KEY",),
    "dashscope": ("DASHSCOPE_API_KEY",),
    "fal": ("FAL_KEY",),
    "google": ("GOOGLE_CLOUD_PROJECT",),
    "kling": ("KLING_ACCESS_KEY", "KLING_SECRET_KEY"),
    "ltx": ("LTX_API_KEY",),
    "luma": ("LUMAAI_API_KEY",),
    "minimax": ("MINIMAX_API_KEY",),
    "openai_videos": ("OPENAI_VIDEOS_URL",),
    "pixverse": ("PIXVERSE_API_KEY",),
    "replicate": ("REPLICATE_API_TOKEN",),
    "runway": ("RUNWAYML_API_SECRET",),
    "vidu": ("VIDU_API_KEY",),
    "xai": ("XAI_API_KEY",),
}


#: The providers that this version can speak to; the others are in the catalog, waiting for their module.
SPOKEN = frozenset({Fal.name, Local.name, OpenAIVideos.name})


def missing_setting(provider: str, configured: Mapping[str, str] | None = None) -> str | None:
    """The first setting that this provider still lacks; None when it lacks none or takes none."""
    have = configured or {}
    return next((name for name in REQUIRED_SETTINGS.get(provider, ()) if not have.get(name)), None)


def build_providers(
    settings: Settings,
    sessions: Sessions,
    clock: Clock,
    *,
    render_pool: Pool | None = None,
    make_card: MakeCard | None = None,
) -> Mapping[str, Provider]:
    """Name -> provider, for every one that is configured; `local` and `sandbox` when their makers are given.

    Raises SettingsError naming the setting whose value cannot be used.
    """
    values = settings.providers
    providers: dict[str, Provider] = {}
    work_dir = settings.home / "work"
    if render_pool is not None:
        providers[Local.name] = Local(render_pool, work_dir / Local.name)
    if make_card is not None:
        providers[Sandbox.name] = Sandbox(make_card, work_dir / Sandbox.name, clock)
    if missing_setting(Fal.name, values) is None:
        providers[Fal.name] = _fal(values, sessions, clock)
    if missing_setting(OpenAIVideos.name, values) is None:
        providers[OpenAIVideos.name] = _openai_videos(values, sessions, clock)
    return providers


def _fal(values: Mapping[str, str], sessions: Sessions, clock: Clock) -> Fal:
    queue = values.get("FAL_QUEUE_URL")
    addresses = FalAddresses.all_under(queue) if queue else FalAddresses()
    try:
        return Fal(sessions, values["FAL_KEY"], addresses, clock)
    except ValueError as error:
        raise SettingsError(f"FAL_KEY or FAL_QUEUE_URL cannot be used: {error}") from None


def _openai_videos(values: Mapping[str, str], sessions: Sessions, clock: Clock) -> OpenAIVideos:
    dialect = values.get("OPENAI_VIDEOS_DIALECT", "multipart")
    if dialect not in get_args(Dialect):
        raise SettingsError(
            f"OPENAI_VIDEOS_DIALECT={dialect!r} cannot be used: it is one of {get_args(Dialect)}"
        )
    key = values.get("OPENAI_VIDEOS_KEY", "")
    try:
        return OpenAIVideos(sessions, values["OPENAI_VIDEOS_URL"], key, clock, cast(Dialect, dialect))
    except ValueError as error:
        raise SettingsError(f"OPENAI_VIDEOS_URL or OPENAI_VIDEOS_KEY cannot be used: {error}") from None
