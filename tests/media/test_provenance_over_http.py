"""Clips as users download them, read by C2PA's own reader: drawn here, stood in for, and from a provider."""

from __future__ import annotations

import io
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import c2pa
import pytest
from aiohttp import web

from fairstack_server.db.dsn import Dsn
from fairstack_server.media.certificate import own_certificate
from fairstack_server.media.provenance import ClipSigner, Origin
from tests.conftest import make_folder
from tests.gateway.running import Running, running_gateway
from tests.upstreams.clip import clip_bytes
from tests.upstreams.openai_videos import FakeOpenAIVideos

TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
WAN = {"model": "wan-2-1-t2v", "prompt": "a lighthouse"}


class SignedVideos(FakeOpenAIVideos):
    """A server of `/v1/videos` whose clips are those bytes."""

    clip = b""

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self.clip, content_type="video/mp4")


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[SignedVideos]:
    """The stand-in, with plain clips."""
    async with SignedVideos() as engine:
        engine.clip = clip_bytes()
        yield engine


@pytest.fixture(scope="module")
async def stage(module_database: Dsn, engine: SignedVideos) -> AsyncIterator[Running]:
    """A gateway with that engine, and money."""
    home = make_folder()
    async with running_gateway(
        module_database,
        home,
        catalog_dir=str(Path(__file__).parent / "models"),
        OPENAI_VIDEOS_URL=engine.base_url,
        OPENAI_VIDEOS_KEY=engine.key,
    ) as running:
        await running.grant(1_000_000)
        yield running
    shutil.rmtree(home)


async def read(stage: Running, job: Any) -> tuple[c2pa.Reader, dict[str, Any]]:
    """The reader of a job's clip, and the one action that it states."""
    assert job["status"] == "completed", job
    clip = (await stage.call("GET", job["url"].removeprefix(stage.base_url), key="")).body
    assert len(clip) == job["metadata"]["bytes"]
    reader = c2pa.Reader("video/mp4", io.BytesIO(clip))
    manifest = reader.get_active_manifest()
    assert manifest is not None
    (actions,) = [each for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")]
    (action,) = actions["data"]["actions"]
    return reader, action


@pytest.mark.parametrize(
    ("order", "mode", "kind"),
    [
        ({"model": "own-drawn", "prompt": "a lighthouse"}, "live", "algorithmicMedia"),
        (WAN, "test", "algorithmicMedia"),
        (WAN, "live", "trainedAlgorithmicMedia"),
    ],
    ids=["local", "sandbox", "provider"],
)
async def test_every_clip_says_what_it_is(stage: Running, order: Any, mode: str, kind: str) -> None:
    """The manifest is valid and says what the job's metadata says, whoever made the clip."""
    key = stage.keys.test if mode == "test" else None
    job = await stage.ended(order, key=key)
    reader, action = await read(stage, job)
    assert reader.get_validation_state() == "Valid"
    assert job["metadata"]["provenance"] == {
        "digital_source_type": kind,
        "c2pa": True,
        "upstream_manifest": False,
    }
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", TYPES + kind)
    assert action["parameters"] == {"org.fairstack.model": order["model"]}
    assert b"lighthouse" not in reader.detailed_json().encode()


async def test_a_providers_manifest_stays(stage: Running, engine: SignedVideos, tmp_path: Path) -> None:
    """A provider that signs its clips keeps its word in ours, and the metadata says so."""
    maker = ClipSigner(own_certificate(tmp_path / "maker"), max_bytes=2**25)
    plain, made = tmp_path / "plain.mp4", tmp_path / "made.mp4"
    plain.write_bytes(clip_bytes())
    assert await maker.sign(plain, made, Origin("their-model", "trainedAlgorithmicMedia"))
    await maker.aclose()
    engine.clip = made.read_bytes()
    job = await stage.ended(WAN)
    reader, action = await read(stage, job)
    assert reader.get_validation_state() == "Valid"
    assert job["metadata"]["provenance"]["upstream_manifest"] is True
    assert action["action"] == "c2pa.opened"
    theirs = c2pa.Reader("video/mp4", io.BytesIO(engine.clip)).get_active_manifest()
    assert theirs is not None
    assert reader.get_manifest(theirs["label"]) == theirs


async def test_a_clip_that_cannot_be_signed_is_given_all_the_same(
    database: Dsn, home: Path, engine: SignedVideos
) -> None:
    """The job completes and is charged; its metadata does not claim what is not there."""
    engine.clip = clip_bytes()
    settings: Any = {"OPENAI_VIDEOS_URL": engine.base_url, "OPENAI_VIDEOS_KEY": engine.key}
    async with running_gateway(database, home, c2pa_max_bytes="1000", **settings) as gateway:
        await gateway.grant(1_000_000)
        job = await gateway.ended(WAN)
        assert job["status"] == "completed", job
        assert job["metadata"]["provenance"] == {
            "digital_source_type": "trainedAlgorithmicMedia",
            "c2pa": False,
        }
        clip = await gateway.call("GET", job["url"].removeprefix(gateway.base_url), key="")
        assert clip.body == engine.clip
