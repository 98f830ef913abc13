"""Turns an untrusted picture into a clean one: decode, turn upright, reframe, shrink, encode anew.

Runs inside the confined child only; Pillow is the one decoder, and knows three formats here.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageCms, ImageFile, ImageFilter, ImageOps

FORMATS = ("PNG", "JPEG", "WEBP")
MAX_PIXELS = 40_000_000
MAX_SIDE = 8192
#: Of a picture, the share that a crop may cost; past it the picture is padded instead.
MAX_CROP_LOSS = 0.35
_PNG_MAX_PIXELS = 4_000_000
_ANALYSED_SIDE = 96
_TOP_BIAS = 0.35

Reframed = Literal["crop", "pad"]


class ImageRefused(Exception):
    """The picture is not taken; `reason` names what is wrong with it, in words fit for the user."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Framing:
    """What the picture shall become."""

    ratio: tuple[int, int] | None = None
    max_side: int | None = None


@dataclass(frozen=True, slots=True)
class CleanImage:
    """A picture that only we wrote: no metadata, one frame, upright, RGB."""

    data: bytes
    content_type: str
    width: int
    height: int
    reframed: Reframed | None = None
    """How the picture was brought to another ratio, if it was."""


def clean_picture(data: bytes, framing: Framing) -> CleanImage:
    """Decode, check and re-encode a picture. Raises ImageRefused."""
    try:
        return _clean(data, framing)
    except ImageRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefused(_too_large()) from None
    except MemoryError:
        raise ImageRefused("the picture needs too much memory to decode") from None
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, KeyError, ArithmeticError):
        # What Pillow's readers raise on broken files; the details are about the attacker's bytes, not ours.
        raise ImageRefused("the picture is damaged or not a PNG, JPEG or WebP") from None


def warm_up() -> None:
    """Load every piece of Pillow that will be used, while files can still be opened."""
    Image.init()
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    # Any other warning would be printed, for which Python looks for the source of the line that gave it.
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name in FORMATS:
        sample = io.BytesIO()
        Image.effect_noise((24, 16), 50).convert("RGB").save(sample, name, icc_profile=profile)
        clean_picture(sample.getvalue(), Framing(ratio=(1, 1)))
        clean_picture(sample.getvalue(), Framing(ratio=(4, 3), max_side=8))


def _clean(data: bytes, framing: Framing) -> CleanImage:
    picture: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    _check_claims(picture)
    lossless = picture.format == "PNG"
    if framing.max_side is not None:
        picture.draft("RGB", (framing.max_side, framing.max_side))
    picture.load()
    if framing.max_side is not None and max(picture.size) > framing.max_side:
        picture.thumbnail((framing.max_side, framing.max_side), Image.Resampling.LANCZOS)
    # In place wherever that is possible: a copy of the largest picture allowed costs 160 MB.
    ImageOps.exif_transpose(picture, in_place=True)
    picture = _to_rgb(picture)
    reframed: Reframed | None = None
    if framing.ratio is not None:
        picture, reframed = reframe(picture, framing.ratio)
    content_type, encoded = _encode(picture, lossless=lossless)
    return CleanImage(encoded, content_type, picture.width, picture.height, reframed)


def _check_claims(picture: Image.Image) -> None:
    width, height = picture.size
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageRefused(_too_large())
    # Phone cameras add a second picture to a JPEG (MPO); the first one is the photograph.
    if getattr(picture, "n_frames", 1) > 1 and picture.format != "MPO":
        raise ImageRefused("the picture is animated; send a single frame")


def _too_large() -> str:
    return f"the picture is too large: at most {MAX_PIXELS // 1_000_000} megapixels and {MAX_SIDE} a side"


def _to_rgb(picture: Image.Image) -> Image.Image:
    profile = picture.info.get("icc_profile")
    if picture.mode.startswith("I") or picture.mode == "F":
        # 16-bit grey; Pillow's own conversion would clip it to white.
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    if picture.has_transparency_data:
        # No model knows transparency, and each would show another colour; white is what a viewer expects.
        over = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        picture = Image.new("RGB", over.size, (255, 255, 255))
        picture.paste(over, mask=over.getchannel("A"))
    elif profile and picture.mode in ("RGB", "CMYK"):
        picture = _to_srgb(picture, profile)
    # A picture that is still bound to its source looks at the file system when it is saved.
    bound = isinstance(picture, ImageFile.ImageFile)
    return picture.convert("RGB") if bound or picture.mode != "RGB" else picture


def _to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(picture, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture  # a broken profile; the colours as they stand are the best guess
    return converted or picture


def _encode(picture: Image.Image, *, lossless: bool) -> tuple[str, bytes]:
    out = io.BytesIO()
    # Pillow's writers take profiles and comments from here when they are not told otherwise.
    picture.info = {}
    if lossless and picture.width * picture.height <= _PNG_MAX_PIXELS:
        picture.save(out, "PNG", compress_level=4)
        return "image/png", out.getvalue()
    picture.save(out, "JPEG", quality=94, subsampling=0)
    return "image/jpeg", out.getvalue()


def reframe(picture: Image.Image, ratio: tuple[int, int]) -> tuple[Image.Image, Reframed | None]:
    """Bring a picture to a ratio, its subject kept: a crop where that costs little, else blurred borders."""
    width, height = picture.size
    wanted = ratio[0] / ratio[1]
    kept_width = min(width, max(1, round(height * wanted)))
    kept_height = min(height, max(1, round(width / wanted)))
    if (kept_width, kept_height) == (width, height):
        return picture, None
    if kept_width * kept_height < (1 - MAX_CROP_LOSS) * width * height:
        return _pad(picture, wanted), "pad"
    left = _best_offset(picture, kept_width, across=True)
    top = _best_offset(picture, kept_height, across=False)
    return picture.crop((left, top, left + kept_width, top + kept_height)), "crop"


def _pad(picture: Image.Image, wanted: float) -> Image.Image:
    width, height = picture.size
    full_width = max(width, round(height * wanted))
    full_height = max(height, round(width / wanted))
    # The picture itself, blurred, fills the borders: a model makes less of them than of black bars.
    small = ImageOps.fit(picture, (max(1, full_width // 8), max(1, full_height // 8)))
    blurred = small.filter(ImageFilter.GaussianBlur(max(2, min(small.size) / 8)))
    canvas = blurred.resize((full_width, full_height), Image.Resampling.BICUBIC)
    canvas.paste(picture, ((full_width - width) // 2, (full_height - height) // 2))
    return canvas


def _best_offset(picture: Image.Image, kept: int, *, across: bool) -> int:
    """Where a window of `kept` pixels holds the most edges; in doubt towards the top, where heads are."""
    whole = picture.width if across else picture.height
    slack = whole - kept
    if slack == 0:
        return 0
    energy = _edge_energy(picture, across=across)
    window = max(1, round(len(energy) * kept / whole))
    places = len(energy) - window
    if places == 0:
        return slack // 2 if across else 0
    sums = [sum(energy[place : place + window]) for place in range(places + 1)]
    best = max(range(places + 1), key=lambda place: sums[place] * _weight(place / places, across=across))
    return round(slack * best / places)


def _weight(position: float, *, across: bool) -> float:
    """How much a window at that share of the way counts: across the middle is preferred, else the top."""
    return 1 - _TOP_BIAS * (abs(position - 0.5) if across else position)


def _edge_energy(picture: Image.Image, *, across: bool) -> list[int]:
    """How much there is to see in each column (or row) of a small grey copy."""
    grey = picture.convert("L")
    grey.thumbnail((_ANALYSED_SIDE, _ANALYSED_SIDE))
    edges = grey.filter(ImageFilter.FIND_EDGES)
    # The filter's outermost pixels are not edges of the picture's content.
    edges = ImageOps.expand(ImageOps.crop(edges, 1), 1) if min(edges.size) > 2 else edges
    width, height = edges.size
    values = edges.tobytes()
    if across:
        return [sum(values[column::width]) for column in range(width)]
    return [sum(values[row * width : (row + 1) * width]) for row in range(height)]
