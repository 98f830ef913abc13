"""Words to the motion of a photograph."""

from __future__ import annotations

import pytest

from fairstack_local.plan.photo_plan import DEFAULT_PLAN, plan_photo


@pytest.mark.parametrize(
    ("words", "name", "sign"),
    [
        ("slow zoom in", "zoom", 1),
        ("the camera pulls back", "zoom", -1),
        ("zoom out", "zoom", -1),
        ("pan left", "pan", -1),
        ("camera pans slowly to the right", "pan", 1),
        ("tilt up", "tilt", 1),
        ("tilt down", "tilt", -1),
        ("orbit around her", "orbit", 1),
        ("handheld", "handheld", 1),
        ("wind in the trees", "wind", 1),
        ("rippling water", "water", 1),
        ("drifting clouds", "clouds", 1),
    ],
)
def test_camera_words_have_their_direction(words: str, name: str, sign: int) -> None:
    """A camera word sets its own strength, with the right sign."""
    assert getattr(plan_photo(words).plan, name) * sign > 0


def test_slow_words_move_less_than_fast_ones() -> None:
    """Adverbs scale the move."""
    assert (
        plan_photo("slow zoom in").plan.zoom
        < plan_photo("zoom in").plan.zoom
        < plan_photo("fast zoom in").plan.zoom
    )


def test_without_camera_words_the_camera_still_moves_and_says_so() -> None:
    """A prompt that names no move gets the default one, and a note of it."""
    planned = plan_photo("a beautiful portrait")
    assert planned.plan.zoom == DEFAULT_PLAN.zoom
    assert "no camera move was named" in planned.substitutions[0]


@pytest.mark.parametrize(
    "words", ["she turns her head", "he smiles", "the dog runs", "gentle head movement", "she waves her hand"]
)
def test_what_a_photograph_cannot_do_is_said(words: str) -> None:
    """A wish for the subject to act becomes a substitution, and no camera move of its own."""
    planned = plan_photo(words)
    assert any("moved by the camera only" in sentence for sentence in planned.substitutions)
    assert planned.plan.pan == planned.plan.tilt == planned.plan.water == 0
