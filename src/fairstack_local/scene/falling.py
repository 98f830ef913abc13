"""Rain and snow in the air before the camera, drawn over the frame in linear light."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fairstack_local.plan.scene_plan import Weather
from fairstack_local.scene.light import Light
from fairstack_local.scene.shot import Picture

_SUBPIXEL_BITS = 3


@dataclass(frozen=True)
class Falling:
    """Drops or flakes: rows of x, y, nearness and sway, all 0..1."""

    weather: Weather
    grains: npt.NDArray[np.float64]

    def draw(self, linear: Picture, light: Light, seconds: float) -> None:
        """Add this moment's drops or flakes to the picture."""
        height, width = linear.shape[:2]
        veil = np.zeros((height, width), np.uint8)
        for x, y, near, sway in self.grains:
            if self.weather is Weather.RAIN:
                _drop(veil, x, y, near, seconds)
            else:
                _flake(veil, x, y, near, sway, seconds)
        share = veil.astype(np.float32)[..., None] / 255.0
        shine = np.array(light.ambient, np.float32) * 1.5 + np.array(light.sun_colour, np.float32) * 0.35
        linear += share * (shine - linear * 0.5)


def falling_in(weather: Weather, seed: int) -> Falling | None:
    """What falls in this weather, if anything."""
    count = {Weather.RAIN: 650, Weather.SNOW: 520}.get(weather, 0)
    return Falling(weather, np.random.default_rng(seed).random((count, 4))) if count else None


def _drop(veil: npt.NDArray[np.uint8], x: float, y: float, near: float, seconds: float) -> None:
    height, width = veil.shape
    fall = (y + seconds * (1.7 + 1.6 * near)) % 1.15 - 0.08
    length = (0.022 + 0.055 * near) * height
    left, top = x * 1.1 * width - fall * 0.06 * height, fall * height
    cv2.line(
        veil,
        _fixed(left, top),
        _fixed(left - 0.06 * length, top + length),
        int(26 + 60 * near**2),
        1,
        cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )


def _flake(veil: npt.NDArray[np.uint8], x: float, y: float, near: float, sway: float, seconds: float) -> None:
    height, width = veil.shape
    fall = (y + seconds * (0.09 + 0.20 * near**1.5)) % 1.1 - 0.05
    aside = 0.020 * np.sin(6.28 * (sway + seconds * (0.25 + 0.3 * sway))) - seconds * 0.035 * (0.4 + near)
    left = ((x + aside) % 1.04 - 0.02) * width
    radius = max(1, round((0.6 + 3.6 * near**4) * height / 720 * (1 << _SUBPIXEL_BITS)))
    shade = int(210 - 90 * near**4)
    cv2.circle(veil, _fixed(left, fall * height), radius, shade, -1, cv2.LINE_AA, _SUBPIXEL_BITS)


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(x * (1 << _SUBPIXEL_BITS)), round(y * (1 << _SUBPIXEL_BITS))
