"""Tells by its first bytes what a file really is. Pure."""

from __future__ import annotations

from typing import Literal

ImageType = Literal["image/png", "image/jpeg", "image/webp"]

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
_ALIASES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}
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


def looks_like(data: bytes) -> str:
    """What a file that is no image of ours seems to be, in words: `an SVG`, `an HTML page`, …"""
    for magic, name in _OTHERS:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return "a HEIC or AVIF picture, or a video"
    if data[:4] == b"RIFF":
        return "an AVI or WAV file"
    return _markup(data) or "no picture"


def agrees(declared: str, actual: ImageType) -> bool:
    """Whether a declared media type may stand for content of this type."""
    plain = declared.partition(";")[0].strip().lower()
    return plain in UNDECLARED or _ALIASES.get(plain, plain) == actual


def _markup(data: bytes) -> str | None:
    start = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if not start.startswith(b"<"):
        return None
    if b"<svg" in start:
        return "an SVG"
    return "an HTML page" if b"<html" in start or b"<!doctype html" in start else "XML"
