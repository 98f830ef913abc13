"""Tells by its first bytes what a file really is. Pure."""

from __future__ import annotations

from typing import Literal

ImageType = Literal["image/png", "image/jpeg", "image/webp"]
ClipType = Literal["video/mp4", "video/quicktime"]
SoundType = Literal["audio/wav", "audio/mpeg", "audio/mp4", "audio/aac", "audio/flac", "audio/ogg"]

#: Types that say nothing about the content; servers send them when they do not know.
UNDECLARED = frozenset(
    {
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "application/unknown",
        # curl says so of whatever it is told to post.
        "application/x-www-form-urlencoded",
    }
)
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/aacp": "audio/aac",
    "audio/x-aac": "audio/aac",
    "audio/x-flac": "audio/flac",
    "application/ogg": "audio/ogg",
    "audio/opus": "audio/ogg",
    "audio/vorbis": "audio/ogg",
    # One family of files; which member it is depends on who is asked.
    **dict.fromkeys(("video/quicktime", "video/x-m4v", "audio/mp4", "audio/m4a", "audio/x-m4a"), "video/mp4"),
}
#: First four letters of the brands of still pictures that live in MP4's boxes.
_PICTURE_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1", b"avif", b"avis")
_OTHERS = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"#EXTM3U", "a playlist"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\0\0\x01\0", "an icon"),
)


def image_type(data: bytes) -> ImageType | None:
    """PNG, JPEG or WebP by the magic bytes; None for everything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return None


def recording_type(head: bytes) -> ClipType | SoundType | None:
    """The kind of clip or sound by the magic bytes; None for everything else.

    An MP4 that holds nothing but sound counts as a clip here, unless its brand says better.
    """
    if head[4:8] == b"ftyp":
        return _boxed_type(head[8:12])
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    if head.startswith(b"fLaC"):
        return "audio/flac"
    if head.startswith(b"OggS"):
        return "audio/ogg"
    return _framed_type(head)


def looks_like(data: bytes) -> str:
    """What a file that is none of ours seems to be, in words: `an SVG`, `an HTML page`, …"""
    if not data:
        return "empty"
    for magic, name in _OTHERS:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        picture = data[8:12] in _PICTURE_BRANDS
        return "a HEIC or AVIF picture" if picture else "a video or sound"
    if data[:4] == b"RIFF":
        return {b"WEBP": "a WebP picture", b"WAVE": "a WAV file"}.get(data[8:12], "an AVI file")
    if data.startswith(b"\x1aE\xdf\xa3"):
        return "a WebM or Matroska file"
    if (kind := image_type(data)) is not None:
        return f"a {kind.removeprefix('image/').upper()} picture"
    return _markup(data) or "of a kind that is not known here"


def agrees(declared: str, actual: ImageType | ClipType | SoundType) -> bool:
    """Whether a declared media type may stand for content of this type."""
    plain = declared.partition(";")[0].strip().lower()
    return plain in UNDECLARED or _ALIASES.get(plain, plain) == _ALIASES.get(actual, actual)


def _boxed_type(brand: bytes) -> ClipType | SoundType | None:
    if brand in _PICTURE_BRANDS:
        return None
    if brand in (b"M4A ", b"M4B "):
        return "audio/mp4"
    return "video/quicktime" if brand == b"qt  " else "video/mp4"


def _framed_type(head: bytes) -> SoundType | None:
    """MP3 or AAC, which begin with a tag or with the sync word of a frame."""
    if head.startswith(b"ID3"):
        return "audio/mpeg"
    if len(head) < 2 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer = head[1] >> 1 & 3
    if layer == 0:
        return "audio/aac" if head[1] & 0xF0 == 0xF0 else None
    return "audio/mpeg" if layer == 1 else None


def _markup(data: bytes) -> str | None:
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start.startswith(b"<"):
        return None
    if b"<svg" in start:
        return "an SVG"
    return "an HTML page" if b"<html" in start or b"<!doctype html" in start else "XML"
