"""Words -> how a photograph is set in motion: a camera path and the few things that may stir in it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class PhotoPlan:
    """Signed strengths, 1.0 being the usual one and 0.0 none. Positive: in, right, up, clockwise."""

    zoom: float = 0.0
    pan: float = 0.0
    tilt: float = 0.0
    orbit: float = 0.0
    handheld: float = 0.0
    wind: float = 0.0
    water: float = 0.0
    clouds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON-safe dict of numbers."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PlannedPhoto:
    """A plan, and one plain sentence for each thing the words asked for that it does not honour."""

    plan: PhotoPlan
    substitutions: tuple[str, ...]


#: What is used when the words name no camera move at all.
DEFAULT_PLAN = PhotoPlan(zoom=0.55, orbit=0.5)

_RULES: tuple[tuple[str, Mapping[str, float]], ...] = (
    (
        r"zoom(s|ing|ed)? out|pull(s|ing|ed)? (back|out|away)|doll(y|ies) out|moves? (back|away)",
        {"zoom": -1.0},
    ),
    (
        r"zoom(s|ing|ed)?( in)?|push(es|ing|ed)? in|doll(y|ies)( in)?|moves? in|closer|approach(es|ing)?",
        {"zoom": 1.0},
    ),
    (r"(pan|truck|move|slide|drift)(s|es|ning|ing)?( slowly| gently)?( to)?( the)? left", {"pan": -1.0}),
    (r"(pan|truck|move|slide|drift)(s|es|ning|ing)?( slowly| gently)?( to)?( the)? right", {"pan": 1.0}),
    (r"pan(s|ning)?", {"pan": 1.0}),
    (r"tilt(s|ing)?( \w+)? up|crane up|rises?|rising|upwards?", {"tilt": 1.0}),
    (r"tilt(s|ing)?( \w+)? down|crane down|descends?|downwards?", {"tilt": -1.0}),
    (r"orbit(s|ing)?|arc( shot)?|circl(es|ing)|around|parallax|3d|revolv(es|ing)", {"orbit": 1.0}),
    (r"handheld|hand held|shak(y|es|ing)", {"handheld": 1.0}),
    (r"wind|windy|blow(s|ing)?|breeze|sway(s|ing)?|flutter(s|ing)?|rustl(es|ing)", {"wind": 1.0}),
    (r"water|waves?|ocean|river|lake|sea|rippl(es|ing|e)|stream", {"water": 1.0}),
    (r"clouds?|timelapse|time lapse|sky moves?", {"clouds": 1.0}),
)
_SLOW = re.compile(r"\b(slow|slowly|gentle|gently|subtle|subtly|soft|softly|slight|slightly)\b")
_FAST = re.compile(r"\b(fast|quick|quickly|rapid|rapidly|dramatic|dramatically|strong|strongly)\b")
_CAMERA = ("zoom", "pan", "tilt", "orbit", "handheld")

#: What a photograph cannot be made to do by moving a camera over it.
_UNABLE: tuple[tuple[str, str], ...] = (
    (
        r"(turn|nod|shake|move|tilt)(s|ing)?( \w+)? (head|face)|head (turn|movement|motion)s?",
        "a head that moves",
    ),
    (
        r"smil(e|es|ing)|blink(s|ing)?|wink(s|ing)?|laugh(s|ing)?|cr(y|ies|ying)|frown(s|ing)?",
        "a changing face",
    ),
    (r"talk(s|ing)?|speak(s|ing)?|sing(s|ing)?|says?|lip ?sync|whisper(s|ing)?", "speech"),
    (
        r"walk(s|ing)?|run(s|ning)?|jump(s|ing)?|danc(e|es|ing)|ride(s)?|riding|fl(y|ies|ying)",
        "a subject that moves",
    ),
    (r"wav(es|ing) (\w+ )?(hand|arm|at)s?|rais(es|ing)|point(s|ing)|hug(s|ging)?|kiss(es|ing)?", "a gesture"),
    (r"(look|gaze|stare)(s|ing)? (up|down|left|right|at|back|away|into)", "a changing gaze"),
    (
        r"transform(s|ing)?|morph(s|ing)?|turn(s|ing)? into|becom(es|ing)|appear(s|ing)?|disappear(s|ing)?",
        "a change",
    ),
    (
        r"explo(de|des|ding|sion)|fire|burn(s|ing)?|smok(e|es|ing)|rain(s|ing)?|snow(s|ing)?",
        "new fire, smoke or rain",
    ),
    (r"night|sunset|sunrise|winter|summer|autumn", "another time of day or year"),
)
_READ_CHARACTERS = 4_000


def plan_photo(words: str) -> PlannedPhoto:
    """The motion that these words ask of a photograph, and what of them it cannot show. Never fails."""
    text = " ".join(re.findall(r"[^\W_]+", words[:_READ_CHARACTERS].lower()))
    notes: list[str] = []
    rest = text
    for pattern, what in _UNABLE:
        if match := re.search(rf"\b({pattern})\b", rest):
            notes.append(f'"{match[0]}": a photograph is moved by the camera only; {what} is not possible')
            rest = rest.replace(match[0], " ")
    plan = PhotoPlan()
    for pattern, strengths in _RULES:
        if not re.search(rf"\b({pattern})\b", rest):
            continue
        for name, strength in strengths.items():
            plan = _with(plan, name, strength, notes)
        rest = re.sub(rf"\b({pattern})\b", " ", rest)
    pace = 0.6 if _SLOW.search(text) else 1.5 if _FAST.search(text) else 1.0
    if not any(getattr(plan, name) for name in _CAMERA):
        if text:
            notes.append("no camera move was named; the camera moves in slowly")
        plan = replace(plan, zoom=DEFAULT_PLAN.zoom, orbit=DEFAULT_PLAN.orbit)
    plan = replace(plan, **{name: round(getattr(plan, name) * pace, 3) for name in _CAMERA})
    return PlannedPhoto(plan, tuple(notes))


def _with(plan: PhotoPlan, name: str, strength: float, notes: list[str]) -> PhotoPlan:
    before = getattr(plan, name)
    if before and before != strength:
        if before * strength < 0:
            notes.append(f"camera: opposite moves were asked for; only the first {name} is made")
        return plan
    return replace(plan, **{name: strength})
