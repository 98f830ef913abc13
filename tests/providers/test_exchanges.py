"""The contract of every provider, proven on every exchange of its fixture."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from fairstack_server.providers.base import (
    CallbackRequest,
    CanCancel,
    CancelOutcome,
    CanCheckKey,
    CanFind,
    Failed,
    KeyCheck,
    Pending,
    Provider,
    ProviderError,
    RateLimitedUpstream,
    ReadsCallbacks,
    Submission,
    Succeeded,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.local import Local
from fairstack_server.providers.registry import SPOKEN, build_providers
from fairstack_server.settings import Settings
from tests.providers.exchanges import Exchange, playing, read_exchanges
from tests.providers.makers import ManualClock

EXCHANGES = read_exchanges()
ALWAYS = {
    "ok",
    "refused",
    "rate_limited",
    "moderated",
    "crashed",
    "malformed",
    "pending",
    "done",
    "failed",
    "unknown_status",
    "forgotten",
}
BY_ABILITY = {
    CanCancel: {"cancelled", "cancel_too_late", "cancel_broken"},
    CanFind: {"found", "not_found", "found_twice", "find_malformed"},
    CanCheckKey: {"key_ok", "key_refused", "key_check_broken"},
    ReadsCallbacks: {"callback_ok", "callback_forged", "callback_stale", "callback_malformed"},
}


def _built(exchange: Exchange, base: str, sessions: Sessions) -> Provider:
    values = exchange.filled(exchange.fixture["settings"], base)
    settings = Settings(home=Path("/nowhere"), providers=values)
    return build_providers(settings, sessions, ManualClock())[exchange.provider]


async def _call(provider: Provider, exchange: Exchange, base: str) -> object:
    told = exchange.filled(exchange.told, base)
    match told["call"]:
        case "submit":
            return await provider.submit(exchange.order())
        case "poll":
            return await provider.poll(told["ref"])
        case "cancel":
            assert isinstance(provider, CanCancel)
            return await provider.cancel(told["ref"])
        case "find":
            assert isinstance(provider, CanFind)
            return await provider.find(exchange.order(), datetime.fromisoformat(told["since"]))
        case "check_key":
            assert isinstance(provider, CanCheckKey)
            return await provider.check_key()
        case "callback":
            assert isinstance(provider, ReadsCallbacks)
            order = exchange.order()
            request = CallbackRequest(
                told["callback"]["headers"], exchange.told["callback"]["body"].encode(), order.nonce
            )
            return await provider.read_callback(order.endpoint, request)
        case other:
            raise AssertionError(f"no such call: {other}")


def _in_fixture_words(result: object, wanted: dict[str, Any]) -> dict[str, Any]:
    """The result as a fixture would write it, with the details that the fixture speaks of."""
    detail = next(iter(wanted.values()))
    match result:
        case Submission(ref):
            return {"submission": ref}
        case Succeeded(clip, facts):
            shown: dict[str, Any] = {"url": clip.url, "headers": dict(clip.headers)}
            shown["facts"] = {name: getattr(facts, name) for name in (detail or {}).get("facts", {})}
            return {"succeeded": {name: shown[name] for name in detail}}
        case Failed(reason, message):
            shown = {"reason": reason, "message": message}
            return {"failed": {name: shown[name] for name in detail}}
        case Pending(progress, started):
            return {"pending": {"started": started, "progress": progress}}
        case RateLimitedUpstream(seconds):
            return {"rate_limited": seconds}
        case ProviderError() as error:
            return {"error": {"sent": error.sent, "permanent": error.permanent}}
        case CancelOutcome() as outcome:
            return {"cancel": outcome.value}
        case {"id": str(task_id)}:
            return {next(iter(wanted)): task_id}
        case None:
            return {next(iter(wanted)): None}
        case KeyCheck(accepted, _):
            return {"key_accepted": accepted}
        case list():
            return {"found": [ref["id"] for ref in result]}
        case _:
            raise AssertionError(f"no fixture can say {result!r}")


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: f"{e.provider}-{e.case}")
async def test_exchange(exchange: Exchange, sessions: Sessions) -> None:
    """The right requests go out, the answer means what the fixture says, and the key stays on the wire."""
    result: object
    with structlog.testing.capture_logs() as logs:
        async with playing(exchange) as vendor:
            provider = _built(exchange, vendor.base, sessions)
            try:
                result = await _call(provider, exchange, vendor.base)
            except ProviderError as error:
                result = error
            wanted = exchange.filled(exchange.told["gives"], vendor.base)
            assert vendor.differences == [] and vendor.left == 0
            assert _in_fixture_words(result, wanted) == wanted
            _check_safe(result, exchange.key, f"{logs} {provider!r}", vendor.base)


def _check_safe(result: object, key: str, told: str, base: str) -> None:
    assert key not in f"{result!r} {result} {told}"
    match result:
        case Submission(ref) | (dict() as ref):
            assert json.loads(json.dumps(ref)) == ref and isinstance(ref["id"], str)
            assert key not in json.dumps(ref)
        case Succeeded(clip):
            assert clip.url is not None and clip.url.startswith(("https://", f"{base}/"))
            assert not clip.headers or clip.url.startswith(f"{base}/")
        case Failed(_, message):
            assert 0 < len(message) <= 300 and "<" not in message and "://" not in message
        case KeyCheck(_, message):
            assert 0 < len(message) <= 200 and "<" not in message and "://" not in message
        case _:
            pass


@pytest.mark.parametrize("name", sorted({exchange.provider for exchange in EXCHANGES}))
def test_no_case_is_missing(name: str, sessions: Sessions) -> None:
    """A provider's fixture has every case that its abilities call for."""
    own = [exchange for exchange in EXCHANGES if exchange.provider == name]
    provider = _built(own[0], "http://127.0.0.1:1", sessions)
    wanted = ALWAYS.union(*(cases for ability, cases in BY_ABILITY.items() if isinstance(provider, ability)))
    assert wanted - {exchange.case for exchange in own} == set()
    assert len({exchange.case for exchange in own}) == len(own)


def test_every_vendor_has_a_fixture(sessions: Sessions, tmp_path: Path) -> None:
    """A vendor that can be configured has exchanges, and every one that is spoken can be configured."""
    every = {
        name: value
        for exchange in EXCHANGES
        for name, value in exchange.filled(exchange.fixture["settings"], "http://127.0.0.1:1").items()
    }
    built = build_providers(Settings(home=tmp_path, providers=every), sessions, ManualClock())
    assert set(built) == {exchange.provider for exchange in EXCHANGES}
    assert set(built) | {Local.name} == SPOKEN
