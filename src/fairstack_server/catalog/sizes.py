"""Width and height from a resolution and a ratio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

#: Short sides that are written as a number of thousands.
_SHORT_SIDES = {"2k": 1440, "4k": 2160, "8k": 4320}


def parse_pixels(text: str) -> tuple[int, int]:
    """Width and height of "1280x720"."""
    width, height = text.split("x")
    return int(width), int(height)


def size_of(
    resolution: str | None, ratio: str | None, sizes: Mapping[str, Mapping[str, tuple[int, int]]]
) -> tuple[int, int] | None:
    """Width and height in even pixels: the model's own size, else the short side that the resolution names.

    720p is 1280x720, 720x1280 and 720x720. None where the upstream or the image decides.
    """
    if resolution is None:
        return None
    if "x" in resolution:
        return parse_pixels(resolution)
    shape = ratio_of(ratio)
    if ratio is None or shape is None:
        return None
    own = sizes.get(resolution, {}).get(ratio)
    short = _short_side(resolution)
    if own is not None or short is None:
        return own
    long = _even(short * max(shape, 1 / shape))
    return (long, short) if shape >= 1 else (short, long)


def ratio_of(ratio: str | None) -> Fraction | None:
    """Width by height of "16:9"; None for "auto" and for nothing."""
    if ratio is None or ":" not in ratio:
        return None
    width, height = ratio.split(":")
    return Fraction(int(width), int(height))


def nearest_ratio(size: tuple[int, int], ratios: Iterable[str]) -> str | None:
    """The ratio that needs the least cropping of an image of this size; None where there is none to take."""
    width, height = size
    shape = Fraction(width, height)
    shapes = [(each, found) for each in ratios if (found := ratio_of(each)) is not None]
    if not shapes:
        return None
    return min(shapes, key=lambda pair: max(shape / pair[1], pair[1] / shape))[0]


def _short_side(resolution: str) -> int | None:
    if resolution.endswith("p"):
        return int(resolution[:-1])
    return _SHORT_SIDES.get(resolution)


def _even(pixels: Fraction) -> int:
    return 2 * round(pixels / 2)
