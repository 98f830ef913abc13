"""MiniMax: the typed list of v2, the file at the end of v1, and what each protocol keeps to itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from fairstack_server.clock import SystemClock
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import (
    CallbackRequest,
    CancelOutcome,
    Failed,
    InputFile,
    Order,
    ProviderError,
    Submission,
    Succeeded,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.minimax import MiniMax
from tests.providers.test_vendors import CASES, DIALECTS
from tests.upstreams.minimax import FakeMiniMax
from tests.upstreams.upstream import Script

V1, V2 = DIALECTS["minimax/v1"].order, CASES["minimax"].order
PICTURES = tuple(
    InputFile("image/png", "00", f"/nowhere/{number}", f"https://gate.example/f/{number}.png")
    for number in range(3)
)
CALLBACK = "https://gate.example/callbacks/minimax/nonce-1"
END = replace(PICTURES[0], path="/nowhere/end", url="https://gate.example/f/end.png")


def _minimax(sessions: Sessions, fake: FakeMiniMax) -> MiniMax:
    return MiniMax(sessions, fake.key, fake.base_url, SystemClock())


async def _sent(minimax: MiniMax, fake: FakeMiniMax, order: Order) -> object:
    """The body that the stand-in took this order with."""
    taken = await minimax.submit(order)
    assert isinstance(taken, Submission), taken
    return fake.log.submits[-1].body


async def test_both_frames_travel_in_their_roles(sessions: Sessions, fake_minimax: FakeMiniMax) -> None:
    """The text comes first, then the first and the last frame, each under its role."""
    order = replace(V2, end_image=END, field_map={**V2.field_map, "end_image": "content.last_frame"})
    body = await _sent(_minimax(sessions, fake_minimax), fake_minimax, order)
    assert isinstance(body, dict) and body["content"] == [
        {"type": "text", "text": "slow zoom"},
        {"type": "image_url", "image_url": {"url": "https://gate.example/f/cat.png"}, "role": "first_frame"},
        {"type": "image_url", "image_url": {"url": "https://gate.example/f/end.png"}, "role": "last_frame"},
    ]


async def test_every_reference_is_an_item(sessions: Sessions, fake_minimax: FakeMiniMax) -> None:
    """A list of pictures becomes as many items of one role, in their order."""
    order = replace(
        V2,
        image=None,
        images=PICTURES,
        aspect_ratio="auto",
        values={"aspect_ratio": {"auto": "adaptive"}},
        field_map={**V2.field_map, "images": "content.reference_image", "aspect_ratio": "ratio"},
    )
    body = await _sent(_minimax(sessions, fake_minimax), fake_minimax, order)
    assert isinstance(body, dict) and body["ratio"] == "adaptive"
    assert [item["image_url"]["url"] for item in body["content"][1:]] == [file.url for file in PICTURES]
    assert {item["role"] for item in body["content"][1:]} == {"reference_image"}


async def test_a_role_that_minimax_lacks_is_the_routes_fault(
    sessions: Sessions, fake_minimax: FakeMiniMax
) -> None:
    """A route that names an unknown role orders nothing, and is not tried again."""
    order = replace(V2, field_map={**V2.field_map, "image": "content.middle_frame"})
    with pytest.raises(ProviderError, match="middle_frame") as caught:
        await _minimax(sessions, fake_minimax).submit(order)
    assert (caught.value.sent, caught.value.permanent) == (False, True)
    assert fake_minimax.log.seen == []


async def test_the_subject_of_v1_is_a_list_in_a_list(sessions: Sessions, fake_minimax: FakeMiniMax) -> None:
    """S2V-01 takes its one picture inside a typed subject."""
    order = replace(
        V1,
        field_map={"prompt": "prompt", "image": "subject_reference[0].image[0]"},
        fixed={"model": "S2V-01", "subject_reference[0].type": "character"},
    )
    body = await _sent(_minimax(sessions, fake_minimax), fake_minimax, order)
    subject = {"image": ["https://gate.example/f/cat.png"], "type": "character"}
    assert isinstance(body, dict) and body["subject_reference"] == [subject]


@asynccontextmanager
async def _called(answer: Callable[[CallbackRequest], JSONObject | None]) -> AsyncIterator[str]:
    """The address of a server that gives this answer to whoever calls it back."""

    async def called(request: web.Request) -> web.Response:
        return web.json_response(answer(CallbackRequest({}, await request.read(), "nonce-1")))

    app = web.Application()
    app.router.add_post("/callbacks/minimax/nonce-1", called)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("order", [V1, V2], ids=["v1", "v2"])
async def test_a_challenge_is_repeated(sessions: Sessions, fake_minimax: FakeMiniMax, order: Order) -> None:
    """MiniMax tries the callback's URL while it takes the order: its word comes back, and nothing with it."""
    minimax = _minimax(sessions, fake_minimax)
    async with _called(minimax.answer_challenge) as fake_minimax.callbacks_reach:
        body = await _sent(minimax, fake_minimax, replace(order, callback_url=CALLBACK))
    assert isinstance(body, dict) and body["callback_url"] == CALLBACK


async def test_a_challenge_that_is_not_repeated_makes_no_task(
    sessions: Sessions, fake_minimax: FakeMiniMax
) -> None:
    """An order whose callback's URL answers anything else is refused."""
    async with _called(lambda _: {"challenge": "x"}) as fake_minimax.callbacks_reach:
        answer = await _minimax(sessions, fake_minimax).submit(replace(V2, callback_url=CALLBACK))
    assert isinstance(answer, Failed) and "challenge" in answer.message
    assert fake_minimax.log.tasks == {}


@pytest.mark.parametrize("body", [b'{"task_id": "1"}', b'{"challenge": 7}', b"[]", b"{not json"])
async def test_what_is_no_challenge_is_not_answered(
    sessions: Sessions, fake_minimax: FakeMiniMax, body: bytes
) -> None:
    """Nothing but a word is given back to whoever calls."""
    call = CallbackRequest({}, body, "nonce-1")
    assert _minimax(sessions, fake_minimax).answer_challenge(call) is None


async def test_a_file_is_asked_for_once_the_render_is_over(
    sessions: Sessions, fake_minimax: FakeMiniMax
) -> None:
    """v1 is asked for the file at the end only, and each look gives an address anew."""
    fake_minimax.script = Script(render_polls=1)
    minimax = _minimax(sessions, fake_minimax)
    taken = await minimax.submit(V1)
    assert isinstance(taken, Submission)
    await minimax.poll(taken.ref)
    assert fake_minimax.log.of("result") == []
    for looks in (1, 2):
        assert isinstance(await minimax.poll(taken.ref), Succeeded)
        assert len(fake_minimax.log.of("result")) == looks


async def test_what_runs_is_not_stopped(sessions: Sessions, fake_minimax: FakeMiniMax) -> None:
    """v2 stops what waits, never what runs: nobody asks it to, and the clip comes."""
    fake_minimax.script = Script(render_polls=2)
    minimax = _minimax(sessions, fake_minimax)
    taken = await minimax.submit(V2)
    assert isinstance(taken, Submission)
    assert await minimax.cancel(taken.ref) is CancelOutcome.TOO_LATE
    assert fake_minimax.log.of("cancel") == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"resolution": "1080P", "duration": 10}, "1080P lasts 6 seconds"),
        ({"duration": 5}, "duration"),
        ({"model": "I2V-02"}, "no model"),
        ({"resolution": "2K"}, "resolution"),
    ],
)
async def test_what_v1_does_not_take_is_refused_inside_http_200(
    sessions: Sessions, fake_minimax: FakeMiniMax, changed: dict[str, object], said: str
) -> None:
    """The strict stand-in refuses what a model of v1 cannot do, and makes no task."""
    order = replace(V1, fixed={**V1.fixed, **changed})  # type: ignore[dict-item]
    answer = await _minimax(sessions, fake_minimax).submit(order)
    assert isinstance(answer, Failed) and answer.reason == "refused" and said in answer.message
    assert fake_minimax.log.tasks == {}
