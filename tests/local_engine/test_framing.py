"""The subject, and above all its head, stays in the frame whatever the shapes are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fairstack_local.parallax.film import holding_head, view_at
from fairstack_local.parallax.framing import Box, focus_of, window_for
from fairstack_local.parallax.layers import layers_of, open_photo
from fairstack_local.plan.photo_plan import plan_photo

ASPECTS = {"16:9": 16 / 9, "9:16": 9 / 16, "1:1": 1.0}


def _mask(width: int, height: int, box: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
    mask = np.zeros((height, width), np.float32)
    left, top, right, bottom = box
    mask[top:bottom, left:right] = 1.0
    return mask


@pytest.mark.parametrize("aspect", ASPECTS.values(), ids=ASPECTS)
@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((1080, 1920), (200, 150, 900, 1920)),
        ((512, 512), (70, 10, 470, 512)),
        ((1920, 1080), (1300, 90, 1800, 1080)),
        ((1920, 1080), (0, 40, 420, 1080)),
        ((800, 400), (300, 100, 420, 320)),
    ],
)
def test_the_head_is_never_cropped_away(
    aspect: float, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    """In every shape the window holds the whole head of the subject."""
    focus = focus_of(_mask(*size, box))
    assert focus is not None
    window = window_for(*size, aspect, focus)
    assert window.width / window.height == pytest.approx(aspect)
    assert window.holds(focus.head)


@pytest.mark.parametrize("aspect", ASPECTS.values(), ids=ASPECTS)
def test_a_photograph_without_a_subject_is_cropped_in_its_middle(aspect: float) -> None:
    """Nothing that stands out: the largest centred window inside the photograph."""
    window = window_for(1600, 900, aspect, None)
    assert window.centre == (800, 450)
    assert Box(0, 0, 1600, 900).holds(window)


@pytest.mark.parametrize("size", [(160, 90), (90, 160), (90, 90)])
@pytest.mark.parametrize(
    "words", ["fast zoom in", "tilt down", "tilt up, zoom out", "fast pan left", "pan right"]
)
def test_a_portrait_keeps_its_head_through_the_whole_move(
    portrait: str, size: tuple[int, int], words: str
) -> None:
    """Whatever the camera does, the head's box projects inside the frame from the first frame to the last."""
    layers = layers_of(open_photo(portrait), *size)
    assert layers.head_right - layers.head_left > 10
    plan = plan_photo(words).plan
    for share in (0.0, 0.5, 1.0):
        view = holding_head(view_at(plan, share, share * 5, 0.0, size), layers, size[0])
        pivot_x, pivot_y = layers.focus_x - layers.margin_x, layers.focus_y - layers.margin_y
        assert pivot_y + (layers.head_top - pivot_y) * view.zoom + view.shift_y >= -0.01
        assert pivot_x + (layers.head_left - pivot_x) * view.zoom + view.shift_x >= -0.01
        assert pivot_x + (layers.head_right - pivot_x) * view.zoom + view.shift_x <= size[0] + 0.01


def test_layers_are_of_the_canvas_and_sane(portrait: str) -> None:
    """Colours stay in 0..255, masks and nearness in 0..1, all layers are of one size."""
    layers = layers_of(open_photo(portrait), 160, 90)
    for layer in (layers.subject, layers.background, layers.sky):
        assert layer.shape == (108, 192, 4)
        assert np.isfinite(layer).all()
        assert layer[..., 3].min() >= 0
        assert layer[..., 3].max() <= 1
    assert layers.subject[..., 3].max() > 0.9
