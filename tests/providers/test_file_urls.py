"""How the files of an order travel: by our public URL, else inside the order while they are small enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers import google
from fairstack_server.providers.base import InputFile, Order, Provider, ProviderError
from fairstack_server.providers.file_urls import INLINE_MAX_BYTES, file_urls, url_or_base64
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.registry import build_providers
from fairstack_server.settings import Settings
from tests.providers.makers import wan_order
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.vertex import FakeVertex

EXTENSION = Order(
    nonce="n",
    model="veo-3-1-extend",
    endpoint="veo-3.1-generate-001",
    prompt="a wave",
    duration_seconds=7.0,
    field_map={"prompt": "instances[0].prompt", "video": "instances[0].video"},
)


def _built(name: str, settings: Mapping[str, str], sessions: Sessions, folder: Path) -> Provider:
    return build_providers(Settings(home=folder, providers=settings), sessions, SystemClock())[name]


def _file(folder: Path, content_type: str, size: int, url: str | None = None) -> InputFile:
    path = folder / content_type.replace("/", ".")
    with path.open("wb") as file:
        file.truncate(size)
    return InputFile(content_type, "ab" * 32, str(path), url)


@pytest.mark.parametrize("content_type", ["video/mp4", "audio/mpeg"])
async def test_a_large_clip_or_sound_does_not_go_inside_an_order(content_type: str, tmp_path: Path) -> None:
    """Without a public URL it is not sent for good, and the operator is told which setting is missing."""
    order = replace(EXTENSION, video=_file(tmp_path, content_type, INLINE_MAX_BYTES + 1))
    with pytest.raises(ProviderError, match=r"5242881 bytes.*FAIRSTACK_PUBLIC_URL") as caught:
        await file_urls(order)
    assert (caught.value.sent, caught.value.permanent) == (False, True)
    assert order.video is not None
    with pytest.raises(ProviderError, match="FAIRSTACK_PUBLIC_URL"):
        url_or_base64(order.video)


async def test_what_is_small_enough_goes_inside(tmp_path: Path) -> None:
    """A clip of just the limit travels as a data URL, and so does any picture of ours."""
    for file in (
        _file(tmp_path, "video/mp4", INLINE_MAX_BYTES),
        _file(tmp_path, "image/png", INLINE_MAX_BYTES + 1),
    ):
        [url] = (await file_urls(replace(EXTENSION, video=file))).values()
        assert url.startswith(f"data:{file.content_type};base64,")


async def test_a_public_file_is_not_read(tmp_path: Path) -> None:
    """With a public URL the file itself, here one that is not there, matters to nobody."""
    file = InputFile("video/mp4", "ab" * 32, str(tmp_path / "gone"), "https://gate.example/m/clip.mp4")
    assert await file_urls(replace(EXTENSION, video=file)) == {file.path: file.url}
    assert url_or_base64(file) == file.url


async def test_a_file_that_is_gone_was_not_sent(tmp_path: Path) -> None:
    """A file that cannot be read breaks the call before anything leaves."""
    file = InputFile("video/mp4", "ab" * 32, str(tmp_path / "gone"))
    with pytest.raises(ProviderError, match="cannot be read: No such file") as caught:
        await file_urls(replace(EXTENSION, video=file))
    assert caught.value.sent is False


@pytest.mark.parametrize("url", [None, "https://gate.example/m/clip.mp4"])
async def test_a_large_clip_never_goes_to_vertex(url: str | None, sessions: Sessions, tmp_path: Path) -> None:
    """Vertex fetches no URL and takes so much in a request: a larger clip is another provider's."""
    async with FakeVertex() as fake:
        settings = {
            "GOOGLE_CLOUD_PROJECT": fake.project,
            "GOOGLE_ACCESS_TOKEN": fake.key,
            "GOOGLE_VERTEX_URL": fake.base_url,
        }
        provider = _built("google", settings, sessions, tmp_path)
        clip = _file(tmp_path, "video/mp4", google.INLINE_MAX_BYTES + 1, url)
        with pytest.raises(ProviderError, match="another provider") as caught:
            await provider.submit(replace(EXTENSION, video=clip))
        assert (caught.value.sent, caught.value.permanent, fake.log.seen) == (False, True, [])


async def test_a_server_of_json_is_not_sent_a_large_clip(sessions: Sessions, tmp_path: Path) -> None:
    """A `/v1/videos` server that takes JSON must fetch a large clip; if it takes forms it is sent it."""
    async with FakeOpenAIVideos() as fake:
        settings = {"OPENAI_VIDEOS_URL": fake.base_url, "OPENAI_VIDEOS_KEY": fake.key}
        clip = _file(tmp_path, "video/mp4", INLINE_MAX_BYTES + 1)
        order = wan_order(video=clip, field_map={"prompt": "prompt", "video": "input_reference"})
        speaks_json = _built(
            "openai_videos", settings | {"OPENAI_VIDEOS_DIALECT": "json"}, sessions, tmp_path
        )
        with pytest.raises(ProviderError, match="FAIRSTACK_PUBLIC_URL"):
            await speaks_json.submit(order)
        assert fake.log.seen == []
        picture = _file(tmp_path, "image/png", 3 * 1024 * 1024)
        await speaks_json.submit(wan_order(image=picture))
        assert len(fake.log.submits.pop().body["input_reference"]) > 4 * 1024 * 1024
        await _built("openai_videos", settings, sessions, tmp_path).submit(order)
        assert fake.log.submits[1].body["input_reference"]["bytes"] == INLINE_MAX_BYTES + 1
