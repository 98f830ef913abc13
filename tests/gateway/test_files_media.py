"""Uploads and stored clips: what goes in is cleaned, what comes out is exact, cacheable and seekable."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import aiohttp
import pytest
from PIL import Image

from fairstack_server.media.boxes import read_mp4_facts
from tests.gateway.pictures import PHOTO
from tests.gateway.running import Answer, Running

KLING: dict[str, Any] = {"model": "kling-2-1-std-i2v", "prompt": "test:refused"}


async def upload(gateway: Running, data: bytes = PHOTO, kind: str = "image/png") -> Answer:
    """POST raw bytes with the test key."""
    headers = {"Content-Type": kind}
    return await gateway.call("POST", "/v1/files", data, key=gateway.keys.test, headers=headers)


def path_of(gateway: Running, url: str) -> str:
    """The path of one of our own URLs."""
    assert url.startswith(gateway.base_url + "/media/")
    return url.removeprefix(gateway.base_url)


async def test_raw_and_form_uploads_are_the_same(gateway: Running) -> None:
    """The same picture, raw or in a form, gives the same facts; its URL serves exactly those bytes."""
    form = aiohttp.FormData()
    form.add_field("file", PHOTO, filename="../../etc/passwd.png", content_type="image/png")
    sent = await gateway.call("POST", "/v1/files", key=gateway.keys.test, data=form)
    for answer in (await upload(gateway), sent):
        assert answer.status == 201, answer.body
        facts = answer.json
        assert (facts["width"], facts["height"], facts["content_type"]) == (64, 48, "image/png")
        served = await gateway.call("GET", path_of(gateway, facts["url"]), key="")
        assert len(served.body) == facts["bytes"]
        assert hashlib.sha256(served.body).hexdigest() == facts["sha256"]
        assert (await gateway.call("GET", f"/v1/files/{facts['id']}", key=gateway.keys.test)).json == facts


async def test_a_picture_is_cleaned(gateway: Running) -> None:
    """What was written beside the pixels is not kept, and the turn of the camera is applied."""
    picture, out = Image.new("RGB", (40, 20), (200, 30, 30)), io.BytesIO()
    exif = picture.getexif()
    exif[0x0112], exif[0x010E] = 6, "at home, second floor"
    picture.save(out, "JPEG", exif=exif)
    facts = (await upload(gateway, out.getvalue(), "image/jpeg")).json
    served = await gateway.call("GET", path_of(gateway, facts["url"]), key="")
    assert b"second floor" not in served.body
    assert (facts["width"], facts["height"]) == (20, 40)


@pytest.mark.parametrize(
    ("field", "content"), [("picture", PHOTO), ("file", b"")], ids=["another field", "an empty file"]
)
async def test_a_form_without_a_file(gateway: Running, field: str, content: bytes) -> None:
    """A form that has no file, or an empty one, is a 400 that says so."""
    form = aiohttp.FormData()
    form.add_field(field, content, filename="a.png", content_type="image/png")
    answer = await gateway.call("POST", "/v1/files", key=gateway.keys.test, data=form)
    assert (answer.status, answer.json["error"]["param"]) == (400, "file")


async def test_a_broken_form_and_no_body(gateway: Running) -> None:
    """A form that cannot be read and a missing body are 400."""
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = await upload(gateway, b"--y\r\nnonsense", kind)
        assert answer.status == 400, answer.body
    assert (await upload(gateway, b"")).status == 400


async def test_a_deleted_file_is_gone(gateway: Running) -> None:
    """A deleted file answers 404, its URL too; a job that was accepted with it keeps its own copy."""
    facts = (await upload(gateway)).json
    body = {**KLING, "image": facts["id"]}
    job = (await gateway.submit(body, key=gateway.keys.test)).json["id"]
    gone = await gateway.call("DELETE", f"/v1/files/{facts['id']}", key=gateway.keys.test)
    assert (gone.status, gone.body) == (204, b"")
    for path in (f"/v1/files/{facts['id']}", path_of(gateway, facts["url"])):
        assert (await gateway.call("GET", path, key=gateway.keys.test)).status == 404
    assert (await gateway.submit(body, key=gateway.keys.test)).json["error"]["code"] == "image_refused"
    inputs = await gateway.gateway.pool.fetchval("select inputs from jobs where id = $1", job)
    assert await gateway.gateway.media.read(inputs["image"]["key"])


async def test_our_own_media_url_is_an_image(gateway: Running) -> None:
    """The URL of an upload, and the poster of a clip, are taken as `image` without a request."""
    facts = (await upload(gateway)).json
    clip = await _clip(gateway)
    for url in (facts["url"], clip["metadata"]["poster_url"]):
        answer = await gateway.submit({**KLING, "image": url}, key=gateway.keys.test)
        assert answer.status == 202, answer.body
    nothing = facts["url"].rpartition("/")[0] + "/other.png"
    answer = await gateway.submit({**KLING, "image": nothing}, key=gateway.keys.test)
    assert (answer.status, answer.json["error"]["code"]) == (400, "image_refused")


async def _clip(gateway: Running) -> Any:
    """A completed test job."""
    job = await gateway.ended({"model": "wan-2-1-t2v", "prompt": "a clip"}, key=gateway.keys.test)
    assert job["status"] == "completed", job
    return job


async def test_a_clip_is_what_its_metadata_says(gateway: Running) -> None:
    """The stored clip is an MP4 with its index first, of the size, length and hash that the job tells."""
    job = await _clip(gateway)
    served = await gateway.call("GET", path_of(gateway, job["url"]), key="")
    metadata = job["metadata"]
    assert len(served.body) == metadata["bytes"]
    assert hashlib.sha256(served.body).hexdigest() == metadata["sha256"]
    facts = read_mp4_facts(io.BytesIO(served.body))
    assert facts.faststart
    assert served.body.index(b"moov") < served.body.index(b"mdat")
    assert (facts.width, facts.height, round(facts.fps)) == (1280, 720, 24)
    assert abs(facts.duration_seconds - 5) <= 1 / 24
    poster = await gateway.call("GET", path_of(gateway, metadata["poster_url"]), key="")
    assert poster.headers["Content-Type"] == "image/jpeg"
    with Image.open(io.BytesIO(poster.body)) as picture:
        assert (picture.format, picture.width / picture.height) == ("JPEG", 16 / 9)


async def test_ranges_validators_and_heads(gateway: Running) -> None:
    """A clip is served whole, in parts, by validator and by HEAD, as players and caches ask for it."""
    job = await _clip(gateway)
    path, total = path_of(gateway, job["url"]), job["metadata"]["bytes"]

    async def ask(method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await gateway.call(method, path, key="", headers=named)

    whole = await ask()
    assert whole.headers["Content-Type"] == "video/mp4"
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    assert whole.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert "sandbox" in whole.headers["Content-Security-Policy"]
    etag = whole.headers["ETag"]
    assert etag == f'"{job["metadata"]["sha256"]}"'
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        (f"bytes={total - 10}-", total - 10, total),
        ("bytes=-10", total - 10, total),
        (f"bytes=5-{total * 9}", 5, total),
    ):
        part = await ask(Range=asked)
        assert (part.status, part.body) == (206, whole.body[start:end]), asked
        assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/{total}"
    beyond = await ask(Range=f"bytes={total}-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{total}")
    for nonsense in ("bytes=9-1", "lines=1-2", "bytes=0-1,5-6"):
        assert (await ask(Range=nonsense)).status == 200
    for unchanged in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await ask(If_None_Match=unchanged)
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)
    assert (await ask(If_None_Match='"other"')).status == 200
    assert (await ask(Range="bytes=0-9", If_Range='"other"')).status == 200
    assert (await ask(Range="bytes=0-9", If_Range=etag)).status == 206
    head = await ask("HEAD")
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(total))
    assert head.headers["ETag"] == etag


async def test_a_media_address_cannot_be_walked(gateway: Running) -> None:
    """Only whole, exact addresses are there: no folder, no sidecar, no way up."""
    path = path_of(gateway, (await upload(gateway)).json["url"])
    folder, _, name = path.rpartition("/")
    for other in (
        folder,
        f"{path}.facts",
        f"{folder}/..%2f..%2fcredentials.json",
        f"/media/..%2f{name}",
        "/media/%2e%2e/%2e%2e/etc/passwd",
        f"{path}%00",
        path.replace("/image/", "/video/"),
    ):
        assert (await gateway.call("GET", other, key="")).status == 404, other
    assert (await gateway.call("POST", path, b"x")).status == 405
