"""Whether a vendor would take our key: one free call, against every stand-in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import CanCheckKey, ProviderError
from fairstack_server.providers.http import ProviderHttp, Sessions
from fairstack_server.providers.key_checks import refused_key, working_key
from fairstack_server.providers.local import Local
from fairstack_server.providers.registry import BUILDERS, build_providers
from fairstack_server.providers.sandbox import Sandbox
from fairstack_server.settings import Settings
from tests.providers.test_vendors import CASES
from tests.upstreams.fal import FakeFal
from tests.upstreams.luma import FakeLuma
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.runway import FakeRunway
from tests.upstreams.upstream import Upstream


@dataclass(frozen=True)
class Keyed:
    """A vendor's stand-in, and the settings that lead to it."""

    fake: type[Upstream]
    settings: Mapping[str, str]


KEYED = {name: Keyed(case.fake, case.settings) for name, case in CASES.items()} | {
    "fal": Keyed(FakeFal, {"FAL_KEY": "$key", "FAL_QUEUE_URL": "$base"}),
    "openai_videos": Keyed(FakeOpenAIVideos, {"OPENAI_VIDEOS_URL": "$base", "OPENAI_VIDEOS_KEY": "$key"}),
}
WRONG = "wrong-key-0123456789"


def _checker(name: str, fake: Upstream, key: str, sessions: Sessions, home: Path) -> CanCheckKey:
    values = {
        setting: value.replace("$key", key).replace("$base", fake.base_url)
        for setting, value in KEYED[name].settings.items()
    }
    provider = build_providers(Settings(home=home, providers=values), sessions, SystemClock())[name]
    assert isinstance(provider, CanCheckKey)
    return provider


def test_every_vendor_can_be_asked() -> None:
    """Whoever wants a key has a free call that checks it; the engine and the sandbox want none."""
    assert set(KEYED) == set(BUILDERS)
    assert not issubclass(Local, CanCheckKey) and not issubclass(Sandbox, CanCheckKey)


@pytest.mark.parametrize("name", sorted(KEYED))
async def test_a_good_key_works_and_costs_nothing(name: str, sessions: Sessions, tmp_path: Path) -> None:
    """One call without a body; nothing is ordered by it."""
    async with KEYED[name].fake() as fake:
        told = await _checker(name, fake, fake.key, sessions, tmp_path).check_key()
        assert told.accepted and fake.key not in told.message
        [call] = fake.log.seen
        assert call.method == "GET" and call.operation != "submit"
        assert fake.log.tasks == {} and fake.log.billed == {}


@pytest.mark.parametrize("name", sorted(KEYED))
async def test_a_wrong_key_is_told(name: str, sessions: Sessions, tmp_path: Path) -> None:
    """The operator learns that the key is not accepted, in words that do not repeat it."""
    async with KEYED[name].fake() as fake:
        told = await _checker(name, fake, WRONG, sessions, tmp_path).check_key()
        assert not told.accepted and "not accepted" in told.message
        assert WRONG not in told.message and len(told.message) <= 200


@pytest.mark.parametrize("name", sorted(KEYED))
async def test_a_vendor_that_is_away_says_nothing_of_the_key(
    name: str, sessions: Sessions, tmp_path: Path
) -> None:
    """No connection is an error, which is no verdict on the key and worth another try."""
    async with KEYED[name].fake() as fake:
        checker = _checker(name, fake, fake.key, sessions, tmp_path)
        await fake.refuse()
        with pytest.raises(ProviderError) as caught:
            await checker.check_key()
        assert not caught.value.permanent and not caught.value.sent


@pytest.mark.parametrize("fake_type", [FakeRunway, FakeLuma])
async def test_an_empty_account_takes_no_orders(
    fake_type: type[FakeRunway | FakeLuma], sessions: Sessions, tmp_path: Path
) -> None:
    """A key is good for nothing while no credits are left, and good again with some."""
    async with fake_type() as fake:
        name = "runway" if isinstance(fake, FakeRunway) else "luma"
        checker = _checker(name, fake, fake.key, sessions, tmp_path)
        assert (await checker.check_key()).message == "the key works; 1,240 credits left"
        fake.credits_left = 0
        empty = await checker.check_key()
        assert not empty.accepted and "no credits left" in empty.message


def test_credits_are_told_as_people_write_them() -> None:
    """Whole credits without decimals, parts of them with two."""
    assert working_key(1240.0).message == "the key works; 1,240 credits left"
    assert working_key(3.5).message == "the key works; 3.50 credits left"


def test_a_long_explanation_is_cut(sessions: Sessions) -> None:
    """Whatever a vendor says, the message stays within 200 characters."""
    http = ProviderHttp("vendor", sessions, "https://vendor.example")
    told = refused_key(http, "HTTP 403", "no " * 200)
    assert len(told.message) == 200 and told.message.endswith(")")
