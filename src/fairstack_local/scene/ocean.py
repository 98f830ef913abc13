"""A wind sea by its spectrum: tiles of moving water whose waves keep the true speed for their length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairstack_local.scene.textures import Texture

_GRAVITY = 9.81
_CELLS = 256


@dataclass(frozen=True)
class Sea:
    """Two tiles of waves, long ones and ripples, as spectra; `surface` gives their pictures at a moment."""

    metres: float
    _spectrum: npt.NDArray[np.complex64]
    _mirrored: npt.NDArray[np.complex64]
    """The waves that run the other way, so that the surface is a real number."""
    _frequency: npt.NDArray[np.float32]
    _slopes: npt.NDArray[np.complex64]

    def surface(self, seconds: float) -> Texture:
        """Slope along x, slope along z and height in metres at this moment: (n, n, 3)."""
        turn = np.exp(1j * self._frequency * seconds).astype(np.complex64)
        waves = self._spectrum * turn + self._mirrored * np.conj(turn)
        height = np.fft.ifft2(waves).real
        slope = np.fft.ifft2(waves * self._slopes)
        return np.stack((slope.real, slope.imag, height), axis=2).astype(np.float32)

    def height(self, x: float, z: float, seconds: float) -> float:
        """How high the water stands at one place in metres."""
        turn = np.exp(1j * self._frequency * seconds)
        waves = self._spectrum * turn + self._mirrored * np.conj(turn)
        k = 2.0 * math.pi * np.fft.fftfreq(_CELLS, self.metres / _CELLS)
        column, row = np.exp(1j * k * x), np.exp(1j * k * z)
        total: complex = row @ waves @ column
        return float(total.real / waves.size)


def calm_to_rough_sea(metres: float, wind: float, heading: float, steepness: float, seed: int) -> Sea:
    """Waves on a tile of `metres` under a wind in m/s blowing to `heading` radians from +x.

    The waves are scaled to a deviation of slope of `steepness`.
    """
    random = np.random.default_rng(seed)
    k1 = 2.0 * math.pi * np.fft.fftfreq(_CELLS, metres / _CELLS)
    kx, kz = np.meshgrid(k1, k1)
    k = np.hypot(kx, kz)
    k[0, 0] = 1.0
    longest = wind * wind / _GRAVITY
    along = (kx * math.cos(heading) + kz * math.sin(heading)) / k
    # Phillips' spectrum; waves against the wind are kept small, not removed.
    power = np.exp(-1.0 / (k * longest) ** 2) / k**4 * along**2 * np.where(along < 0, 0.15, 1.0)
    power *= np.exp(-((k * metres / (_CELLS * 1.6)) ** 2))
    power[0, 0] = 0.0
    noise = random.normal(size=(2, _CELLS, _CELLS))
    spectrum = (noise[0] + 1j * noise[1]) * np.sqrt(power)
    # Real and imaginary part of one inverse transform carry the two slopes.
    slopes = 1j * kx - kz
    mirrored = np.conj(np.roll(spectrum[::-1, ::-1], (1, 1), (0, 1)))
    start = np.fft.ifft2((spectrum + mirrored) * slopes)
    scale = steepness / (float(np.abs(start).std()) + 1e-12)
    return Sea(
        metres,
        (spectrum * scale).astype(np.complex64),
        (mirrored * scale).astype(np.complex64),
        np.sqrt(_GRAVITY * k).astype(np.float32),
        slopes.astype(np.complex64),
    )
