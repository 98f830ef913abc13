"""The media store, in a folder and in an object store, and what it serves."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from fairstack_server.media.serve import MediaAnswer, MediaRequest, answer
from fairstack_server.media.store import AlreadyStored, MediaStore, NotStored, StoredFile

BASE = "https://media.example.com/media"
DATA = bytes(range(256)) * 8


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["folder", "memory"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MediaStore]:
    """A store of each kind; the one in memory takes the same calls as S3, Google and Azure."""
    if request.param == "folder":
        yield MediaStore(tmp_path / "media", BASE)
        return
    memory = MemoryStore()
    monkeypatch.setattr("fairstack_server.media.store.from_url", lambda _url: memory)
    yield MediaStore("s3://bucket/clips", BASE)


@pytest.fixture
def clip_file(tmp_path: Path) -> Path:
    """Some bytes in a file."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(DATA)
    return path


async def test_a_clip_is_kept_under_a_key_that_nobody_guesses(store: MediaStore, clip_file: Path) -> None:
    """What went in comes out, at a URL with 142 random bits, with its size, hash and type."""
    first = await store.put_clip(clip_file, _sha256(DATA))
    second = await store.put_clip(clip_file, _sha256(DATA))
    assert await store.head(first.key) == first
    assert await store.read(first.key) == DATA
    kind, token, name = first.key.split("/")
    assert (kind, len(token), name) == ("video", 24, "output.mp4")
    assert first.key != second.key
    assert [chunk async for chunk in store.open_range(first.key, 3, 3)] == []
    assert first.url == f"{BASE}/{first.key}"
    assert store.key_of(first.url) == first.key
    assert clip_file.exists()


async def test_a_file_is_written_once(store: MediaStore, clip_file: Path) -> None:
    """Storing the same again is fine, another file under the same key is refused and changes nothing."""
    token = "A" * 24
    stored = await store.put_clip(clip_file, _sha256(DATA), token=token)
    assert await store.put_clip(clip_file, _sha256(DATA), token=token) == stored
    clip_file.write_bytes(b"other")
    with pytest.raises(AlreadyStored):
        await store.put_clip(clip_file, _sha256(b"other"), token=token)
    assert await store.read(stored.key) == DATA


async def test_a_crash_between_file_and_facts_is_mended(store: MediaStore, clip_file: Path) -> None:
    """A file without its facts is served to nobody, and storing it again completes it."""
    stored = await store.put_clip(clip_file, _sha256(DATA), token="B" * 24)
    await store._objects.delete_async(stored.key + ".facts")
    with pytest.raises(NotStored):
        await store.head(stored.key)
    assert await store.put_clip(clip_file, _sha256(DATA), token="B" * 24) == stored
    assert await store.head(stored.key) == stored


async def test_a_poster_lies_beside_its_clip_and_goes_alone(store: MediaStore, clip_file: Path) -> None:
    """Files share a token; deleting one leaves the other, deleting twice is fine."""
    clip = await store.put_clip(clip_file, _sha256(DATA), token="C" * 24)
    poster = await store.put_bytes(
        b"jpeg", kind="video", name="poster.jpg", content_type="image/jpeg", token="C" * 24
    )
    assert poster.key == f"video/{'C' * 24}/poster.jpg"
    await store.delete(clip.key)
    await store.delete(clip.key)
    with pytest.raises(NotStored):
        await store.head(clip.key)
    assert await store.read(poster.key) == b"jpeg"


BAD_KEYS = [
    "",
    "video",
    "video/../../etc/passwd",
    f"video/{'A' * 24}/../output.mp4",
    f"video/{'A' * 24}/output.mp4.facts",
    f"video/{'A' * 24}/.incoming-x",
    f"/video/{'A' * 24}/output.mp4",
    f"video/{'A' * 24}/output.mp4/",
    f"video/{'A' * 10}/output.mp4",
    f"video//{'A' * 24}/output.mp4",
    f"video/{'A' * 24}/out%2fput.mp4",
    f"video/{'A' * 24}/output.mp4\n",
    "VIDEO/" + "A" * 24 + "/output.mp4",
]


async def test_only_keys_of_ours_are_looked_up(store: MediaStore, clip_file: Path) -> None:
    """Traversal, hidden files and fact records are no keys."""
    await store.put_clip(clip_file, _sha256(DATA), token="A" * 24)
    for key in BAD_KEYS:
        with pytest.raises(NotStored):
            await store.head(key)
        with pytest.raises(NotStored):
            await anext(store.open_range(key, 0, 1))
        assert store.path_of(key) is None
        assert store.key_of(f"{BASE}/{key}") is None
        await store.delete(key)
    assert store.key_of("https://elsewhere.example.com/media/" + f"video/{'A' * 24}/output.mp4") is None
    with pytest.raises(ValueError, match="media key"):
        await store.put_bytes(b"", kind="file", name="../x.png", content_type="image/png")


async def test_a_folder_holds_nothing_but_whole_files(tmp_path: Path, clip_file: Path) -> None:
    """No half-written file is left in sight, and the path of a file is known on this machine."""
    store = MediaStore(str(tmp_path / "media"), BASE)
    stored = await store.put_clip(clip_file, _sha256(DATA))
    with pytest.raises(FileNotFoundError):
        await store.put_clip(tmp_path / "missing.mp4", "0" * 64)
    files = {
        str(path.relative_to(tmp_path / "media"))
        for path in (tmp_path / "media").rglob("*")
        if path.is_file()
    }
    assert files == {stored.key, stored.key + ".facts"}
    path = store.path_of(stored.key)
    assert path is not None
    assert path.read_bytes() == DATA
    await store.delete(stored.key)
    assert not path.parent.exists()


@pytest.fixture
async def served(store: MediaStore, clip_file: Path) -> tuple[MediaStore, StoredFile]:
    """A store with one clip in it."""
    return store, await store.put_clip(clip_file, _sha256(DATA))


async def _ask(
    served: tuple[MediaStore, StoredFile], method: str = "GET", **headers: str
) -> tuple[MediaAnswer, bytes]:
    store, stored = served
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    given = await answer(MediaRequest(method, stored.key, named), store)
    body = b"" if given.body is None else b"".join([chunk async for chunk in given.body])
    return given, body


async def test_a_clip_is_served_to_be_cached_for_ever(served: tuple[MediaStore, StoredFile]) -> None:
    """The whole file, with its type, length, validator and the headers that keep it a video."""
    given, body = await _ask(served)
    assert (given.status, body) == (200, DATA)
    headers = given.headers
    assert headers["Content-Type"] == "video/mp4"
    assert headers["Content-Length"] == "2048"
    assert headers["ETag"] == f'"{_sha256(DATA)}"'
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["Content-Security-Policy"].endswith("sandbox")
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Content-Disposition"].startswith("inline; filename=")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 2048),
        ("bytes=100-199", 100, 200),
        ("bytes=2047-", 2047, 2048),
        ("bytes=2000-99999", 2000, 2048),
        ("bytes=-1", 2047, 2048),
        ("bytes=-99999", 0, 2048),
    ],
)
async def test_a_range_is_a_206_of_exactly_those_bytes(
    served: tuple[MediaStore, StoredFile], asked: str, start: int, end: int
) -> None:
    """First bytes, last bytes, the middle, and ends past the file."""
    given, body = await _ask(served, range=asked)
    assert given.status == 206
    assert body == DATA[start:end]
    assert given.headers["Content-Range"] == f"bytes {start}-{end - 1}/2048"
    assert given.headers["Content-Length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=2048-", "bytes=99999-100000", "bytes=-0"])
async def test_a_range_past_the_end_is_a_416(served: tuple[MediaStore, StoredFile], asked: str) -> None:
    """The answer says how long the file is and sends nothing of it."""
    given, body = await _ask(served, range=asked)
    assert (given.status, given.headers["Content-Range"], body) == (416, "bytes */2048", b"")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=5-2",
        "bytes=0-1,4-5",
        "bytes=-",
        "bytes=a-b",
        "items=0-1",
        "bytes=\u0661-",
        "bytes=1" + "0" * 30 + "-",
    ],
)
async def test_what_is_no_single_range_gets_the_whole_file(
    served: tuple[MediaStore, StoredFile], asked: str
) -> None:
    """Malformed and multiple ranges are ignored, as RFC 9110 allows."""
    given, body = await _ask(served, range=asked)
    assert (given.status, body) == (200, DATA)


async def test_validators_decide(served: tuple[MediaStore, StoredFile]) -> None:
    """If-None-Match saves the body; If-Range gives the part only of the same version."""
    etag = f'"{_sha256(DATA)}"'
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        given, body = await _ask(served, if_none_match=known)
        assert (given.status, body, given.headers["ETag"]) == (304, b"", etag)
        assert "Content-Length" not in given.headers
    assert (await _ask(served, if_none_match='"x"'))[0].status == 200
    assert (await _ask(served, range="bytes=0-1", if_range=etag))[0].status == 206
    for other in ('"x"', f"W/{etag}", "Sun, 22 Nov 2026 00:00:00 GMT"):
        assert (await _ask(served, range="bytes=0-1", if_range=other))[0].status == 200


async def test_head_has_the_headers_and_no_body(served: tuple[MediaStore, StoredFile]) -> None:
    """HEAD says what GET would, whatever range it names."""
    given, body = await _ask(served, "HEAD", range="bytes=0-1")
    assert (given.status, given.body, body) == (200, None, b"")
    assert given.headers["Content-Length"] == "2048"


async def test_everything_else_is_404_or_405(served: tuple[MediaStore, StoredFile]) -> None:
    """Unknown and malformed keys are the same 404, other methods a 405."""
    store, _ = served
    for key in [*BAD_KEYS, f"video/{'Z' * 24}/output.mp4"]:
        given = await answer(MediaRequest("GET", key), store)
        assert (given.status, given.body) == (404, None)
        assert given.headers == {"Cache-Control": "no-store", "Content-Length": "0"}
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert (await _ask(served, method))[0].status == 405
