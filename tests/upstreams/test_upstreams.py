"""The stand-ins are as strict, as faulty and as truthful as they say."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import aiohttp
import av
import pytest
from aiohttp import web

from tests.upstreams.clip import clip_bytes
from tests.upstreams.fal import FakeFal
from tests.upstreams.fal_schema import TABLE, complaints, unchecked_endpoints
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.upstream import Script, Upstream

KLING = "fal-ai/kling-video/v2.1/standard/image-to-video"
GOOD = {"prompt": "p", "image_url": "https://a/b.png", "duration": "5"}


async def _post(fal: FakeFal, body: Any, *, path: str = KLING, key: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Key {key or fal.key}"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{fal.base_url}/{path}", json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"duration": 5}, "duration"),
        ({"duration": "7"}, "duration"),
        ({"cfg_scale": "0.5"}, "cfg_scale"),
        ({"cfg_scale": True}, "cfg_scale"),
        ({"image_url": "b.png"}, "image_url"),
        ({"aspect_ratio": "16:9"}, "aspect_ratio"),
        ({"prompt": None}, "prompt"),
    ],
)
async def test_fal_refuses_what_its_types_refuse(
    fake_fal: FakeFal, changed: dict[str, Any], place: str
) -> None:
    """A wrong type, a value outside the set, or an unknown field is a 422 that names the place; no task."""
    status, answer = await _post(fake_fal, GOOD | changed)
    assert status == 422 and [entry["loc"] for entry in answer["detail"]] == [["body", place]]
    assert fake_fal.log.tasks == {} and len(fake_fal.log.submits) == 1


async def test_fal_wants_what_is_required(fake_fal: FakeFal) -> None:
    """A missing field, a wrong key, and an unknown endpoint are refused; the right call is taken."""
    assert (await _post(fake_fal, {"prompt": "p"}))[0] == 422
    assert (await _post(fake_fal, GOOD, key="wrong"))[0] == 401
    assert (await _post(fake_fal, GOOD, path="fal-ai/no/such"))[0] == 404
    status, receipt = await _post(fake_fal, GOOD)
    assert status == 200 and receipt["status_url"].endswith(f"/requests/{receipt['request_id']}/status")
    assert fake_fal.log.billed == {receipt["request_id"]: 1}


def test_every_endpoint_of_the_table_can_be_checked() -> None:
    """Every entry is content with its required fields alone, and the unchecked ones are listed."""
    unchecked = unchecked_endpoints()
    assert len(unchecked) == 24
    assert "fal-ai/wan/v2.1/1.3b/text-to-video" in unchecked
    for endpoint, entry in TABLE.items():
        missing = [complaint["loc"][1] for complaint in complaints(endpoint, {})]
        assert missing or entry["input"] is not None, endpoint
        body = {name: _stand_in((entry["input"] or {}).get(name, {})) for name in missing}
        assert complaints(endpoint, body) == [], endpoint


def _stand_in(field: dict[str, Any]) -> Any:
    """A value that the field takes."""
    if "enum" in field:
        return field["enum"][0]
    return ["https://a/b"] if field.get("type") == "Array<string>" else "https://a/b"


async def test_fal_calls_back_when_the_task_ends(fake_fal: FakeFal) -> None:
    """The callback comes by itself, once, signed, with the result."""
    came: asyncio.Queue[tuple[bytes, dict[str, str]]] = asyncio.Queue()

    async def receive(request: web.Request) -> web.Response:
        await came.put((await request.read(), {k.lower(): v for k, v in request.headers.items()}))
        return web.Response()

    app = web.Application()
    app.router.add_post("/cb/nonce", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        port = runner.addresses[0][1]
        await _post(fake_fal, GOOD, path=f"{KLING}?fal_webhook=http://127.0.0.1:{port}/cb/nonce")
        body, headers = await asyncio.wait_for(came.get(), 5)
    finally:
        await runner.cleanup()
    assert json.loads(body)["payload"]["video"]["url"].endswith("/output.mp4")
    again = fake_fal.callback_headers(
        body, at=int(headers["x-fal-webhook-timestamp"]), request_id=headers["x-fal-webhook-request-id"]
    )
    assert headers["x-fal-webhook-signature"] == again["x-fal-webhook-signature"]


async def _create(videos: FakeOpenAIVideos, body: dict[str, Any]) -> int:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {videos.key}"}) as session,
        session.post(f"{videos.base_url}/v1/videos", json=body) as answer,
    ):
        await answer.read()
        return answer.status


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": "five"},
        {"seconds": 0},
        {"size": "720p"},
        {"fps": True},
        {"steps": 4},
        {"prompt": ""},
        {"input_reference": "cat.png"},
    ],
)
async def test_videos_refuses_what_is_wrong(fake_videos: FakeOpenAIVideos, wrong: dict[str, Any]) -> None:
    """A value that no engine could read, or a field that none knows, makes no video."""
    assert await _create(fake_videos, {"prompt": "p"} | wrong) == 400
    assert fake_videos.log.tasks == {}
    assert await _create(fake_videos, {"prompt": "p", "seconds": 4}) == 200


async def _fails(upstream: Upstream) -> bool:
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{upstream.base_url}/{KLING}",
                json=GOOD,
                headers={"Authorization": f"Key {upstream.key}"},
            ) as answer,
        ):
            await answer.json()
            return not answer.ok
    except (aiohttp.ClientError, json.JSONDecodeError):
        return True


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "kind", ["drop", "reset", "truncate", "http_500", "page_502", "rate_limited", "malformed"]
)
async def test_a_fault_strikes_once_before_or_after_the_work(
    fake_fal: FakeFal, kind: Any, after: bool
) -> None:
    """A planned fault spoils one answer; whether the task exists depends on `after`, and the log shows it."""
    fake_fal.faults.add(kind, after=after)
    assert await _fails(fake_fal)
    assert len(fake_fal.log.billed) == int(after)
    assert not await _fails(fake_fal)
    assert len(fake_fal.log.submits) == 2


async def test_a_hang_lasts_until_the_server_closes(fake_fal: FakeFal) -> None:
    """A hanging call is neither answered nor closed while the stand-in runs; its task exists."""
    fake_fal.faults.add("hang")
    call = asyncio.create_task(_fails(fake_fal))
    async with asyncio.timeout(5):
        while not fake_fal.log.tasks:
            await asyncio.sleep(0)
    assert not call.done()
    await fake_fal.refuse()
    assert await call


async def test_refusing_and_accepting_again(fake_fal: FakeFal) -> None:
    """A refused connection reaches no log; afterwards the same port knows the same tasks."""
    assert not await _fails(fake_fal)
    port = fake_fal.port
    await fake_fal.refuse()
    assert await _fails(fake_fal)
    await fake_fal.accept()
    assert fake_fal.port == port and not await _fails(fake_fal)
    assert len(fake_fal.log.submits) == 2 and len(fake_fal.log.tasks) == 2


async def test_the_clip_is_a_real_one() -> None:
    """What is served plays: H.264 of the asked size, rate and length, with `moov` first."""
    clip = clip_bytes(320, 180, 24, 1.0)
    with av.open(io.BytesIO(clip), "r") as container:
        stream = container.streams.video[0]
        frames = len(list(container.decode(stream)))
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", 320, 180)
    assert frames == 24 and clip.index(b"moov") < clip.index(b"mdat")


async def test_it_is_controlled_from_outside(fake_fal: FakeFal) -> None:
    """Another process can plan faults and scripts, and read what was asked and billed."""
    control = f"{fake_fal.base_url}/_control"
    async with aiohttp.ClientSession() as session:
        plan = {"script": {"outcome": "crashed"}, "faults": [{"kind": "page_502", "times": 1}]}
        async with session.post(control, json=plan) as answer:
            assert answer.status == 200
        assert await _fails(fake_fal) and not await _fails(fake_fal)
        async with session.get(control) as answer:
            told = await answer.json()
    assert (told["submits"], told["billed"], len(told["tasks"])) == (2, {}, 2)


async def test_phases_follow_status_calls() -> None:
    """A script counts status calls, so a test needs no clock."""
    async with FakeFal() as fal:
        fal.script = Script(queue_polls=1, render_polls=1)
        task = fal.take(GOOD)
        seen = []
        for _ in range(3):
            seen.append(task.phase)
            task.polls += 1
    assert seen == ["queued", "rendering", "ended"]
