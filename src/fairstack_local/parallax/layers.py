"""A photograph taken apart: sky, background with the subject removed, and the subject cut out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from fairstack_local.orders import OrderRefused
from fairstack_local.parallax.depth import depth_of
from fairstack_local.parallax.fill import Picture, filled, guided
from fairstack_local.parallax.framing import Box, Focus, focus_of, window_for
from fairstack_local.parallax.saliency import Mask, Photo, saliency

MARGIN = 0.10
"""How much more than the frame is kept on each side for the camera to move into, as a share of its size."""
_LONGEST_SIDE = 4096


class Layers(NamedTuple):
    """The canvas: the frame and its margins, as float RGB of 0..255 with masks and nearness."""

    subject: Picture
    """RGB and alpha, not premultiplied: (height, width, 4)."""
    background: Picture
    """RGB and nearness: (height, width, 4)."""
    sky: Picture
    """RGB and alpha: (height, width, 4)."""
    subject_nearness: float
    margin_x: float
    """Pixels of canvas to the left of the frame."""
    margin_y: float
    focus_x: float
    """What the camera keeps to, in pixels of the canvas."""
    focus_y: float
    head_left: float
    """What no camera move may push out of the frame: the head's box, in pixels of the frame at rest."""
    head_top: float
    head_right: float


@dataclass(frozen=True)
class Framed:
    """The photograph on its canvas, before it is taken apart."""

    picture: Photo
    mask: Mask
    window: Box
    focus: Focus | None


def open_photo(path: str) -> Photo:
    """Read a PNG or JPEG upright, RGB; raises OrderRefused when it is no picture."""
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file)
            upright.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
            return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise OrderRefused("image_path is not a readable PNG or JPEG") from error


def frame_photo(photo: Photo, mask: Mask, width: int, height: int) -> Framed:
    """Put the right part of the photograph on a canvas of the frame's size and its margins."""
    focus = focus_of(mask)
    window = window_for(photo.shape[1], photo.shape[0], width / height, focus)
    margin_x, margin_y = _margins(width, height)
    size = (width + 2 * margin_x, height + 2 * margin_y)
    scale = width / window.width
    to_canvas = np.array(
        ((scale, 0.0, margin_x - window.left * scale), (0.0, scale, margin_y - window.top * scale)),
        np.float64,
    )
    if scale < 0.8:
        # A mipmap by hand: warping alone would skip pixels.
        sigma = 0.45 / scale
        photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), sigma), np.uint8)
    warp = {"dsize": size, "flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REFLECT_101}
    picture = np.asarray(cv2.warpAffine(photo, to_canvas, **warp), np.uint8)  # type: ignore[call-overload]
    cut = cv2.warpAffine(mask, to_canvas, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    outside = _outside(photo.shape[1], photo.shape[0], to_canvas, size)
    return Framed(_extended(picture, outside), np.asarray(cut, np.float32), window, focus)


def take_apart(framed: Framed, width: int, height: int) -> Layers:
    """Separate subject, background and sky, and fill what each hides of the one behind it."""
    picture = framed.picture
    matte = _matte(picture, framed.mask)
    depth = depth_of(picture, matte)
    colours = picture.astype(np.float32)
    reach = max(3, round(min(width, height) / 90)) | 1
    hole = cv2.dilate((matte > 0.02).astype(np.float32), np.ones((reach, reach), np.uint8))
    behind = filled(
        colours, (1.0 - cv2.GaussianBlur(hole, (0, 0), reach / 3.0)).clip(0, 1).astype(np.float32)
    )
    # Colours at the outline are mixed with what was behind: take them from further inside.
    pure = filled(colours, np.clip(matte * 4.0 - 3.0, 0.0, 1.0).astype(np.float32))
    own = np.clip(matte * 2.0 - 0.9, 0.0, 1.0)[..., None]
    cut_out = colours * own + pure * (1.0 - own)
    sky_colours = filled(colours, np.clip(depth.sky * 3.0 - 2.0, 0.0, 1.0).astype(np.float32))
    margin_x, margin_y = _margins(width, height)
    focus_x, focus_y = _focus_point(framed, width, margin_x, margin_y, height)
    return Layers(
        _stacked(cut_out, matte),
        _stacked(behind, depth.background),
        _stacked(sky_colours, depth.sky),
        depth.subject,
        float(margin_x),
        float(margin_y),
        focus_x,
        focus_y,
        *_head_box(framed, width, height),
    )


def layers_of(photo: Photo, width: int, height: int) -> Layers:
    """From a photograph to the layers of a clip of this size."""
    return take_apart(frame_photo(photo, saliency(photo), width, height), width, height)


def _margins(width: int, height: int) -> tuple[int, int]:
    return round(width * MARGIN), round(height * MARGIN)


def _focus_point(
    framed: Framed, width: int, margin_x: int, margin_y: int, height: int
) -> tuple[float, float]:
    if framed.focus is None:
        return margin_x + width / 2, margin_y + height / 2
    scale = width / framed.window.width
    x, y = framed.focus.head.centre
    return margin_x + (x - framed.window.left) * scale, margin_y + (y - framed.window.top) * scale


def _head_box(framed: Framed, width: int, height: int) -> tuple[float, float, float]:
    """Left, top and right edge of the head in the frame; the middle of the frame when nothing stands out."""
    if framed.focus is None:
        return width / 2, height / 2, width / 2
    scale, head = width / framed.window.width, framed.focus.head
    left, right = ((edge - framed.window.left) * scale for edge in (head.left, head.right))
    return left, (head.top - framed.window.top) * scale, right


def _stacked(colours: Picture, fourth: Picture) -> Picture:
    return np.ascontiguousarray(np.dstack((colours, fourth)), np.float32)


def _matte(picture: Photo, mask: Mask) -> Picture:
    """The mask with its edge moved onto the picture's own."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    fine = guided(grey, mask, max(2, picture.shape[0] // 110), 1e-4)
    return np.asarray(np.clip((fine - 0.18) / 0.64, 0.0, 1.0), np.float32)


def _outside(width: int, height: int, to_canvas: npt.NDArray[np.float64], size: tuple[int, int]) -> Picture:
    """How far each canvas pixel lies outside the photograph, in shares of the canvas height."""
    scale = to_canvas[0, 0]
    left, top = to_canvas[0, 2], to_canvas[1, 2]
    x, y = np.arange(size[0], dtype=np.float32), np.arange(size[1], dtype=np.float32)
    beyond_x = np.maximum(np.maximum(left - x, x - (left + width * scale)), 0.0)
    beyond_y = np.maximum(np.maximum(top - y, y - (top + height * scale)), 0.0)
    return np.asarray(np.hypot(beyond_x[None, :], beyond_y[:, None]) / size[1], np.float32)


def _extended(picture: Photo, outside: Picture) -> Photo:
    """Let the mirrored surroundings of the photograph dissolve: the further out, the softer."""
    if outside.max() <= 0.0:
        return picture
    result = picture.astype(np.float32)
    for reach, blur in ((0.004, 0.010), (0.03, 0.03), (0.09, 0.07)):
        soft = cv2.GaussianBlur(result, (0, 0), blur * picture.shape[0])
        share = np.clip((outside - reach * 0.3) / reach, 0.0, 1.0)[..., None]
        result = result * (1.0 - share) + soft * share
    return np.clip(result, 0, 255).astype(np.uint8)
