"""Clips and sounds that come with a request: what is taken, what is refused, what it costs, what is kept."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.providers.file_urls import INLINE_MAX_BYTES
from tests.conftest import make_folder
from tests.gateway.detour import PUBLIC, Detour, serving
from tests.gateway.pictures import HTML, PHOTO, data_url
from tests.gateway.running import Answer, Running, running_gateway
from tests.recordings import clip, sound, wav
from tests.upstreams.fal import FakeFal

Page = tuple[int, str, bytes]
MODIFY: dict[str, Any] = {"model": "luma-ray-2-modify", "prompt": "make it snow"}
AVATAR: dict[str, Any] = {"model": "kling-avatar-2-std", "prompt": "speak", "image": data_url(PHOTO)}
MODIFY_MICROS, AVATAR_MICROS = 350_000, 56_200
"""Of a second."""
CLIP = clip(2)
MOST_BYTES, MOST_SECONDS = 6_000_000, 20


class Pages(dict[str, Page]):
    """The pages of a public host, which notes what it was asked for."""

    def __init__(self, pages: dict[str, Page]) -> None:
        super().__init__(pages)
        self.asked: list[str] = []

    def get(self, path: str, default: Any = None) -> Any:
        """The page, noted."""
        self.asked.append(path)
        return super().get(path, default)


@dataclass
class Stage:
    """A gateway without a public address before a stand-in for fal, and the host that it fetches from."""

    gateway: Running
    fal: FakeFal
    pages: Pages
    home: Path
    live: str = field(init=False)

    def __post_init__(self) -> None:
        self.live = self.gateway.keys.live

    async def everything_stored(self) -> tuple[list[str], int]:
        """Every file under the home's media and work folders, and how many jobs there are."""
        folders = (self.home / "media", self.home / "work")
        files = sorted(str(path) for folder in folders for path in folder.rglob("*") if path.is_file())
        return files, await self.gateway.gateway.pool.fetchval("select count(*) from jobs")

    async def refused(self, body: dict[str, Any], param: str, words: str, status: int = 400) -> None:
        """Submit and estimate are refused in one way, and nothing is left of it."""
        before = await self.everything_stored()
        for more in ({}, {"confirm": False}):
            answer = await self.gateway.submit({**body, **more})
            error = answer.json["error"]
            assert (answer.status, error["param"]) == (status, param), answer.body
            assert words in error["message"], error
        assert await self.everything_stored() == before

    async def estimate(self, body: dict[str, Any], key: str | None = None) -> int:
        """The price."""
        answer = await self.gateway.submit({**body, "confirm": False}, key=key)
        assert answer.status == 200, answer.body
        return int(answer.json["estimated_cost"]["micro"])


@pytest.fixture(scope="module")
async def stage(module_database: Dsn) -> AsyncIterator[Stage]:
    """Everything running, with money in the wallet."""
    home = make_folder()
    pages = Pages(
        {
            "/clip.mp4": (200, "video/mp4", CLIP),
            "/moved.mp4": (302, "text/plain", b"/clip.mp4"),
            "/page.mp4": (200, "video/mp4", HTML),
            "/lie.mp4": (200, "text/html", CLIP),
            "/cut.mp4": (200, "video/mp4", CLIP[:-100]),
            "/long.mp4": (200, "video/mp4", clip(MOST_SECONDS + 1, 64, 64, 2)),
            "/large.mp4": (200, "video/mp4", CLIP + bytes(MOST_BYTES)),
            "/padded.mp4": (200, "video/mp4", CLIP + _free(INLINE_MAX_BYTES)),
            "/sound.wav": (200, "audio/wav", wav(2.5)),
            "/sound.mp3": (200, "audio/mp3", sound("audio/mpeg", 2)),
        }
    )
    async with (
        serving(pages) as origin,
        FakeFal() as fal,
        running_gateway(
            module_database,
            home,
            egress=Detour(origin, {"fal": [fal.base_url]}),
            FAL_QUEUE_URL=fal.base_url,
            FAL_KEY=fal.key,
            input_max_bytes=str(MOST_BYTES),
            input_max_seconds=str(MOST_SECONDS),
        ) as gateway,
    ):
        await gateway.grant(100_000_000)
        yield Stage(gateway, fal, pages, home)
    shutil.rmtree(home)


async def upload(stage: Stage, data: bytes, kind: str, key: str | None = None) -> Answer:
    """POST raw bytes."""
    return await stage.gateway.call("POST", "/v1/files", data, headers={"Content-Type": kind}, key=key)


async def test_an_estimate_is_the_charge_and_leaves_nothing(stage: Stage) -> None:
    """The price by the measured length is told before, held, and charged; an estimate keeps no file."""
    order = {**MODIFY, "video": f"{PUBLIC}/clip.mp4"}
    before = await stage.everything_stored()
    micros = await stage.estimate(order)
    assert micros == 2 * MODIFY_MICROS
    assert await stage.everything_stored() == before
    job = await stage.gateway.ended(order)
    assert (job["status"], job["cost"]["micro"]) == ("completed", micros), job


async def test_without_a_public_address_a_small_clip_goes_inside_the_order(stage: Stage) -> None:
    """The vendor gets our copy as a data: URL where it could not fetch it."""
    job = await stage.gateway.ended({**MODIFY, "video": f"{PUBLIC}/moved.mp4", "prompt": "inside"})
    assert job["status"] == "completed", job
    assert stage.fal.last_task.body["video_url"] == data_url(CLIP, "video/mp4")


async def test_a_large_clip_needs_a_public_address(stage: Stage) -> None:
    """What does not fit into an order is refused before money is held, and the setting is named."""
    order, before = {**MODIFY, "video": f"{PUBLIC}/padded.mp4"}, await stage.everything_stored()
    answer = await stage.gateway.submit(order)
    error = answer.json["error"]
    assert (answer.status, error["code"], error["param"]) == (503, "model_unavailable", "video")
    assert "FAIRSTACK_PUBLIC_URL" in error["message"]
    assert error["allowed"] == {"max_bytes": INLINE_MAX_BYTES}
    assert await stage.everything_stored() == before
    # The sandbox fetches nothing.
    test = await stage.gateway.ended(order, key=stage.gateway.keys.test)
    assert test["status"] == "completed", test


async def test_a_clip_and_a_sound_come_from_anywhere_that_a_picture_does(stage: Stage) -> None:
    """URL, data: URL, uploaded file and our own media URL have one price, for their length."""
    film = (await upload(stage, CLIP, "video/mp4")).json
    track = (await upload(stage, wav(2.5), "audio/x-wav")).json
    assert (film["content_type"], film["width"], film["height"]) == ("video/mp4", 320, 180)
    assert (track["content_type"], track["width"], track["height"]) == ("audio/wav", None, None)
    for source in (f"{PUBLIC}/clip.mp4", data_url(CLIP, "video/mp4"), film["id"], film["url"]):
        assert await stage.estimate({**MODIFY, "video": source}) == 2 * MODIFY_MICROS, source[:60]
    for source in (f"{PUBLIC}/sound.wav", data_url(wav(2.5), "audio/wav"), track["id"], track["url"]):
        assert await stage.estimate({**AVATAR, "audio_url": source}) == 2.5 * AVATAR_MICROS, source[:60]


async def test_a_finished_clip_can_be_worked_on(stage: Stage) -> None:
    """The URL of a job's clip is taken as `video` of the next job, without a request to anybody."""
    first = await stage.gateway.ended({**MODIFY, "video": f"{PUBLIC}/clip.mp4"})
    asked = len(stage.pages.asked)
    seconds = first["metadata"]["duration"]
    again = {**MODIFY, "video": first["url"]}
    assert await stage.estimate(again) == seconds * MODIFY_MICROS
    assert len(stage.pages.asked) == asked


async def test_a_job_keeps_its_own_copy(stage: Stage) -> None:
    """A file that is deleted after the submit is still there for its job, byte for byte."""
    kept = (await upload(stage, CLIP, "video/mp4")).json
    submitted = await stage.gateway.submit({**MODIFY, "video": kept["id"]})
    assert submitted.status == 202, submitted.body
    assert (await stage.gateway.call("DELETE", f"/v1/files/{kept['id']}")).status == 204
    job_id = submitted.json["id"]
    inputs = await stage.gateway.gateway.pool.fetchval("select inputs from jobs where id = $1", job_id)
    assert inputs["video"]["key"].endswith("/clip.mp4")
    assert await stage.gateway.gateway.media.read(inputs["video"]["key"]) == CLIP
    assert (await stage.gateway.wait(job_id))["status"] == "completed"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/missing.mp4", "public https URL"),
        ("/large.mp4", "public https URL"),
        ("/page.mp4", "an HTML page; send an MP4 or MOV"),
        ("/lie.mp4", "declared as another type than the video/mp4"),
        ("/cut.mp4", "not a complete MP4 or MOV"),
        ("/long.mp4", f"longer than {MOST_SECONDS} s"),
        ("/sound.wav", "audio/wav; send an MP4 or MOV"),
    ],
)
async def test_what_is_no_clip_is_refused(stage: Stage, source: str, words: str) -> None:
    """A refusal names the field and what is wrong, for an estimate too; nothing is kept, held or sent."""
    await stage.refused({**MODIFY, "video": PUBLIC + source}, "video", words)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (f"{PUBLIC}/clip.mp4", "send its sound alone"),
        (f"{PUBLIC}/page.mp4", "send a WAV, MP3, M4A, AAC, FLAC or Ogg"),
        (data_url(wav(0.01), "audio/wav"), "shorter than 0.1 s"),
        (data_url(PHOTO, "audio/wav"), "a PNG picture"),
        ("file_4Zb9pXw2Lk7Qe1TnVd3RsYuM", "there is no file of that id"),
        ("http://example.com/a.wav", "https"),
        ("https://127.0.0.1/a.wav", "public host"),
        ("https://[::ffff:10.0.0.1]/a.wav", "public host"),
        ("file:///etc/passwd", "https"),
    ],
)
async def test_what_is_no_sound_is_refused(stage: Stage, source: str, words: str) -> None:
    """The same for a sound, and for an address that may not be fetched."""
    await stage.refused({**AVATAR, "audio_url": source}, "audio_url", words)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (MODIFY, "video"),
        ({**MODIFY, "video": 5}, "video"),
        ({**MODIFY, "video": ""}, "video"),
        ({**MODIFY, "video": f"{PUBLIC}/clip.mp4", "audio_url": f"{PUBLIC}/sound.wav"}, "audio_url"),
        ({**MODIFY, "video": f"{PUBLIC}/clip.mp4", "duration": 5}, "duration"),
        (AVATAR, "audio_url"),
        ({**AVATAR, "audio_url": [f"{PUBLIC}/sound.wav"]}, "audio_url"),
        ({**AVATAR, "audio_url": f"{PUBLIC}/sound.wav", "video": f"{PUBLIC}/clip.mp4"}, "video"),
    ],
)
async def test_what_the_model_does_not_take_is_refused_unseen(
    stage: Stage, body: dict[str, Any], param: str
) -> None:
    """A missing, needless or malformed input is refused by its field before anything is fetched."""
    asked = len(stage.pages.asked)
    await stage.refused(body, param, "")
    assert len(stage.pages.asked) == asked


async def test_an_upload_of_something_else_is_refused(stage: Stage) -> None:
    """Damaged, mislabelled and overlong clips and sounds are 415, which says why."""
    for data, kind, words in (
        (CLIP[:-100], "video/mp4", "not a complete MP4 or MOV"),
        (CLIP, "image/png", "declared as another type"),
        (wav(MOST_SECONDS + 1), "audio/wav", "longer than"),
        (b"OggS" + bytes(99), "audio/ogg", "refused"),
    ):
        answer = await upload(stage, data, kind)
        assert answer.status == 415, answer.body
        assert words in answer.json["error"]["message"]


async def test_a_price_limit_counts_the_measured_length(stage: Stage) -> None:
    """`max_cost_micro` is held to what the clip's length costs, by estimate and submit alike."""
    order = {**MODIFY, "video": f"{PUBLIC}/clip.mp4"}
    for more in ({}, {"confirm": False}):
        answer = await stage.gateway.submit({**order, **more, "max_cost_micro": 2 * MODIFY_MICROS - 1})
        assert (answer.status, answer.json["error"]["code"]) == (402, "cap_reached"), answer.body
        assert answer.json["error"]["details"]["required_micro"] == 2 * MODIFY_MICROS
    assert await stage.estimate({**order, "max_cost_micro": 2 * MODIFY_MICROS}) == 2 * MODIFY_MICROS


async def test_a_replay_fetches_nothing(stage: Stage) -> None:
    """The same key and body answer the first bytes again, whatever has become of the clip."""
    order, headers = {**MODIFY, "video": f"{PUBLIC}/clip.mp4"}, {"Idempotency-Key": "a-clip-once"}
    first = await stage.gateway.submit(order, headers=headers)
    asked = len(stage.pages.asked)
    again = await stage.gateway.submit(order, headers=headers)
    assert (again.status, again.body) == (first.status, first.body)
    assert len(stage.pages.asked) == asked
    await stage.gateway.wait(first.json["id"])


async def test_what_cannot_be_made_is_refused_unseen(stage: Stage) -> None:
    """Of a model whose providers are not configured no clip is fetched: 503 names the setting."""
    asked = len(stage.pages.asked)
    order = {"model": "runway-act-two", "prompt": "wave", "image": data_url(PHOTO)}
    answer = await stage.gateway.submit({**order, "video": f"{PUBLIC}/clip.mp4"})
    assert (answer.status, answer.json["error"]["code"]) == (503, "model_unavailable"), answer.body
    assert "RUNWAYML_API_SECRET" in answer.json["error"]["message"]
    assert len(stage.pages.asked) == asked


async def test_an_estimate_that_no_length_changes_fetches_nothing(stage: Stage) -> None:
    """Where the price does not follow the clip, it is told without looking at it."""
    asked = len(stage.pages.asked)
    order = {"model": "pixverse-v6-extend", "prompt": "go on", "video": f"{PUBLIC}/clip.mp4"}
    assert await stage.estimate(order) > 0
    assert len(stage.pages.asked) == asked


async def test_documentation_urls_stand_for_five_seconds_in_the_sandbox(stage: Stage) -> None:
    """With a test key example.com has a clip and a sound of 5 seconds; with a live key it has none."""
    test = stage.gateway.keys.test
    film, track = "https://example.com/clip.mp4", "https://example.com/sound.mp3"
    assert await stage.estimate({**MODIFY, "video": film}, test) == 5 * MODIFY_MICROS
    assert await stage.estimate({**AVATAR, "audio_url": track}, test) == 5 * AVATAR_MICROS
    job = await stage.gateway.ended({**AVATAR, "audio_url": track}, key=test)
    assert (job["status"], job["metadata"]["duration"]) == ("completed", 5)


async def test_many_at_once_wait_for_their_turn(stage: Stage) -> None:
    """More requests with clips than an account brings in at a time are all answered, and leave nothing."""
    before = await stage.everything_stored()
    order = {**MODIFY, "video": f"{PUBLIC}/clip.mp4"}
    prices = await asyncio.gather(*(stage.estimate(order) for _ in range(7)))
    assert prices == [2 * MODIFY_MICROS] * 7
    assert await stage.everything_stored() == before


def _free(size: int) -> bytes:
    """A box of nothing, which makes an MP4 larger and no longer."""
    return size.to_bytes(4, "big") + b"free" + bytes(size - 8)
