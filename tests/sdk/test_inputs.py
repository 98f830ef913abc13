"""What a request may carry: local pictures, options, and what is refused before it is sent."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest

from fairstack import BadArgument, BadRequest, Unreachable
from fairstack.files import media_type
from tests.sdk.faces import done
from tests.sdk.fake_fairstack import REQUEST_FIELDS, Books

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40
I2V = {"model": "kling-2-1-std-i2v", "prompt": "Zoom in"}


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A PNG whose name does not say so."""
    path = tmp_path / "portrait.dat"
    path.write_bytes(PNG)
    return path


async def test_local_picture_is_uploaded(client: Any, books: Books, picture: Path) -> None:
    """A path, as text or Path, and bytes are uploaded as they are, with the type that their bytes show."""
    for source in (picture, str(picture), PNG):
        await done(client.generate.video(**I2V, image=source))
        file_id = books.submits()[-1].json["image"]
        assert books.files[file_id] == PNG
        assert books.file_types[file_id] == "image/png"


WAV = b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 28
MP4 = b"\0\0\0\x18ftypisom" + b"\0" * 16


@pytest.mark.parametrize(
    ("param", "content", "kind"), [("audio_url", WAV, "audio/wav"), ("video", MP4, "video/mp4")]
)
async def test_local_clips_and_sounds_are_uploaded(
    client: Any, books: Books, tmp_path: Path, param: str, content: bytes, kind: str
) -> None:
    """`video` and `audio_url` take what `image` takes: paths, bytes of any kind and open files."""
    path = tmp_path / "recording"
    path.write_bytes(content)
    sources = [path, str(path), content, bytearray(content), memoryview(content), io.BytesIO(content)]
    with path.open("rb") as opened:
        for source in [*sources, opened]:
            await done(client.generate.video(model="wan-2-1-t2v", prompt="A dog", **{param: source}))
            file_id = books.submits()[-1].json[param]
            assert (books.files[file_id], books.file_types[file_id]) == (content, kind)


async def test_open_files_are_uploaded_whole(client: Any, books: Books, picture: Path) -> None:
    """An open file is read once: an upload that breaks is sent again with the same bytes."""
    books.faults.append(("/v1/files", "drop_before"))
    with picture.open("rb") as opened:
        file = await done(client.files.upload(opened))
        assert (file.bytes, books.files[file.id]) == (len(PNG), PNG)
        with pytest.raises(BadArgument, match="no bytes left"):
            await done(client.generate.video(**I2V, image=opened))
    with pytest.raises(BadArgument, match="closed file"):
        await done(client.generate.video(**I2V, image=opened))
    assert books.submits() == []


async def test_files_opened_as_text_are_refused(
    client: Any, books: Books, picture: Path, tmp_path: Path
) -> None:
    """A file opened without "b" is refused by its parameter's name, whatever bytes are in it."""
    plain = tmp_path / "plain.txt"
    plain.write_text("text")
    for path in (picture, plain):
        with path.open(encoding="utf-8") as opened, pytest.raises(BadArgument, match=r'image .*mode "rb"'):
            await done(client.generate.video(**I2V, image=opened))
    assert books.asked == []


async def test_addresses_go_as_they_are(client: Any, books: Books) -> None:
    """URLs, data URLs and file ids are sent as given; nothing is uploaded."""
    for image in ("https://example.com/a.jpg", "data:image/png;base64,AAAA"):
        await done(client.generate.video(**I2V, image=image))
        assert books.submits()[-1].json["image"] == image
    file = await done(client.files.upload(PNG))
    await done(client.generate.video(**I2V, image=file.id))
    assert len(books.files) == 1


async def test_own_key_keeps_the_body_the_same(client: Any, books: Books, picture: Path) -> None:
    """With the caller's own idempotency key a local picture is inlined: the repeat is the same job."""
    for _ in range(2):
        await done(client.generate.video(**I2V, image=picture, idempotency_key="order-1"))
    assert len(books.jobs) == 1
    assert books.files == {}
    image = books.submits()[0].json["image"]
    assert base64.b64decode(image.removeprefix("data:image/png;base64,")) == PNG


async def test_upload_survives_a_drop(client: Any, books: Books, picture: Path) -> None:
    """An upload that breaks is sent again, and the job is made once."""
    books.faults.append(("/v1/files", "drop_before"))
    await done(client.generate.video(**I2V, image=picture))
    assert (len(books.files), len(books.jobs)) == (1, 1)


async def test_unknown_fate_with_an_upload(client: Any, books: Books, picture: Path) -> None:
    """When a submit with an upload has an unknown fate, the error says all that makes the repeat the same."""
    books.faults.extend([("/v1/generations/video", "drop_after")] * 5)
    with pytest.raises(Unreachable) as caught:
        await done(client.generate.video(**I2V, image=picture))
    (file_id,) = books.files
    assert f"image='{file_id}'" in str(caught.value)
    key = caught.value.idempotency_key
    await done(client.generate.video(**I2V, image=file_id, idempotency_key=key))
    assert len(books.jobs) == 1


async def test_missing_file_is_named(client: Any, books: Books, tmp_path: Path) -> None:
    """A path with nothing there is refused before anything is sent, naming parameter and path."""
    with pytest.raises(BadArgument, match=r"image: .*no-such\.png.*No such file") as caught:
        await done(client.generate.video(**I2V, image=tmp_path / "no-such.png"))
    assert caught.value.param == "image"
    assert books.asked == []


async def test_every_field_is_passed_on(client: Any, books: Books) -> None:
    """Every field of the contract can be given and arrives under its name; None is left out."""
    options = {
        "image": "https://example.com/a.png", "end_image": "https://example.com/b.png", "images": [PNG],
        "video": "https://example.com/c.mp4", "audio_url": "https://example.com/d.mp3", "duration": 5,
        "aspect_ratio": "16:9", "resolution": "720p", "webhook_url": "https://example.com/h", "seed": 7,
        "negative_prompt": "blur", "audio": False, "options": {"steps": 4}, "tags": {"team": "film"},
        "max_cost_micro": 300_000, "cancel_after": 60,
    }  # fmt: skip
    await done(client.generate.video(**I2V, **options))
    sent = books.submits()[0].json
    assert set(sent) == REQUEST_FIELDS - {"confirm"}
    assert sent | options | {"images": sent["images"]} == sent
    await done(client.generate.video(model="wan-2-1-t2v", prompt="A dog", seed=None))
    assert set(books.submits()[1].json) == {"model", "prompt"}


async def test_misspelt_option(client: Any, books: Books) -> None:
    """A keyword that does not exist is a TypeError as in any function, and nothing is sent."""
    with pytest.raises(TypeError, match="'durration'"):
        await done(client.generate.video(model="wan-2-1-t2v", prompt="A dog", durration=5))
    assert books.asked == []


@pytest.mark.parametrize(
    "options",
    [
        {"duration": float("nan")},
        {"options": {"when": object()}},
        {"image": 5},
        {"image": ""},
        {"images": "a.png"},
    ],
)
async def test_what_json_cannot_say(client: Any, books: Books, options: dict[str, Any]) -> None:
    """Values that no request can carry are refused before anything is sent."""
    with pytest.raises(BadArgument):
        await done(client.generate.video(model="wan-2-1-t2v", prompt="A dog", **options))
    assert books.asked == []


@pytest.mark.parametrize("key", ["", "two words", "naïve", "x" * 256])
async def test_impossible_idempotency_keys(client: Any, books: Books, key: str) -> None:
    """A key that the server could not take is refused before anything is sent."""
    with pytest.raises(BadArgument):
        await done(client.generate.video(model="wan-2-1-t2v", prompt="A dog", idempotency_key=key))
    assert books.asked == []


async def test_refusal_says_what_is_allowed(client: Any) -> None:
    """A refused value carries the parameter and what it may be."""
    with pytest.raises(BadRequest) as caught:
        await done(client.generate.video(model="wan-2-1-t2v", prompt="A dog", duration=999))
    assert (caught.value.param, caught.value.allowed, caught.value.code) == (
        "duration",
        [3, 10],
        "validation_error",
    )


async def test_estimate_spends_nothing(client: Any, books: Books) -> None:
    """An estimate says confirm: false and consumes no idempotency key."""
    await done(client.estimate(model="wan-2-1-t2v", prompt="A dog"))
    (asked,) = books.asked
    assert asked.json["confirm"] is False
    assert "idempotency-key" not in asked.headers
    assert books.jobs == {}


async def test_files_and_keys(client: Any, books: Books) -> None:
    """Files and API keys are made, listed, changed and removed; a secret is shown once and never in repr."""
    file = await done(client.files.upload(PNG))
    assert (file.bytes, file.content_type) == (len(PNG), "image/png")
    await done(client.files.delete(file.id))
    assert books.files == {}
    key = await done(client.api_keys.create("ci", scopes=["generate"]))
    assert key.key == "fs_live_secret"
    assert "secret" not in repr(key)
    changed = await done(client.api_keys.update(key.id, name="robot"))
    assert (changed.name, changed.scopes) == ("robot", ("generate",))
    await done(client.api_keys.update(key.id, remove_cap=True))
    assert books.of("/v1/api-keys/", "PATCH")[-1].json == {"cap_micro": None}
    assert [found.name for found in await done(client.api_keys.list())] == ["robot"]
    await done(client.api_keys.revoke(key.id))
    assert books.keys == {}


async def test_unknown_fields_are_kept(client: Any) -> None:
    """Fields that this version does not know break nothing and are kept in `extra`."""
    model = await done(client.models.get("wan-2-1-t2v"))
    assert model.extra == {"colour": "blue"}
    assert model.price.extra == {"unit": "clip"}
    assert model.capabilities.extra == {"sings": True}
    assert model.capabilities.durations == (5,)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x18ftypisom", "video/mp4"),
        (b"\0\0\0\x1cftypavif", "image/avif"),
        (b"\0\0\0\x18ftypM4A ", "audio/mp4"),
        (b"ID3\x04", "audio/mpeg"),
        (b"<svg/>", "application/octet-stream"),
    ],
)
def test_types_are_seen_in_the_bytes(head: bytes, kind: str) -> None:
    """The first bytes decide the type."""
    assert media_type(head) == kind


def test_unknown_bytes_go_by_name() -> None:
    """Bytes that say nothing are typed by the file's name."""
    assert media_type(b"<svg/>", "drawing.svg") == "image/svg+xml"
