"""A server of `/v1/videos`, against a strict stand-in in both dialects."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    CancelOutcome,
    Failed,
    InputFile,
    Pending,
    ProviderError,
    RateLimitedUpstream,
    Submission,
    Succeeded,
)
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.openai_videos import Dialect, OpenAIVideos
from tests.providers.makers import image_file, wan_order
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.upstream import Script

BOTH: tuple[Dialect, ...] = ("multipart", "json")


def _provider(sessions: Sessions, fake: FakeOpenAIVideos, dialect: Dialect = "multipart") -> OpenAIVideos:
    return OpenAIVideos(sessions, fake.base_url, fake.key, SystemClock(), dialect)


@pytest.mark.parametrize("dialect", BOTH)
async def test_from_order_to_clip(
    sessions: Sessions, fake_videos: FakeOpenAIVideos, dialect: Dialect
) -> None:
    """Queued, in progress, completed; the clip downloads with the headers that come with it."""
    fake_videos.accepts = (dialect,)
    fake_videos.script = Script(queue_polls=1, render_polls=1)
    provider = _provider(sessions, fake_videos, dialect)
    taken = await provider.submit(wan_order(width=64, height=64, duration_seconds=1.0))
    assert isinstance(taken, Submission)
    assert await provider.poll(taken.ref) == Pending(progress=0.0, started=False)
    rendering = await provider.poll(taken.ref)
    assert isinstance(rendering, Pending) and rendering.started and rendering.progress
    done = await provider.poll(taken.ref)
    assert isinstance(done, Succeeded) and done.clip.url is not None
    async with aiohttp.ClientSession() as session:
        async with session.get(done.clip.url) as without_key:
            assert without_key.status == 401
        async with session.get(done.clip.url, headers=done.clip.headers) as answer:
            assert (await answer.read())[4:8] == b"ftyp"
    assert list(fake_videos.log.billed.values()) == [1]


@pytest.mark.parametrize("dialect", BOTH)
async def test_numbers_keep_their_meaning(
    sessions: Sessions, fake_videos: FakeOpenAIVideos, dialect: Dialect
) -> None:
    """A form carries text, JSON carries the types that the route asks for; the values are the same."""
    await _provider(sessions, fake_videos, dialect).submit(wan_order())
    body = fake_videos.log.submits[0].body
    assert {name: str(value) for name, value in body.items()} == {
        "model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "prompt": "a dog on a beach",
        "seconds": "5",
        "size": "1280x720",
        "fps": "24",
        "seed": "7",
    }
    assert type(body["fps"]) is (str if dialect == "multipart" else int)


async def test_an_image_is_a_file_in_a_form(
    sessions: Sessions, fake_videos: FakeOpenAIVideos, tmp_path: Path
) -> None:
    """The image travels as a file part of its own type."""
    order = wan_order(image=image_file(tmp_path))
    assert isinstance(await _provider(sessions, fake_videos).submit(order), Submission)
    assert fake_videos.log.submits[0].body["input_reference"] == {"content_type": "image/png", "bytes": 15}


async def test_an_image_is_a_url_in_json(
    sessions: Sessions, fake_videos: FakeOpenAIVideos, tmp_path: Path
) -> None:
    """In JSON the image is our public URL, or a data URL where there is none."""
    provider = _provider(sessions, fake_videos, "json")
    for url in ("https://gate.example/f/cat.png", None):
        order = wan_order(image=image_file(tmp_path, url=url))
        assert isinstance(await provider.submit(order), Submission)
        sent = fake_videos.log.submits[-1].body["input_reference"]
        assert sent == url if url else sent.startswith("data:image/png;base64,")


async def test_a_lost_image_is_not_sent(
    sessions: Sessions, fake_videos: FakeOpenAIVideos, tmp_path: Path
) -> None:
    """When our own file is gone, nothing reaches the server."""
    gone = InputFile("image/png", "0", str(tmp_path / "gone.png"))
    with pytest.raises(ProviderError) as caught:
        await _provider(sessions, fake_videos).submit(wan_order(image=gone))
    assert caught.value.sent is False and fake_videos.log.submits == []


async def test_a_server_with_one_model_is_told_none(
    sessions: Sessions, fake_videos: FakeOpenAIVideos
) -> None:
    """A route whose endpoint is a path sends no model, and a fixed model wins over the endpoint."""
    provider = _provider(sessions, fake_videos)
    await provider.submit(wan_order(endpoint="/v1/videos"))
    await provider.submit(wan_order(fixed={"model": "served-name"}))
    bodies = [call.body for call in fake_videos.log.submits]
    assert "model" not in bodies[0] and bodies[1]["model"] == "served-name"


@pytest.mark.parametrize("kind", ["drop", "reset", "truncate", "http_500", "page_502", "malformed"])
async def test_a_lost_answer_is_found_in_the_list(
    sessions: Sessions, fake_videos: FakeOpenAIVideos, kind: str
) -> None:
    """When the answer to a create is lost, the one video with this prompt is found; it was asked for once."""
    fake_videos.faults.add(kind)  # type: ignore[arg-type]
    provider = _provider(sessions, fake_videos)
    began = SystemClock().now() - timedelta(seconds=60)
    with pytest.raises(ProviderError) as caught:
        await provider.submit(wan_order())
    assert caught.value.sent is True
    [ref] = await provider.find(wan_order(), began)
    assert ref is not None and isinstance(await provider.poll(ref), Succeeded)
    assert len(fake_videos.log.submits) == 1 and list(fake_videos.log.billed.values()) == [1]


async def test_nothing_is_guessed(sessions: Sessions, fake_videos: FakeOpenAIVideos) -> None:
    """A server that repeats no prompts gives no proof; of two equal videos both may be ours."""
    provider = _provider(sessions, fake_videos)
    began = SystemClock().now() - timedelta(seconds=60)
    await provider.submit(wan_order())
    fake_videos.echoes_prompt = False
    assert await provider.find(wan_order(), began) == []
    fake_videos.echoes_prompt = True
    assert len(await provider.find(wan_order(), began)) == 1
    await provider.submit(wan_order())
    assert len(await provider.find(wan_order(), began)) == 2


async def test_cancel_deletes_what_is_not_finished(sessions: Sessions, fake_videos: FakeOpenAIVideos) -> None:
    """An unfinished video is deleted and never billed; a finished one is kept."""
    provider = _provider(sessions, fake_videos)
    fake_videos.next_scripts = [Script(render_polls=5), Script()]
    running, finished = [await provider.submit(wan_order()) for _ in range(2)]
    assert isinstance(running, Submission) and isinstance(finished, Submission)
    assert await provider.cancel(running.ref) is CancelOutcome.STOPPED
    assert await provider.cancel(finished.ref) is CancelOutcome.TOO_LATE
    assert fake_videos.log.billed == {finished.ref["id"]: 1}
    assert isinstance(await provider.poll(finished.ref), Succeeded)
    gone = await provider.poll(running.ref)
    assert isinstance(gone, Failed) and gone.reason == "not_found"


async def test_a_server_that_cannot_stop(sessions: Sessions, fake_videos: FakeOpenAIVideos) -> None:
    """Where DELETE is not offered, a cancel is too late and the render goes on."""
    fake_videos.deletes = False
    fake_videos.script = Script(render_polls=2)
    provider = _provider(sessions, fake_videos)
    taken = await provider.submit(wan_order())
    assert isinstance(taken, Submission)
    assert await provider.cancel(taken.ref) is CancelOutcome.TOO_LATE
    assert isinstance(await provider.poll(taken.ref), Pending)


@pytest.mark.parametrize("word", ["succeeded", "done", "cancelled", "COMPLETED", ""])
async def test_a_word_that_is_not_of_the_protocol_is_never_an_end(
    sessions: Sessions, fake_videos: FakeOpenAIVideos, word: str
) -> None:
    """Only the four statuses of the protocol mean anything: no other word completes or fails a job."""
    provider = _provider(sessions, fake_videos)
    taken = await provider.submit(wan_order())
    assert isinstance(taken, Submission)
    fake_videos.odd_status = word or " "
    with pytest.raises(ProviderError):
        await provider.poll(taken.ref)


async def test_without_a_key_none_is_sent(sessions: Sessions) -> None:
    """A server that wants no key gets no header, also for the clip."""
    async with FakeOpenAIVideos(key="") as fake:
        provider = _provider(sessions, fake)
        taken = await provider.submit(wan_order())
        assert isinstance(taken, Submission)
        done = await provider.poll(taken.ref)
        assert isinstance(done, Succeeded) and done.clip.headers == {}
        assert "authorization" not in fake.log.submits[0].headers


async def test_no_room_makes_no_task(sessions: Sessions, fake_videos: FakeOpenAIVideos) -> None:
    """A 429 is a wait, and nothing exists because of it."""
    fake_videos.faults.add("rate_limited")
    assert await _provider(sessions, fake_videos).submit(wan_order()) == RateLimitedUpstream(2.0)
    assert fake_videos.log.tasks == {}
