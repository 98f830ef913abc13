"""Words to scene plans, and what the plan owns up to leaving out."""

from __future__ import annotations

import json

import pytest

from fairstack_local.plan.read_prompt import SLOW_TIME_SCALE, plan_scene
from fairstack_local.plan.scene_plan import Action, Coat, Hour, Move, Place, ScenePlan, Subject, Weather


def test_the_first_example_is_planned_word_for_word() -> None:
    """The golden retriever prompt becomes exactly the scene that it describes, with nothing left out."""
    planned = plan_scene("A golden retriever running on a beach at sunset, slow motion")
    assert planned.plan == ScenePlan(
        Subject.DOG,
        Coat.GOLDEN,
        Action.RUN,
        Place.BEACH,
        Hour.SUNSET,
        Weather.FAIR,
        Move.TRACK,
        SLOW_TIME_SCALE,
    )
    assert planned.substitutions == ()


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a black dog", {"subject": "dog", "coat": "black"}),
        ("a husky in the snow", {"subject": "dog", "coat": "husky", "place": "snowfield"}),
        ("a wolf at night under the stars", {"subject": "wolf", "hour": "night"}),
        ("a fox in a foggy meadow at dawn", {"subject": "fox", "weather": "fog", "hour": "sunrise"}),
        ("a seagull over the ocean", {"subject": "bird", "action": "fly", "place": "sea"}),
        ("an eagle soaring above mountains", {"subject": "bird", "coat": "brown", "place": "lake"}),
        ("desert dunes at golden hour", {"subject": "none", "place": "dunes", "hour": "golden_hour"}),
        ("a dog walking, golden hour, orbit", {"coat": "natural", "action": "walk", "move": "orbit"}),
        ("waves roll onto a beach in the rain", {"place": "beach", "weather": "rain"}),
        ("a meadow, camera pans left", {"place": "meadow", "move": "pan_left"}),
        ("a beach, the camera pulls back, dusk", {"move": "pull_out", "hour": "dusk"}),
        ("a dog, static shot", {"move": "static"}),
        ("a dog, SLOW-MOTION!", {"time_scale": SLOW_TIME_SCALE}),
        ("", {"subject": "none", "place": "beach", "move": "push_in"}),
    ],
)
def test_words_choose_the_scene(prompt: str, expected: dict[str, object]) -> None:
    """Each known word decides its own part of the plan."""
    plan = plan_scene(prompt).plan.to_json()
    assert {name: plan[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("prompt", "part"),
    [
        ("a red dragon flying over a beach", 'subject "dragon" is not in the engine\'s repertoire'),
        ("a chef cooking in a kitchen", 'subject "chef"'),
        ("a dog and a wolf on a beach", "the wolf was left out"),
        ("two dogs on a beach", "one dog is shown"),
        ("a dog sitting on a beach", 'action "sitting" is not available'),
        ("a dog on the open sea", "needs ground under its feet"),
        ("a dog with an umbrella", '"umbrella"'),
        ("a dog, time lapse", "time-lapse is not available"),
        ("a dog, zoom in, pan left", "camera: push in is used, not pan left"),
        ("a dog at sunset and at night", "time of day: sunset is shown, not night"),
    ],
)
def test_what_is_not_shown_is_said(prompt: str, part: str) -> None:
    """Whatever the plan does not honour is named in a substitution."""
    assert any(part in sentence for sentence in plan_scene(prompt).substitutions)


def test_a_substitution_never_pretends() -> None:
    """An unknown subject leaves the place empty instead of borrowing another subject."""
    assert plan_scene("an elephant walking in a meadow").plan.subject is Subject.NONE


def test_a_plan_survives_json() -> None:
    """The plan is JSON as it stands."""
    plan = plan_scene("a fox in the snow").plan.to_json()
    assert json.loads(json.dumps(plan)) == plan


def test_a_very_long_prompt_is_read_quickly_and_cut_short_in_the_notes() -> None:
    """Thirty thousand characters of nonsense give one short sentence, not thousands of words."""
    planned = plan_scene("qwx zzt " * 4_000)
    assert sum(map(len, planned.substitutions)) < 400
