"""Prompt -> scene plan: longest known phrase first, then a few rules about what goes with what.

Whatever the words ask for and the plan does not show becomes a substitution, in a plain sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from fairstack_local.plan.scene_plan import (
    Action,
    Coat,
    Hour,
    Move,
    Place,
    PlannedScene,
    ScenePlan,
    Subject,
    Weather,
)
from fairstack_local.plan.words import MULTIPLES, Breed, Meaning, Note, Unable, vocabulary

SLOW_TIME_SCALE = 0.4
_READ_CHARACTERS = 4_000
_REPORTED_WORDS = 8

T = TypeVar("T")

_HOME: Mapping[Subject, Place] = {
    Subject.DOG: Place.BEACH,
    Subject.WOLF: Place.SNOWFIELD,
    Subject.FOX: Place.MEADOW,
    Subject.BIRD: Place.SEA,
    Subject.SAILBOAT: Place.SEA,
    Subject.NONE: Place.BEACH,
}
_CAN: Mapping[Subject, tuple[Action, ...]] = {
    Subject.BIRD: (Action.FLY,),
    Subject.SAILBOAT: (Action.SAIL,),
    Subject.NONE: (Action.STAND,),
}
_ON_LEGS = (Action.RUN, Action.WALK, Action.STAND)
_ON_WATER = (Place.SEA, Place.LAKE)

_PLACE_NAMES: Mapping[Place, str] = {
    Place.BEACH: "beach",
    Place.SEA: "sea",
    Place.MEADOW: "meadow",
    Place.DUNES: "stretch of dunes",
    Place.SNOWFIELD: "snow field",
    Place.LAKE: "mountain lake",
}


@dataclass(frozen=True, slots=True)
class _Found:
    phrase: str
    meaning: Meaning


def plan_scene(prompt: str) -> PlannedScene:
    """The scene that comes nearest to these words, and what of them it leaves out. Never fails."""
    found, unknown = _read(prompt)
    notes: list[str] = []
    subject, coat = _subject_and_coat(found, notes)
    place = _place(subject, found, notes)
    if subject is Subject.NONE:
        unknown = _tell_missing_subject(unknown, found, place, notes)
    plan = ScenePlan(
        subject=subject,
        coat=coat,
        action=_action(subject, found, notes),
        place=place,
        hour=_first(Hour, found, "time of day", notes) or Hour.DAY,
        weather=_first(Weather, found, "weather", notes) or Weather.FAIR,
        move=_move(subject, found, notes),
        time_scale=SLOW_TIME_SCALE if _has(Note.SLOW_MOTION, found) else 1.0,
    )
    if _has(Note.TIME_LAPSE, found):
        notes.append("time-lapse is not available; the scene runs at natural speed")
    if unknown:
        words = ", ".join(f'"{word}"' for word in unknown[:_REPORTED_WORDS])
        notes.append(f"not understood and not shown: {words}")
    return PlannedScene(plan, tuple(notes))


def _read(prompt: str) -> tuple[list[_Found], list[str]]:
    """Split the prompt into known phrases, the longest first, and the words that are left."""
    known = vocabulary()
    longest = max(map(len, known))
    words = re.findall(r"[^\W_]+", prompt[:_READ_CHARACTERS].lower().replace("'s", ""))
    found: list[_Found] = []
    unknown: list[str] = []
    at = 0
    while at < len(words):
        for length in range(min(longest, len(words) - at), 0, -1):
            phrase = tuple(words[at : at + length])
            if phrase in known:
                found.append(_Found(" ".join(phrase), known[phrase]))
                at += length
                break
        else:
            if words[at] not in unknown:
                unknown.append(words[at])
            at += 1
    return found, unknown


def _has(meaning: Meaning, found: list[_Found]) -> bool:
    return any(item.meaning == meaning for item in found)


def _all(kind: type[T], found: list[_Found]) -> list[T]:
    return list(dict.fromkeys(item.meaning for item in found if isinstance(item.meaning, kind)))


def _first(kind: type[T], found: list[_Found], what: str, notes: list[str]) -> T | None:
    members = _all(kind, found)
    notes.extend(f"{what}: {_say(members[0])} is shown, not {_say(other)} as well" for other in members[1:])
    return members[0] if members else None


def _say(member: object) -> str:
    return str(member).replace("_", " ")


def _subject_and_coat(found: list[_Found], notes: list[str]) -> tuple[Subject, Coat]:
    named = [item for item in found if isinstance(item.meaning, Subject | Breed)]
    if not named:
        return Subject.NONE, Coat.NATURAL
    subjects = list(dict.fromkeys(_subject_of(item.meaning) for item in named))
    notes.extend(f"one subject at a time: the {other} was left out" for other in subjects[1:])
    first = named[0]
    if _has(Note.SEVERAL, found) or first.phrase.split()[-1] in MULTIPLES:
        notes.append(f"several were asked for; one {subjects[0]} is shown")
    coats = _all(Coat, found)
    implied = first.meaning.coat if isinstance(first.meaning, Breed) else Coat.NATURAL
    return subjects[0], coats[0] if coats else implied


def _subject_of(meaning: Meaning) -> Subject:
    if isinstance(meaning, Breed):
        return meaning.subject
    assert isinstance(meaning, Subject)
    return meaning


def _place(subject: Subject, found: list[_Found], notes: list[str]) -> Place:
    places = _all(Place, found)
    # "Waves roll onto the beach" names the sea first and means the beach.
    if Place.BEACH in places and Place.SEA in places:
        places = [place for place in places if place is not Place.SEA]
    notes.extend(f"place: a {_PLACE_NAMES[places[0]]} is shown, no {_PLACE_NAMES[p]}" for p in places[1:])
    place = places[0] if places else _HOME[subject]
    if subject is Subject.SAILBOAT and place not in _ON_WATER:
        if place is not Place.BEACH:
            notes.append(f"a sailboat needs water; the open sea is shown, no {_PLACE_NAMES[place]}")
        return Place.SEA
    if subject in (Subject.NONE, Subject.BIRD, Subject.SAILBOAT) or place not in _ON_WATER:
        return place
    shore = Place.BEACH if place is Place.SEA else Place.MEADOW
    notes.append(f"a {subject} needs ground under its feet; a {_PLACE_NAMES[shore]} is shown")
    return shore


def _action(subject: Subject, found: list[_Found], notes: list[str]) -> Action:
    able = _CAN.get(subject, _ON_LEGS)
    for item in found:
        if isinstance(item.meaning, Action) and item.meaning in able:
            return item.meaning
    for item in found:
        asked = item.meaning
        if subject is not Subject.NONE and isinstance(asked, Unable | Action):
            instead = asked.instead if isinstance(asked, Unable) and asked.instead in able else able[0]
            notes.append(f'action "{item.phrase}" is not available to a {subject}; it does this: {instead}')
            return instead
    return able[0]


def _move(subject: Subject, found: list[_Found], notes: list[str]) -> Move:
    moves = [move for move in _all(Move, found) if move is not Move.TRACK]
    notes.extend(f"camera: {_say(moves[0])} is used, not {_say(other)} as well" for other in moves[1:])
    if moves:
        return moves[0]
    return Move.TRACK if subject is not Subject.NONE or _has(Move.TRACK, found) else Move.PUSH_IN


def _tell_missing_subject(
    unknown: list[str], found: list[_Found], place: Place, notes: list[str]
) -> list[str]:
    """Name the likely subject: the first unknown word, where something acts or no place is named."""
    acts = any(isinstance(item.meaning, Action | Unable) for item in found)
    placed = any(isinstance(item.meaning, Place) for item in found)
    if not unknown or (placed and not acts):
        return unknown
    notes.append(
        f'subject "{unknown[0]}" is not in the engine\'s repertoire; '
        f"an empty {_PLACE_NAMES[place]} was rendered"
    )
    return unknown[1:]
