"""From linear light to a picture: bloom, a film-like curve, vignette and grain."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from fairstack_local.kernels import Bands, inline, kernel
from fairstack_local.scene.noise import lattice
from fairstack_local.scene.shot import Picture
from fairstack_local.scene.vectors import clamp

Frame = npt.NDArray[np.uint8]

_BLOOM_SHRINK = 4
_CURVE_STEPS = 4096
_CURVE_TOP = 8.0


def film_curve() -> Picture:
    """Display value 0..255 for linear light 0..8, listed by the square root of light."""
    light = (np.arange(_CURVE_STEPS) / (_CURVE_STEPS - 1)) ** 2 * _CURVE_TOP
    x = light * 0.82
    shown = np.clip((x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14), 0.0, 1.0)
    return (255.0 * shown ** (1 / 2.2)).astype(np.float32)


def develop(linear: Picture, out: Frame, curve: Picture, exposure: float, frame: int, bands: Bands) -> None:
    """Turn linear light (height, width, 3) into RGB of 8 bits."""
    height, width = linear.shape[:2]
    small = cv2.resize(
        linear,
        (max(1, width // _BLOOM_SHRINK), max(1, height // _BLOOM_SHRINK)),
        interpolation=cv2.INTER_AREA,
    )
    bright = np.minimum(np.maximum(small * exposure - 0.9, 0.0), 3.0)
    reach = max(1.0, height / 90.0)
    glow = cv2.GaussianBlur(bright, (0, 0), reach) * 0.16 + cv2.GaussianBlur(bright, (0, 0), reach * 4) * 0.14
    bands.run(_develop_rows, height, linear, glow.astype(np.float32), out, curve, exposure, frame)


@kernel
def _develop_rows(
    top: int,
    bottom: int,
    linear: Picture,
    glow: Picture,
    out: Frame,
    curve: Picture,
    exposure: float,
    frame: int,
) -> None:
    height, width = linear.shape[0], linear.shape[1]
    for row in range(top, bottom):
        y = row / height - 0.5
        for column in range(width):
            x = column / width - 0.5
            shade = exposure * (1.0 - 0.55 * (x * x + 0.8 * y * y))
            grain = (lattice(column, row, frame) + lattice(column, row, frame + 911) - 1.0) * 2.6
            gy = clamp((row + 0.5) / _BLOOM_SHRINK - 0.5, 0.0, glow.shape[0] - 1.001)
            gx = clamp((column + 0.5) / _BLOOM_SHRINK - 0.5, 0.0, glow.shape[1] - 1.001)
            for c in range(3):
                value = linear[row, column, c] * shade + _between(glow, gy, gx, c)
                place = math.sqrt(clamp(value, 0.0, _CURVE_TOP) / _CURVE_TOP) * (_CURVE_STEPS - 1.001)
                index = int(place)
                shown = curve[index] + (curve[index + 1] - curve[index]) * (place - index)
                out[row, column, c] = int(clamp(shown + grain, 0.0, 255.0) + 0.5)


@inline
def _between(picture: Picture, y: float, x: float, c: int) -> float:
    iy, ix = max(int(y), 0), max(int(x), 0)
    jy, jx = min(iy + 1, picture.shape[0] - 1), min(ix + 1, picture.shape[1] - 1)
    t, s = y - iy, x - ix
    upper = picture[iy, ix, c] * (1 - s) + picture[iy, jx, c] * s
    lower = picture[jy, ix, c] * (1 - s) + picture[jy, jx, c] * s
    return float(upper * (1 - t) + lower * t)
