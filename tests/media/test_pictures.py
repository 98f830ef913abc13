"""Untrusted pictures through the confined decoder: what comes out is clean, what is hostile stays out."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageDraw

import fairstack_server
from fairstack_server.media.pictures import ImageRefused
from fairstack_server.media.sandbox import ChildFailed, ConfinedChild, ImageDecoder

from .conftest import encoded, picture_of, png_chunk, png_of
from .watched import watching

PHOTO = Image.effect_noise((96, 64), 80).convert("RGB")


@pytest.mark.parametrize(
    ("form", "expected"), [("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/jpeg")]
)
async def test_three_formats_are_taken(decoder: ImageDecoder, form: str, expected: str) -> None:
    """PNG stays PNG, JPEG and WebP become JPEG; size and look stay."""
    clean = await decoder.decode(encoded(PHOTO, form))
    assert (clean.content_type, clean.width, clean.height, clean.reframed) == (expected, 96, 64, None)
    copy = picture_of(clean.data)
    assert (copy.format, copy.mode, copy.size) == (expected[6:].upper(), "RGB", (96, 64))


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    return exif


async def test_the_picture_is_turned_upright_and_forgets_where_it_was_taken(decoder: ImageDecoder) -> None:
    """EXIF orientation is applied; EXIF, GPS, comments and profiles do not survive."""
    picture = Image.new("RGB", (60, 40), (0, 0, 200))
    picture.paste((200, 0, 0), (0, 0, 30, 40))
    data = encoded(picture, "JPEG", exif=_exif(6), comment=b"SecretComment", quality=95)
    clean = await decoder.decode(data)
    copy = picture_of(clean.data)
    assert copy.size == (clean.width, clean.height) == (40, 60)
    assert not copy.getexif()
    assert b"Secret" in data
    assert b"Secret" not in clean.data
    red, _, blue = picture_of(clean.data).convert("RGB").getpixel((20, 5))  # type: ignore[misc]
    assert red > blue


async def test_nothing_is_left_of_a_polyglot(decoder: ImageDecoder) -> None:
    """A ZIP behind a PNG, a script in a JPEG comment and a text chunk are gone in our copy."""
    png = encoded(PHOTO, "PNG")
    hidden = png[:-12] + png_chunk(b"tEXt", b"k\0PAYLOAD") + png[-12:] + b"PK\x03\x04PAYLOAD"
    script = encoded(PHOTO, "JPEG", comment=b"*/=1;alert('PAYLOAD')/*") + b"<script>PAYLOAD</script>"
    for data in (hidden, script):
        clean = await decoder.decode(data)
        assert b"PAYLOAD" not in clean.data
        assert not clean.data.endswith(b"</script>")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "I;16", "CMYK"])
async def test_every_kind_of_pixel_becomes_rgb(decoder: ImageDecoder, mode: str) -> None:
    """Transparent parts turn white, grey and palette pictures keep their look."""
    if mode in ("RGBA", "LA"):
        picture = Image.new(mode, (20, 20), 0)  # all transparent
    elif mode == "I;16":
        picture = Image.new(mode, (20, 20), 65535)
    else:
        picture = Image.new("RGB", (20, 20), (255, 255, 255)).convert(mode)
    clean = await decoder.decode(encoded(picture, "JPEG" if mode == "CMYK" else "PNG"))
    assert min(low for low, _ in picture_of(clean.data).getextrema()) > 250  # type: ignore[misc]


async def test_colours_of_a_profile_are_converted(decoder: ImageDecoder) -> None:
    """A profile is applied and dropped; a broken one is only dropped."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (profile, b"broken" * 40):
        clean = await decoder.decode(encoded(Image.new("RGB", (8, 8), (10, 200, 30)), "PNG", icc_profile=icc))
        copy = picture_of(clean.data)
        assert "icc_profile" not in copy.info
        assert all(abs(a - b) < 4 for a, b in zip(copy.getpixel((4, 4)), (10, 200, 30), strict=True))  # type: ignore[arg-type]


async def test_a_profile_with_other_primaries_changes_the_numbers(decoder: ImageDecoder) -> None:
    """Red in a profile that swaps red and blue is blue, and is blue in our copy without a profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    clean = await decoder.decode(encoded(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG", icc_profile=swapped))
    red, _, blue = picture_of(clean.data).getpixel((4, 4))  # type: ignore[misc]
    assert blue > 200
    assert red < 100


async def test_sixteen_bits_of_grey_keep_their_shades(decoder: ImageDecoder) -> None:
    """Half of 65,535 is half of 255, not white."""
    clean = await decoder.decode(encoded(Image.new("I;16", (8, 8), 32_768), "PNG"))
    assert picture_of(clean.data).getpixel((4, 4)) == (128, 128, 128)


async def test_a_phone_photograph_with_a_second_picture_is_taken(decoder: ImageDecoder) -> None:
    """MPO, the JPEG that phones write, counts as its first picture."""
    data = encoded(PHOTO, "MPO", save_all=True, append_images=[Image.new("RGB", (96, 64))])
    assert (await decoder.decode(data)).width == 96


def _hostile() -> dict[str, bytes]:
    png, jpeg = encoded(PHOTO, "PNG"), encoded(PHOTO, "JPEG")
    frames = [Image.new("RGB", (8, 8), (n * 100, 0, 0)) for n in range(3)]
    inflated = png_chunk(b"zTXt", b"k\0\0" + zlib.compress(b"\0" * 100_000_000, 9))
    return {
        "900 megapixels": png_of(30_000, 30_000),
        "one long side": png_of(8193, 1),
        "just too many pixels": png_of(8192, 4883),
        "text bomb": png[:33] + inflated + png[33:],
        "animated PNG": encoded(frames[0], "PNG", save_all=True, append_images=frames[1:]),
        "animated WebP": encoded(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
        "GIF": encoded(PHOTO, "GIF"),
        "TIFF": encoded(PHOTO, "TIFF"),
        "BMP": encoded(PHOTO, "BMP"),
        "EPS": encoded(PHOTO, "EPS"),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="http://127.0.0.1/"/></svg>',
        "cut PNG": png[: len(png) // 2],
        "cut JPEG": jpeg[: len(jpeg) // 2],
        "wrong checksum": png[:40] + bytes([png[40] ^ 1]) + png[41:],
        "only a header": png[:33],
        "nothing": b"",
    }


async def test_hostile_pictures_are_refused_in_words(decoder: ImageDecoder) -> None:
    """Bombs, animations, foreign formats and damaged files each end in a refusal that says something."""
    for name, data in _hostile().items():
        try:
            clean = await decoder.decode(data)
        except ImageRefused as refusal:
            assert refusal.reason
        else:
            pytest.fail(f"{name} became {clean.width}x{clean.height}")


async def test_the_largest_picture_allowed_is_decoded(decoder: ImageDecoder) -> None:
    """40 megapixels fit into the child's memory and come out small where that is asked."""
    clean = await decoder.decode(png_of(8000, 5000), max_side=1024)
    assert (clean.width, clean.height) == (1024, 640)


async def test_flipped_bits_never_break_the_decoder(decoder: ImageDecoder) -> None:
    """Damaged files are refused or repaired; the child answers every one of them."""
    dice = random.Random(7)
    small = PHOTO.resize((24, 16))
    answers = set()
    for form in ("PNG", "JPEG", "WEBP"):
        good = encoded(small, form)
        for _ in range(60):
            data = bytearray(good)
            for _ in range(dice.randint(1, 6)):
                data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            try:
                answers.add((await decoder.decode(bytes(data))).width)
            except ImageRefused:
                answers.add(0)
    assert answers >= {0, 24}


def _scene(size: tuple[int, int], at: tuple[int, int]) -> Image.Image:
    """A plain picture with one detailed spot: the subject."""
    picture = Image.new("RGB", size, (90, 120, 150))
    subject = Image.effect_noise((40, 40), 120).convert("RGB")
    picture.paste(subject, at)
    return picture


def _has_subject(data: bytes) -> bool:
    grey = picture_of(data).convert("L")
    busy = sum(1 for value in grey.tobytes() if abs(value - 116) > 12)
    return busy > 40 * 40 * 0.75


@pytest.mark.parametrize(
    ("size", "at", "ratio", "how"),
    [
        ((160, 120), (60, 2), (16, 9), "crop"),
        ((160, 120), (60, 78), (16, 9), "crop"),
        ((180, 120), (2, 40), (5, 4), "crop"),
        ((180, 120), (138, 40), (5, 4), "crop"),
        ((90, 160), (20, 4), (16, 9), "pad"),
        ((160, 160), (60, 60), (16, 9), "pad"),
        ((160, 90), (110, 40), (9, 16), "pad"),
        ((160, 90), (10, 10), (16, 9), None),
    ],
)
async def test_a_picture_is_brought_to_a_ratio_with_its_subject(
    decoder: ImageDecoder, size: tuple[int, int], at: tuple[int, int], ratio: tuple[int, int], how: str | None
) -> None:
    """A crop keeps the subject wherever it is; where a crop would cost more than 35 %, borders are added."""
    clean = await decoder.decode(encoded(_scene(size, at), "PNG"), crop_ratio=ratio)
    assert clean.reframed == how
    assert abs(clean.width / clean.height - ratio[0] / ratio[1]) < 0.02
    assert _has_subject(clean.data)


async def test_in_doubt_the_head_stays_in_the_picture(decoder: ImageDecoder) -> None:
    """Of a figure that fills the height, a crop keeps the top."""
    picture = Image.new("RGB", (160, 120), (200, 200, 200))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((65, 3, 95, 33), fill=(160, 90, 60))
    draw.rectangle((60, 34, 100, 120), fill=(30, 60, 120))
    clean = await decoder.decode(encoded(picture, "PNG"), crop_ratio=(16, 9))
    assert clean.reframed == "crop"
    assert picture_of(clean.data).getpixel((80, 5)) == (160, 90, 60)


async def test_where_nothing_stands_out_the_top_is_kept(decoder: ImageDecoder) -> None:
    """Of a picture that is alike from top to bottom, a crop takes the bottom off."""
    picture = Image.new("RGB", (160, 120))
    for column in range(0, 160, 8):
        picture.paste((255, 255, 255), (column, 0, column + 4, 120))
    picture.paste((255, 0, 0), (0, 0, 160, 1))
    clean = await decoder.decode(encoded(picture, "PNG"), crop_ratio=(16, 9))
    assert picture_of(clean.data).getpixel((80, 0)) == (255, 0, 0)


PROBE = """
import json, os, socket, sys
sys.path.insert(0, sys.argv[1])
from fairstack_server.media.child import _run_forked
from fairstack_server.media.confine import confinement
def attempt(action):
    try:
        action()
    except OSError as error:
        return error.errno
    return 0
def task(work):
    return {
        "socket": attempt(lambda: socket.socket()),
        "open": attempt(lambda: open("/etc/passwd")),
        "write": attempt(lambda: open("/tmp/x", "w")),
        "exec": attempt(lambda: os.execv("/bin/true", ["true"])),
        "fork": attempt(os.fork),
        "kill": attempt(lambda: os.kill(os.getppid(), 0)),
        "unlink": attempt(lambda: os.unlink("/nowhere")),
        "secrets": len(os.environ),
        "inherited": attempt(lambda: os.read(0, 1)),
    }, b""
confinement()
answer = _run_forked(task, {"seconds": 3}, b"")
hungry = _run_forked(lambda *_: ({"got": len(bytearray(600 << 20))}, b""), {"seconds": 3}, b"")
def spin(*_):
    while True: pass
endless = _run_forked(spin, {"seconds": 0.2}, b"")
print(json.dumps([confinement(), answer and answer[4:-8].decode(), hungry is None, endless is None]))
"""


def test_the_decoding_process_can_do_nothing_else() -> None:
    """No socket, file, program, process or signal; no memory past its share; no time past its limit."""
    package = str(Path(fairstack_server.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, package], env={}, capture_output=True, text=True, check=True
    )
    level, answer, hungry_died, endless_died = json.loads(run.stdout)
    report: dict[str, Any] = json.loads(answer)
    assert hungry_died
    assert endless_died
    assert report["inherited"] == 9  # EBADF: the pipe from the server is closed
    if level == "seccomp+rlimits":
        forbidden = ("socket", "open", "write", "exec", "fork", "kill", "unlink")
        assert {name: report[name] for name in forbidden} == dict.fromkeys(forbidden, 1)
    assert sys.platform != "linux" or level.endswith("rlimits")


async def test_a_child_that_was_killed_is_replaced() -> None:
    """One dead child costs one refusal at most; the next picture is decoded."""
    decoder = ImageDecoder(timeout_seconds=10)
    try:
        assert decoder.confinement is None
        await decoder.decode(encoded(PHOTO, "PNG"))
        assert decoder.confinement is not None
        process = decoder._children[0]._process
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        assert (await decoder.decode(encoded(PHOTO, "PNG"))).width == 96
    finally:
        await decoder.aclose()


async def test_a_decode_that_takes_too_long_is_a_refusal() -> None:
    """Time is up: the picture is refused, and the same warm child takes the next one."""
    hasty = ImageDecoder(timeout_seconds=0.1)
    try:
        await hasty.start()
        child = hasty._children[0]
        process = child._process
        with pytest.raises(ImageRefused, match="time"):
            await hasty.decode(png_of(8000, 5000))
        answer, _ = await child.ask({"ratio": None, "max_side": None}, encoded(PHOTO, "PNG"), 10)
        assert answer["width"] == 96
        assert child._process is process
    finally:
        await hasty.aclose()


async def test_a_cancelled_decode_does_not_answer_the_next_one(decoder: ImageDecoder) -> None:
    """Whoever comes next gets the answer to the own picture."""
    first = asyncio.ensure_future(decoder.decode(png_of(8000, 5000)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert (await decoder.decode(encoded(PHOTO, "PNG"))).width == 96


async def test_a_child_that_is_silent_fails(decoder: ImageDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopped process is given up after its time, with an error and not for ever."""
    monkeypatch.setattr("fairstack_server.media.sandbox._SPARE_SECONDS", 0.01)
    child = ConfinedChild("image")
    await child.start()
    process = child._process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(ChildFailed):
        await child.ask({"ratio": None, "max_side": None}, encoded(PHOTO, "PNG"), 0.02)
    await child.aclose()
    assert process.returncode == -signal.SIGKILL


async def test_odd_metadata_makes_the_decoder_look_for_no_file() -> None:
    """A warning of Pillow is not printed, for which Python would look for its source in the file system."""
    data = encoded(PHOTO, "JPEG")
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(200))
    odd = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    with watching() as watch:
        decoder = ImageDecoder(timeout_seconds=10)
        try:
            assert (await decoder.decode(odd)).width == 96
        finally:
            await decoder.aclose()
        assert [ended.signal for ended in watch.take()] == [0]
