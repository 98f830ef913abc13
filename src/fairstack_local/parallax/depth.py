"""How near each part of a photograph is, guessed from its composition: sky above, nearing ground below."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from fairstack_local.parallax.fill import Picture, filled, guided

_LEAST_SKY = 0.04
_LOOK_WIDTH = 320


@dataclass(frozen=True)
class Depth:
    """Nearness 0 (far) to 1 (at the lens) of the background, the sky's mask, and the subject's nearness."""

    background: Picture
    sky: Picture
    subject: float


def depth_of(picture: npt.NDArray[np.uint8], matte: Picture) -> Depth:
    """Guess the depth of a framed picture whose subject is covered by the matte."""
    height, width = matte.shape
    sky = _sky(picture, matte)
    down = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None].repeat(width, 1)
    ground = 0.10 + 0.62 * down**1.25
    background = ground * (1.0 - sky) + 0.03 * sky
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    background = guided(grey, background, max(4, height // 16), 2e-3)
    hole = (matte > 0.05).astype(np.float32)
    background = filled(background[..., None], 1.0 - hole)[..., 0]
    # Low frequencies only: a depth that jumps would tear the background.
    smooth = cv2.GaussianBlur(background, (0, 0), max(2.0, height / 60))
    nearness: Picture = np.clip(smooth, 0, 1).astype(np.float32)
    return Depth(nearness, sky, _subject_nearness(nearness, matte))


def _subject_nearness(background: Picture, matte: Picture) -> float:
    """A subject is as near as the ground it stands on, so that its foot does not slide over that ground."""
    rows = np.flatnonzero((matte > 0.5).any(axis=1))
    if not len(rows):
        return 0.5
    foot = min(int(rows[-1]), matte.shape[0] - 1)
    columns = matte[foot] > 0.5
    return float(np.clip(background[foot][columns].mean() + 0.06, 0.25, 0.9))


def _sky(picture: npt.NDArray[np.uint8], matte: Picture) -> Picture:
    """A soft mask of the sky: bright or blue, plain, and connected to the upper edge. Zero where unsure."""
    height, width = matte.shape
    size = (_LOOK_WIDTH, max(8, round(_LOOK_WIDTH * height / width)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.float32)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = cv2.GaussianBlur(np.abs(cv2.Laplacian(grey, cv2.CV_32F)), (0, 0), 1.5)
    blue = (np.abs(hsv[..., 0] - 108) < 22) & (hsv[..., 1] > 40) & (hsv[..., 2] > 80)
    pale = (hsv[..., 2] > 150) & (hsv[..., 1] < 75)
    plain = edges < 9.0
    likely = (blue | pale) & plain & (cv2.resize(matte, size) < 0.3)
    rows = np.arange(size[1])[:, None] / size[1]
    likely &= rows < 0.75
    closed = cv2.morphologyEx(likely.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    _, labels = cv2.connectedComponents(np.asarray(closed, np.uint8))
    from_top = np.unique(labels[0][closed[0] > 0])
    mask = np.isin(labels, from_top[from_top > 0]).astype(np.float32)
    if mask.mean() < _LEAST_SKY or mask[0].mean() < 0.35:
        return np.zeros((height, width), np.float32)
    wide = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    guide = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    soft = np.clip(guided(guide, wide, max(3, height // 90), 1e-3) * 1.6 - 0.3, 0.0, 1.0)
    return np.asarray(soft * (1.0 - matte), np.float32)
