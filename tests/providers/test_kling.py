"""Kling: tokens that its pair of keys signs, and errors inside HTTP 200."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    Failed,
    Fault,
    ProviderError,
    RateLimitedUpstream,
    Submission,
    Succeeded,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.kling import Kling
from tests.providers.makers import ManualClock
from tests.providers.test_vendors import CASES
from tests.upstreams.kling import FakeKling

ORDER = CASES["kling"].order


async def test_a_pair_of_keys_signs_every_call(sessions: Sessions, fake_kling: FakeKling) -> None:
    """A token made of access and secret key is taken for submit and poll; the secret itself never leaves."""
    kling = Kling(sessions, SystemClock(), fake_kling.base_url, pair=fake_kling.pair)
    taken = await kling.submit(ORDER)
    assert isinstance(taken, Submission)
    assert isinstance(await kling.poll(taken.ref), Succeeded)
    sent = str(fake_kling.log.seen)
    assert fake_kling.pair[1] not in sent and fake_kling.key not in sent


async def test_a_token_lives_for_half_an_hour(sessions: Sessions, fake_kling: FakeKling) -> None:
    """Tokens carry the time of their call: by a clock that is an hour late they are refused, for good."""
    late = ManualClock(SystemClock().now() - timedelta(hours=1))
    kling = Kling(sessions, late, fake_kling.base_url, pair=fake_kling.pair)
    with pytest.raises(ProviderError) as caught:
        await kling.submit(ORDER)
    assert (caught.value.sent, caught.value.permanent) == (False, True)
    late.move(3600)
    assert isinstance(await kling.submit(ORDER), Submission)


@pytest.mark.parametrize(
    ("code", "fault"),
    [(1000, Fault.KEY), (1103, Fault.KEY), (1101, Fault.CREDIT), (1102, Fault.CREDIT), (1304, Fault.CALL)],
)
async def test_a_code_tells_the_key_from_the_credit(sessions: Sessions, code: int, fault: Fault) -> None:
    """What is wrong with our account is said so that orders stop going there; nothing was sent for good."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": code, "message": "no", "request_id": "r"})

    app = web.Application()
    app.router.add_post(ORDER.endpoint, answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        with pytest.raises(ProviderError) as caught:
            await Kling(sessions, SystemClock(), address, api_key="k").submit(ORDER)
    finally:
        await runner.cleanup()
    assert (caught.value.sent, caught.value.permanent, caught.value.fault) == (False, True, fault)


async def test_errors_inside_a_success(sessions: Sessions, fake_kling: FakeKling) -> None:
    """With HTTP 200 throughout, a refusal is a refusal, no room is a wait, a stranger's key is for good."""
    fake_kling.http_errors = False
    kling = Kling(sessions, SystemClock(), fake_kling.base_url, api_key=fake_kling.key)
    refused = await kling.submit(replace(ORDER, fixed={"model_name": "gpt"}))
    assert isinstance(refused, Failed) and refused.reason == "refused"
    fake_kling.max_in_flight = 0
    assert await kling.submit(ORDER) == RateLimitedUpstream(1.0)
    stranger = Kling(sessions, SystemClock(), fake_kling.base_url, api_key="wrong")
    with pytest.raises(ProviderError) as caught:
        await stranger.submit(ORDER)
    assert (caught.value.sent, caught.value.permanent) == (False, True)
    assert fake_kling.log.tasks == {}


class _Telltale(FakeKling):
    """Repeats the credentials of a submit in its refusal."""

    async def order(self, request: web.Request) -> dict[str, Any] | web.Response:
        return self.error(400, f"not for {request.headers['Authorization'].removeprefix('Bearer ')}!")


async def test_a_signed_token_is_never_shown(sessions: Sessions) -> None:
    """A token that was made for one call is blanked where the vendor repeats it."""
    async with _Telltale() as fake:
        kling = Kling(sessions, SystemClock(), fake.base_url, pair=fake.pair)
        assert await kling.submit(ORDER) == Failed(
            "refused", "The provider refused the order: not for [hidden]!"
        )
