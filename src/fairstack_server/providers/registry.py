"""Builds the providers that the settings enable, and says what would enable the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, get_args

from fairstack_server.clock import Clock
from fairstack_server.leftovers import DAY, Leftovers
from fairstack_server.providers.base import Provider
from fairstack_server.providers.bfl import ADDRESS as BFL_ADDRESS
from fairstack_server.providers.bfl import BlackForestLabs
from fairstack_server.providers.byteplus import ADDRESS as BYTEPLUS_ADDRESS
from fairstack_server.providers.byteplus import BytePlus
from fairstack_server.providers.dashscope import ADDRESS as DASHSCOPE_ADDRESS
from fairstack_server.providers.dashscope import DashScope
from fairstack_server.providers.fal import Fal, FalAddresses
from fairstack_server.providers.google import DEFAULT_LOCATION, Google, VertexPlace
from fairstack_server.providers.google_token import (
    GivenToken,
    ServiceAccount,
    ServiceAccountTokens,
    TokenSource,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.kling import ADDRESS as KLING_ADDRESS
from fairstack_server.providers.kling import Kling
from fairstack_server.providers.local import Local, Pool
from fairstack_server.providers.ltx import ADDRESS as LTX_ADDRESS
from fairstack_server.providers.ltx import Ltx
from fairstack_server.providers.luma import ADDRESS as LUMA_ADDRESS
from fairstack_server.providers.luma import Luma
from fairstack_server.providers.minimax import ADDRESS as MINIMAX_ADDRESS
from fairstack_server.providers.minimax import MiniMax
from fairstack_server.providers.openai_videos import Dialect, OpenAIVideos
from fairstack_server.providers.pixverse import ADDRESS as PIXVERSE_ADDRESS
from fairstack_server.providers.pixverse import PixVerse
from fairstack_server.providers.replicate import ADDRESS as REPLICATE_ADDRESS
from fairstack_server.providers.replicate import Replicate
from fairstack_server.providers.runway import ADDRESS as RUNWAY_ADDRESS
from fairstack_server.providers.runway import Runway
from fairstack_server.providers.sandbox import MakeCard, Sandbox
from fairstack_server.providers.vidu import ADDRESS as VIDU_ADDRESS
from fairstack_server.providers.vidu import Vidu
from fairstack_server.providers.xai import ADDRESS as XAI_ADDRESS
from fairstack_server.providers.xai import XAI
from fairstack_server.settings import Settings, SettingsError

#: Provider -> the settings that it cannot do without, by the vendors' usual names.
REQUIRED_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "bfl": ("BFL_API_KEY",),
    "byteplus": ("ARK_API_KEY",),
    "dashscope": ("DASHSCOPE_API_KEY",),
    "fal": ("FAL_KEY",),
    "google": ("GOOGLE_CLOUD_PROJECT", "GOOGLE_APPLICATION_CREDENTIALS"),
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

#: The longest job of the catalog takes an hour; another day for late results, and one to spare.
_CLIPS_KEPT_SECONDS = 3 * DAY

#: A required setting -> another one that does as well.
INSTEAD: Mapping[str, str] = {
    "GOOGLE_APPLICATION_CREDENTIALS": "GOOGLE_ACCESS_TOKEN",
    "KLING_ACCESS_KEY": "KLING_API_KEY",
    "KLING_SECRET_KEY": "KLING_API_KEY",
}

#: Provider -> the setting with another address of its: a proxy, a region, a stand-in. Trusted (ruling 27).
ADDRESS_SETTINGS: Mapping[str, str] = {
    "bfl": "BFL_URL",
    "byteplus": "BYTEPLUS_URL",
    "dashscope": "DASHSCOPE_URL",
    "fal": "FAL_QUEUE_URL",
    "google": "GOOGLE_VERTEX_URL",
    "kling": "KLING_URL",
    "ltx": "LTX_URL",
    "luma": "LUMA_URL",
    "minimax": "MINIMAX_URL",
    "openai_videos": "OPENAI_VIDEOS_URL",
    "pixverse": "PIXVERSE_URL",
    "replicate": "REPLICATE_URL",
    "runway": "RUNWAYML_URL",
    "vidu": "VIDU_URL",
    "xai": "XAI_URL",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What providers are made of."""

    values: Mapping[str, str]
    """Provider settings by the vendors' names."""
    sessions: Sessions
    clock: Clock
    work_dir: Path
    """Folder of the provider's own, made when first needed."""

    def address(self, name: str, default: str) -> str:
        """The address that the operator set for this provider, else the vendor's own."""
        return self.values.get(ADDRESS_SETTINGS[name]) or default


def missing_setting(provider: str, configured: Mapping[str, str] | None = None) -> str | None:
    """The first setting that this provider still lacks; None when it lacks none or takes none."""
    have = configured or {}
    return next(
        (
            name
            for name in REQUIRED_SETTINGS.get(provider, ())
            if not have.get(name) and not have.get(INSTEAD.get(name, ""))
        ),
        None,
    )


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
    work_dir = _work_dir(settings.home)
    if render_pool is not None:
        providers[Local.name] = Local(render_pool, work_dir / Local.name)
    if make_card is not None:
        providers[Sandbox.name] = Sandbox(make_card, work_dir / Sandbox.name, clock)
    for name, build in BUILDERS.items():
        if missing_setting(name, values) is None:
            try:
                providers[name] = build(Parts(values, sessions, clock, work_dir / name))
            except ValueError as error:
                raise SettingsError(f"{_settings_of(name)} cannot be used: {error}") from None
    return providers


def provider_leftovers(home: Path) -> list[Leftovers]:
    """Clips that providers have made or taken here and no job fetched, half-made ones, pictures to move.

    A job's clip may be asked for until its job is over and has been looked for in vain for another day.
    """
    names = sorted({Local.name, Sandbox.name, *BUILDERS})
    return [Leftovers(_work_dir(home) / name, "*", _CLIPS_KEPT_SECONDS) for name in names]


def _work_dir(home: Path) -> Path:
    return home / "work"


def _settings_of(provider: str) -> str:
    names = [*REQUIRED_SETTINGS[provider], ADDRESS_SETTINGS[provider]]
    return " or ".join(dict.fromkeys(names))


def _fal(parts: Parts) -> Fal:
    queue = parts.values.get("FAL_QUEUE_URL")
    addresses = FalAddresses.all_under(queue) if queue else FalAddresses()
    return Fal(parts.sessions, parts.values["FAL_KEY"], addresses, parts.clock)


def _openai_videos(parts: Parts) -> OpenAIVideos:
    values = parts.values
    dialect = values.get("OPENAI_VIDEOS_DIALECT", "multipart")
    if dialect not in get_args(Dialect):
        raise ValueError(f"OPENAI_VIDEOS_DIALECT={dialect!r} is not one of {get_args(Dialect)}")
    key = values.get("OPENAI_VIDEOS_KEY", "")
    return OpenAIVideos(parts.sessions, values["OPENAI_VIDEOS_URL"], key, parts.clock, cast(Dialect, dialect))


def _google(parts: Parts) -> Google:
    values = parts.values
    place = VertexPlace(
        project=values["GOOGLE_CLOUD_PROJECT"],
        location=values.get("GOOGLE_CLOUD_LOCATION") or DEFAULT_LOCATION,
        bucket=values.get("GOOGLE_STORAGE_URI") or None,
        address=values.get("GOOGLE_VERTEX_URL") or None,
    )
    return Google(parts.sessions, place, _google_tokens(parts), parts.work_dir, parts.clock)


def _google_tokens(parts: Parts) -> TokenSource:
    if given := parts.values.get("GOOGLE_ACCESS_TOKEN"):
        return GivenToken(given)
    account = ServiceAccount.read(Path(parts.values["GOOGLE_APPLICATION_CREDENTIALS"]).expanduser())
    return ServiceAccountTokens(parts.sessions, account, parts.clock)


def _kling(parts: Parts) -> Kling:
    values = parts.values
    return Kling(
        parts.sessions,
        parts.clock,
        parts.address(Kling.name, KLING_ADDRESS),
        api_key=values.get("KLING_API_KEY", ""),
        pair=(values.get("KLING_ACCESS_KEY", ""), values.get("KLING_SECRET_KEY", "")),
    )


def _ltx(parts: Parts) -> Ltx:
    address = parts.address(Ltx.name, LTX_ADDRESS)
    return Ltx(parts.sessions, parts.values["LTX_API_KEY"], address, parts.work_dir, parts.clock)


class _OneKey(Protocol):
    """A provider that is made of one key and one address."""

    name: str

    def __call__(self, sessions: Sessions, key: str, address: str, clock: Clock, /) -> Provider: ...


def _one_key(kind: _OneKey, address: str) -> Callable[[Parts], Provider]:
    """How a provider of one key is made: its key from its one required setting."""
    [key] = REQUIRED_SETTINGS[kind.name]
    return lambda parts: kind(
        parts.sessions, parts.values[key], parts.address(kind.name, address), parts.clock
    )


#: Vendor -> how it is made from the settings; raises ValueError for a value that cannot be used.
BUILDERS: Mapping[str, Callable[[Parts], Provider]] = {
    BlackForestLabs.name: _one_key(BlackForestLabs, BFL_ADDRESS),
    BytePlus.name: _one_key(BytePlus, BYTEPLUS_ADDRESS),
    DashScope.name: _one_key(DashScope, DASHSCOPE_ADDRESS),
    Fal.name: _fal,
    Google.name: _google,
    Kling.name: _kling,
    Ltx.name: _ltx,
    Luma.name: _one_key(Luma, LUMA_ADDRESS),
    MiniMax.name: _one_key(MiniMax, MINIMAX_ADDRESS),
    OpenAIVideos.name: _openai_videos,
    PixVerse.name: _one_key(PixVerse, PIXVERSE_ADDRESS),
    Replicate.name: _one_key(Replicate, REPLICATE_ADDRESS),
    Runway.name: _one_key(Runway, RUNWAY_ADDRESS),
    Vidu.name: _one_key(Vidu, VIDU_ADDRESS),
    XAI.name: _one_key(XAI, XAI_ADDRESS),
}

#: The providers that this version can speak to; the others are in the catalog, waiting for their module.
SPOKEN = frozenset(BUILDERS) | {Local.name}
