"""Filling holes smoothly from their borders, coarse to fine: nothing is ever smeared along a direction."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]


def filled(picture: Picture, weight: Picture) -> Picture:
    """The picture (height, width, channels) where weight is 1, and its surroundings blended where it is 0."""
    height, width = weight.shape
    if min(height, width) <= 2:
        whole = float(weight.sum())
        mean = (picture * weight[..., None]).sum((0, 1)) / whole if whole > 1e-6 else picture.mean((0, 1))
        return np.broadcast_to(mean, picture.shape).astype(np.float32)
    size = ((width + 1) // 2, (height + 1) // 2)
    small_weight = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(picture * weight[..., None], size, interpolation=cv2.INTER_AREA)
    small = small.reshape(size[1], size[0], -1) / np.maximum(small_weight, 1e-6)[..., None]
    coarse = filled(small.astype(np.float32), np.minimum(small_weight * 2.0, 1.0).astype(np.float32))
    around = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(picture.shape)
    share = weight[..., None]
    return (picture * share + around * (1.0 - share)).astype(np.float32)


def guided(guide: Picture, values: Picture, radius: int, softness: float) -> Picture:
    """Smooth the values, but let their edges fall where the guide has its own."""
    box = (2 * radius + 1, 2 * radius + 1)
    mean_g, mean_v = cv2.blur(guide, box), cv2.blur(values, box)
    slope = (cv2.blur(guide * values, box) - mean_g * mean_v) / (
        cv2.blur(guide * guide, box) - mean_g * mean_g + softness
    )
    offset = mean_v - slope * mean_g
    return (cv2.blur(slope, box) * guide + cv2.blur(offset, box)).astype(np.float32)
