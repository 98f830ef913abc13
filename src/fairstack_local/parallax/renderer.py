"""The moving camera over the layers: for each pixel of a frame, where in the photograph it comes from."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import inline, kernel
from fairstack_local.parallax.fill import Picture
from fairstack_local.parallax.layers import Layers

Frame = npt.NDArray[np.uint8]


class View(NamedTuple):
    """The camera and what stirs at one moment. Lengths in pixels of the frame."""

    zoom: float
    """Scale of the frame's own plane."""
    dolly: float
    """How much more near things grow than far ones."""
    shift_x: float
    shift_y: float
    swing_x: float
    """Sideways way of things at nearness 1 against things at nearness 0."""
    swing_y: float
    roll: float
    seconds: float
    wind: float
    water: float
    drift: float
    """How far the sky has moved."""


@kernel
def draw_photo(top: int, bottom: int, out: Frame, layers: Layers, view: View) -> None:
    """Draw rows `top` to `bottom` of the frame."""
    height, width = out.shape[0], out.shape[1]
    cos, sin = math.cos(view.roll), math.sin(view.roll)
    pivot_x, pivot_y = layers.focus_x - layers.margin_x, layers.focus_y - layers.margin_y
    for row in range(top, bottom):
        for column in range(width):
            dx, dy = column - pivot_x - view.shift_x, row - pivot_y - view.shift_y
            x, y = cos * dx + sin * dy, cos * dy - sin * dx
            r, g, b, a = _subject(x, y, layers, view, height)
            if a < 0.996:
                br, bg, bb = _behind(x, y, layers, view, height)
                rest = 1.0 - a
                r, g, b = r * a + br * rest, g * a + bg * rest, b * a + bb * rest
            out[row, column, 0] = int(min(max(r, 0.0), 255.0) + 0.5)
            out[row, column, 1] = int(min(max(g, 0.0), 255.0) + 0.5)
            out[row, column, 2] = int(min(max(b, 0.0), 255.0) + 0.5)


@inline
def _source(x: float, y: float, near: float, layers: Layers, view: View) -> tuple[float, float]:
    """Where on the canvas a thing of this nearness stands that is seen at (x, y) from the focus."""
    apart = near - layers.subject_nearness
    scale = view.zoom * (1.0 + view.dolly * apart)
    return (
        layers.focus_x + (x - view.swing_x * apart) / scale,
        layers.focus_y + (y - view.swing_y * apart) / scale,
    )


@inline
def _subject(
    x: float, y: float, layers: Layers, view: View, height: int
) -> tuple[float, float, float, float]:
    sx, sy = _source(x, y, layers.subject_nearness, layers, view)
    if view.wind > 0.0:
        # What stands is held at its foot and gives way at its top.
        free = min(max((layers.margin_y + height * 0.92 - sy) / height, 0.0), 1.0)
        gust = math.sin(view.seconds * 2.1 + sy * 9.0 / height) + 0.5 * math.sin(
            view.seconds * 3.7 + sx * 14.0 / height
        )
        sx += view.wind * free * free * gust * 0.0042 * height
    return _between4(layers.subject, sx, sy)


@inline
def _behind(x: float, y: float, layers: Layers, view: View, height: int) -> tuple[float, float, float]:
    near = 0.35
    sx, sy = _source(x, y, near, layers, view)
    for _ in range(3):
        near = _nearest(layers.background, sx, sy, 3)
        sx, sy = _source(x, y, near, layers, view)
    sky = _nearest(layers.sky, sx, sy, 3)
    if view.wind > 0.0:
        sway = math.sin(view.seconds * 1.7 + sx * 15.0 / height + sy * 12.0 / height)
        sx += view.wind * (1.0 - sky) * sway * 0.0011 * height
    if view.water > 0.0:
        depth = min(max(((sy - layers.margin_y) / height - 0.48) * 2.2, 0.0), 1.0) * view.water * (1.0 - sky)
        lines = (
            sy * 82.0 / height - view.seconds * 3.0 + 2.0 * math.sin(sx * 9.0 / height + view.seconds * 0.7)
        )
        sy += depth * 0.0033 * height * math.sin(lines)
        sx += depth * 0.0026 * height * math.sin(sy * 36.0 / height + view.seconds * 1.7 + sx * 7.0 / height)
    r, g, b, _near = _between4(layers.background, sx, sy)
    if view.drift != 0.0:
        sky = _between4(layers.sky, sx, sy)[3]
        if sky > 0.01:
            cr, cg, cb, _ = _between4(layers.sky, sx - view.drift, sy)
            r, g, b = r + (cr - r) * sky, g + (cg - g) * sky, b + (cb - b) * sky
    return r, g, b


@inline
def _folded(x: float, size: int) -> float:
    """Outside the canvas its mirror image is seen, never a stretched border."""
    last = size - 1.001
    x = abs(x)
    x = 2.0 * last - x if x > last else x
    return min(max(x, 0.0), last)


@inline
def _nearest(picture: Picture, x: float, y: float, channel: int) -> float:
    return float(
        picture[int(_folded(y, picture.shape[0]) + 0.5), int(_folded(x, picture.shape[1]) + 0.5), channel]
    )


@inline
def _between4(picture: Picture, x: float, y: float) -> tuple[float, float, float, float]:
    x, y = _folded(x, picture.shape[1]), _folded(y, picture.shape[0])
    ix, iy = int(x), int(y)
    s, t = x - ix, y - iy
    a, b, c, d = (1 - s) * (1 - t), s * (1 - t), (1 - s) * t, s * t
    p, q, u, v = picture[iy, ix], picture[iy, ix + 1], picture[iy + 1, ix], picture[iy + 1, ix + 1]
    return (
        p[0] * a + q[0] * b + u[0] * c + v[0] * d,
        p[1] * a + q[1] * b + u[1] * c + v[1] * d,
        p[2] * a + q[2] * b + u[2] * c + v[2] * d,
        p[3] * a + q[3] * b + u[3] * c + v[3] * d,
    )
