"""Which part of a photograph a clip of another shape shows: the subject stays in, its head above all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_INSIDE = 0.5
_LEAST_SUBJECT = 0.004
_STRAY = 0.02
"""The share of the mask that may be stray pixels on each side of the subject's box."""
_KEPT_SHARE = 0.62
"""At least this share of a subject's width and height is shown, if need be by extending the picture."""
_HEAD_ROOM = 0.09
_HEAD_SHARE = 0.36
_UPRIGHT = 1.05
_ROOM_TO_MOVE = 0.88
"""A window smaller than the photograph, so that the camera moves over picture and not over its extension."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels of the photograph; may reach outside it."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    @property
    def centre(self) -> tuple[float, float]:
        """x and y of the middle."""
        return self.left + self.width / 2, self.top + self.height / 2

    def holds(self, other: Box) -> bool:
        """Whether the other box lies inside this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


@dataclass(frozen=True, slots=True)
class Focus:
    """What must be kept: the subject, and the part of it that may never be cut (an upright one's head)."""

    subject: Box
    head: Box


def focus_of(mask: npt.NDArray[np.float32]) -> Focus | None:
    """Where the subject and its head are; None when nothing stands out."""
    inside = mask > _INSIDE
    if inside.mean() < _LEAST_SUBJECT:
        return None
    subject = _box(inside)
    if subject.height < _UPRIGHT * subject.width and subject.height < 0.75 * mask.shape[0]:
        return Focus(subject, subject)
    upper = inside.copy()
    upper[round(subject.top + _HEAD_SHARE * subject.height) :] = False
    return Focus(subject, _box(upper) if upper.any() else subject)


def _box(inside: npt.NDArray[np.bool_]) -> Box:
    columns, rows = np.cumsum(inside.sum(axis=0)), np.cumsum(inside.sum(axis=1))
    left, right = np.searchsorted(columns, (columns[-1] * _STRAY, columns[-1] * (1 - _STRAY)))
    # The top is exact: hair is never stray.
    top = int(np.argmax(inside.any(axis=1)))
    bottom = int(np.searchsorted(rows, rows[-1] * (1 - _STRAY / 2)))
    return Box(float(left), float(top), float(right - left + 1), float(bottom - top + 1))


def window_for(width: int, height: int, aspect: float, focus: Focus | None) -> Box:
    """The part of a photograph that fills a clip of this aspect; reaches outside if the subject must."""
    w, h = (height * aspect, float(height)) if width / height > aspect else (float(width), width / aspect)
    if focus is None:
        w, h = w * _ROOM_TO_MOVE, h * _ROOM_TO_MOVE
        return Box((width - w) / 2, (height - h) / 2, w, h)
    subject, head = focus.subject, focus.head
    least_height = max(_KEPT_SHARE * subject.height, head.height * 1.25)
    least_width = max(_KEPT_SHARE * subject.width, head.width * 1.10)
    room = _ROOM_TO_MOVE if subject.height < h * 0.8 and subject.width < w * 0.8 else 1.0
    grow = max(room, least_height / h, least_width / w)
    w, h = w * grow, h * grow
    x, y = subject.centre if subject.width <= w else head.centre
    left = x - w / 2
    top = y - h / 2
    if subject.height * (1 + 2 * _HEAD_ROOM) > h:
        top = subject.top - _HEAD_ROOM * h
    return Box(_kept_on(left, w, width), _kept_on(top, h, height), w, h)


def _kept_on(start: float, length: float, whole: float) -> float:
    """Slide a stretch onto 0..whole; one that is longer is centred, so that both sides are extended alike."""
    if length >= whole:
        return (whole - length) / 2
    return min(max(start, 0.0), whole - length)
