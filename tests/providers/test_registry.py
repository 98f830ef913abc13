"""Which providers the settings enable."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairstack_server.providers.base import CanCancel, CanFind, CanResend, ReadsCallbacks, SubmitClass
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.registry import REQUIRED_SETTINGS, build_providers, missing_setting
from fairstack_server.settings import Settings, SettingsError
from tests.providers.makers import ManualClock

GOOGLE = {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_ACCESS_TOKEN": "t"}


def _settings(home: Path, **values: str) -> Settings:
    return Settings(home=home, providers=values)


@pytest.mark.parametrize(
    ("provider", "setting"),
    [
        ("fal", "FAL_KEY"),
        ("replicate", "REPLICATE_API_TOKEN"),
        ("google", "GOOGLE_CLOUD_PROJECT"),
        ("runway", "RUNWAYML_API_SECRET"),
        ("kling", "KLING_ACCESS_KEY"),
        ("openai_videos", "OPENAI_VIDEOS_URL"),
        ("local", None),
        ("sandbox", None),
    ],
)
def test_the_setting_that_is_missing(provider: str, setting: str | None) -> None:
    """For a provider that is not configured, the setting that would enable it is named."""
    assert missing_setting(provider) == setting


def test_the_first_of_several_settings_that_is_missing() -> None:
    """Where a provider wants two, the one that is still missing is named, and none when both are there."""
    assert missing_setting("kling", {"KLING_ACCESS_KEY": "a"}) == "KLING_SECRET_KEY"
    assert missing_setting("kling", {"KLING_ACCESS_KEY": "a", "KLING_SECRET_KEY": "b"}) is None
    assert missing_setting("fal", {"FAL_KEY": ""}) == "FAL_KEY"


def test_another_setting_does_as_well() -> None:
    """An API key stands for Kling's pair, an access token for Google's key file; half of either does not."""
    assert missing_setting("kling", {"KLING_API_KEY": "a"}) is None
    assert missing_setting("google", GOOGLE) is None
    assert missing_setting("google", {"GOOGLE_CLOUD_PROJECT": "p"}) == "GOOGLE_APPLICATION_CREDENTIALS"
    assert missing_setting("google", {"GOOGLE_ACCESS_TOKEN": "t"}) == "GOOGLE_CLOUD_PROJECT"


def test_nothing_configured_builds_nothing(sessions: Sessions, clock: ManualClock, tmp_path: Path) -> None:
    """A fresh install has no vendor, and asks none for anything."""
    assert build_providers(_settings(tmp_path), sessions, clock) == {}


def test_keys_build_providers(sessions: Sessions, clock: ManualClock, tmp_path: Path) -> None:
    """Each configured vendor is there under its name, with its class and its abilities."""
    keys = {
        "FAL_KEY": "k",
        "OPENAI_VIDEOS_URL": "http://127.0.0.1:8000",
        "REPLICATE_API_TOKEN": "k",
        "RUNWAYML_API_SECRET": "k",
        "LUMAAI_API_KEY": "k",
        "KLING_API_KEY": "k",
        "MINIMAX_API_KEY": "k",
        "PIXVERSE_API_KEY": "k",
        "VIDU_API_KEY": "k",
        "XAI_API_KEY": "k",
    }
    built = build_providers(_settings(tmp_path, **keys, **GOOGLE), sessions, clock)
    assert {name: provider.submit_class for name, provider in built.items()} == {
        "fal": SubmitClass.C,
        "google": SubmitClass.D,
        "kling": SubmitClass.B,
        "luma": SubmitClass.C,
        "minimax": SubmitClass.D,
        "openai_videos": SubmitClass.C,
        "pixverse": SubmitClass.A,
        "replicate": SubmitClass.C,
        "runway": SubmitClass.D,
        "vidu": SubmitClass.C,
        "xai": SubmitClass.D,
    }
    assert all(name == provider.name and name in REQUIRED_SETTINGS for name, provider in built.items())
    assert [name for name, provider in built.items() if isinstance(provider, CanResend)] == ["pixverse"]
    for ability in (CanCancel, CanFind, ReadsCallbacks):
        assert isinstance(built["fal"], ability)
    assert isinstance(built["openai_videos"], CanCancel) and isinstance(built["openai_videos"], CanFind)
    assert not isinstance(built["openai_videos"], ReadsCallbacks)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"FAL_KEY": "a\nb"}, "FAL_KEY"),
        ({"FAL_KEY": "k", "FAL_QUEUE_URL": "queue.fal.run"}, "FAL_QUEUE_URL"),
        ({"OPENAI_VIDEOS_URL": "ftp://host"}, "OPENAI_VIDEOS_URL"),
        ({"REPLICATE_API_TOKEN": "a\nb"}, "REPLICATE_API_TOKEN"),
        ({"RUNWAYML_API_SECRET": "k", "RUNWAYML_URL": "runway"}, "RUNWAYML_URL"),
        ({"LUMAAI_API_KEY": "ü"}, "LUMAAI_API_KEY"),
        ({"KLING_API_KEY": "k", "KLING_URL": "kling"}, "KLING_URL"),
        ({"MINIMAX_API_KEY": "k", "MINIMAX_URL": "minimax"}, "MINIMAX_URL"),
        ({"PIXVERSE_API_KEY": "ü"}, "PIXVERSE_API_KEY"),
        ({"VIDU_API_KEY": "k", "VIDU_URL": "vidu"}, "VIDU_URL"),
        ({"XAI_API_KEY": "k", "XAI_URL": "xai"}, "XAI_URL"),
        (GOOGLE | {"GOOGLE_ACCESS_TOKEN": "a\nb"}, "GOOGLE_ACCESS_TOKEN"),
        (GOOGLE | {"GOOGLE_STORAGE_URI": "s3://clips"}, "GOOGLE_STORAGE_URI"),
        (GOOGLE | {"GOOGLE_CLOUD_LOCATION": "a/b"}, "GOOGLE_CLOUD_LOCATION"),
        (GOOGLE | {"GOOGLE_CLOUD_PROJECT": "../x"}, "GOOGLE_CLOUD_PROJECT"),
        (
            {"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/account.json"},
            "account.json cannot be read",
        ),
        ({"OPENAI_VIDEOS_URL": "http://host", "OPENAI_VIDEOS_DIALECT": "xml"}, "OPENAI_VIDEOS_DIALECT"),
    ],
)
def test_a_useless_value_names_its_setting(
    sessions: Sessions, clock: ManualClock, tmp_path: Path, values: dict[str, str], named: str
) -> None:
    """A setting that cannot be used stops the start and is named."""
    with pytest.raises(SettingsError, match=named):
        build_providers(_settings(tmp_path, **values), sessions, clock)
