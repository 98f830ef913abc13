"""The light of an hour and a weather: where the sun stands and what colour everything receives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from fairstack_local.plan.scene_plan import Hour, Weather
from fairstack_local.scene.vectors import Vec


class Light(NamedTuple):
    """All colours are linear RGB radiance before exposure; `sun` points at the sun or the moon."""

    sun: Vec
    sun_colour: Vec
    zenith: Vec
    middle: Vec
    horizon: Vec
    glow: Vec
    ambient: Vec
    bounce: Vec
    cloud_lit: Vec
    cloud_dark: Vec
    haze: float
    cloud_cover: float
    stars: float
    disc: float
    exposure: float


class _HourLight(NamedTuple):
    elevation: float
    azimuth: float
    sun_colour: Vec
    zenith: Vec
    middle: Vec
    horizon: Vec
    glow: Vec
    ambient: Vec
    bounce: Vec
    cloud_lit: Vec
    cloud_dark: Vec
    stars: float
    disc: float
    exposure: float


# Elevation and azimuth in degrees; the azimuth is counted from the camera's axis, to the right.
_HOURS: Mapping[Hour, _HourLight] = {
    Hour.SUNSET: _HourLight(
        elevation=4.6,
        azimuth=-13.0,
        sun_colour=(3.6, 1.55, 0.55),
        zenith=(0.040, 0.070, 0.20),
        middle=(0.27, 0.165, 0.245),
        horizon=(1.05, 0.40, 0.125),
        glow=(1.45, 0.55, 0.13),
        ambient=(0.30, 0.25, 0.33),
        bounce=(0.30, 0.18, 0.12),
        cloud_lit=(1.30, 0.47, 0.25),
        cloud_dark=(0.155, 0.105, 0.175),
        stars=0.0,
        disc=1.0,
        exposure=0.95,
    ),
    Hour.SUNRISE: _HourLight(
        elevation=6.0,
        azimuth=15.0,
        sun_colour=(3.2, 1.85, 0.95),
        zenith=(0.13, 0.24, 0.48),
        middle=(0.42, 0.42, 0.50),
        horizon=(1.10, 0.66, 0.42),
        glow=(1.05, 0.55, 0.26),
        ambient=(0.38, 0.38, 0.46),
        bounce=(0.28, 0.22, 0.17),
        cloud_lit=(1.35, 0.82, 0.60),
        cloud_dark=(0.36, 0.33, 0.42),
        stars=0.0,
        disc=1.0,
        exposure=0.95,
    ),
    Hour.GOLDEN_HOUR: _HourLight(
        elevation=14.0,
        azimuth=-62.0,
        sun_colour=(3.5, 2.15, 1.05),
        zenith=(0.12, 0.25, 0.55),
        middle=(0.36, 0.46, 0.62),
        horizon=(0.98, 0.78, 0.55),
        glow=(0.9, 0.5, 0.2),
        ambient=(0.34, 0.38, 0.48),
        bounce=(0.34, 0.26, 0.16),
        cloud_lit=(1.5, 1.12, 0.78),
        cloud_dark=(0.42, 0.42, 0.50),
        stars=0.0,
        disc=1.0,
        exposure=0.90,
    ),
    Hour.DAY: _HourLight(
        elevation=48.0,
        azimuth=-125.0,
        sun_colour=(3.1, 2.9, 2.55),
        zenith=(0.085, 0.23, 0.62),
        middle=(0.24, 0.46, 0.86),
        horizon=(0.66, 0.82, 1.0),
        glow=(0.25, 0.24, 0.2),
        ambient=(0.42, 0.52, 0.68),
        bounce=(0.34, 0.30, 0.22),
        cloud_lit=(1.35, 1.33, 1.30),
        cloud_dark=(0.50, 0.56, 0.66),
        stars=0.0,
        disc=1.0,
        exposure=0.80,
    ),
    Hour.DUSK: _HourLight(
        elevation=1.2,
        azimuth=-12.0,
        sun_colour=(0.62, 0.34, 0.30),
        zenith=(0.022, 0.042, 0.125),
        middle=(0.105, 0.105, 0.22),
        horizon=(0.62, 0.30, 0.24),
        glow=(0.42, 0.15, 0.07),
        ambient=(0.125, 0.135, 0.22),
        bounce=(0.07, 0.06, 0.07),
        cloud_lit=(0.55, 0.26, 0.26),
        cloud_dark=(0.075, 0.075, 0.13),
        stars=0.25,
        disc=0.0,
        exposure=1.65,
    ),
    Hour.NIGHT: _HourLight(
        elevation=19.0,
        azimuth=-10.0,
        sun_colour=(0.46, 0.54, 0.72),
        zenith=(0.010, 0.018, 0.048),
        middle=(0.020, 0.034, 0.078),
        horizon=(0.048, 0.072, 0.13),
        glow=(0.07, 0.09, 0.13),
        ambient=(0.050, 0.066, 0.115),
        bounce=(0.020, 0.026, 0.042),
        cloud_lit=(0.13, 0.16, 0.24),
        cloud_dark=(0.016, 0.022, 0.042),
        stars=1.0,
        disc=0.32,
        exposure=2.3,
    ),
}


class _WeatherLight(NamedTuple):
    sun: float
    """Share of the direct light that comes through."""
    veil: float
    """How far the sky's colours are drawn to grey."""
    haze: float
    """Extinction of the air per metre."""
    cloud_cover: float
    """0 for none to 1 for a closed deck."""


_WEATHERS: Mapping[Weather, _WeatherLight] = {
    Weather.CLEAR: _WeatherLight(sun=1.0, veil=0.0, haze=0.0016, cloud_cover=0.10),
    Weather.FAIR: _WeatherLight(sun=1.0, veil=0.0, haze=0.0020, cloud_cover=0.45),
    Weather.CLOUDY: _WeatherLight(sun=0.32, veil=0.45, haze=0.0030, cloud_cover=0.86),
    Weather.FOG: _WeatherLight(sun=0.42, veil=0.55, haze=0.045, cloud_cover=0.35),
    Weather.RAIN: _WeatherLight(sun=0.14, veil=0.72, haze=0.011, cloud_cover=1.0),
    Weather.SNOW: _WeatherLight(sun=0.25, veil=0.62, haze=0.016, cloud_cover=0.95),
}


def light_of(hour: Hour, weather: Weather, facing: float) -> Light:
    """The light of this hour, dimmed and greyed by this weather, for a camera that faces this azimuth."""
    h, w = _HOURS[hour], _WEATHERS[weather]
    elevation, azimuth = math.radians(h.elevation), facing + math.radians(h.azimuth)
    lifted = tuple(a + b * (1.0 - w.sun) * 0.35 for a, b in zip(h.ambient, h.sun_colour, strict=True))
    return Light(
        sun=(
            math.cos(elevation) * math.sin(azimuth),
            math.sin(elevation),
            math.cos(elevation) * math.cos(azimuth),
        ),
        sun_colour=_scaled(h.sun_colour, w.sun),
        zenith=_veiled(h.zenith, w.veil, 1.15),
        middle=_veiled(h.middle, w.veil, 1.0),
        horizon=_veiled(h.horizon, w.veil, 0.85),
        glow=_scaled(h.glow, w.sun),
        ambient=_veiled((lifted[0], lifted[1], lifted[2]), w.veil, 1.0),
        bounce=_veiled(h.bounce, w.veil, 1.0),
        cloud_lit=_veiled(h.cloud_lit, w.veil, 0.62),
        cloud_dark=_veiled(h.cloud_dark, w.veil, 0.95),
        haze=w.haze,
        cloud_cover=w.cloud_cover,
        stars=h.stars * (1.0 - w.cloud_cover * 0.4),
        disc=h.disc * (1.0 if w.sun > 0.9 else 0.0),
        exposure=h.exposure,
    )


def _scaled(colour: Vec, factor: float) -> Vec:
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def _veiled(colour: Vec, veil: float, gain: float) -> Vec:
    grey = 0.30 * colour[0] + 0.55 * colour[1] + 0.15 * colour[2]
    r, g, b = (channel + (grey - channel) * veil for channel in colour)
    gain = 1.0 + (gain - 1.0) * veil
    return r * gain, g * gain, b * gain * (1.0 + 0.06 * veil)
