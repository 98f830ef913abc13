"""Conditions on the settings of a request: which rate, limit or route applies."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from fairstack_server.catalog.model import Condition, Conditions, Plain, Span
from fairstack_server.jsonvalue import JSON

#: What conditions may speak of; beside them `options.<name>`.
FACTS = (
    "resolution",
    "aspect_ratio",
    "audio",
    "duration",
    "fps",
    "image",
    "end_image",
    "images",
    "video",
    "audio_url",
)

Facts = Mapping[str, JSON | Decimal]


def holds(when: Conditions, facts: Facts) -> bool:
    """Whether every condition is met; a fact that is absent counts as false and as no number."""
    return all(_met(condition, facts.get(fact)) for fact, condition in when.items())


def read_conditions(raw: Mapping[str, object]) -> Conditions:
    """Conditions as a TOML table writes them: a value, a list of values, or `{ min, max }`.

    Raises ValueError naming the condition that makes no sense.
    """
    return {fact: _read(fact, value) for fact, value in raw.items()}


def _read(fact: str, value: object) -> Condition:
    if fact not in FACTS and not fact.startswith("options."):
        raise ValueError(f"no condition can be put on {fact!r}; there are {', '.join(FACTS)}, options.<name>")
    if isinstance(value, Mapping):
        return _read_span(fact, value)
    if isinstance(value, list):
        if not value:
            raise ValueError(f"the condition on {fact!r} is an empty list: name at least one value")
        return tuple(_read_plain(fact, each) for each in value)
    return _read_plain(fact, value)


def _read_span(fact: str, table: Mapping[str, object]) -> Span:
    bounds = {bound: _read_plain(fact, number) for bound, number in table.items()}
    minimum, maximum = bounds.pop("min", None), bounds.pop("max", None)
    if bounds or (minimum is None and maximum is None):
        raise ValueError(f"the condition on {fact!r} must be a value, a list of values or {{ min, max }}")
    if not isinstance(minimum, Decimal | None) or not isinstance(maximum, Decimal | None):
        raise ValueError(f"min and max of the condition on {fact!r} must be numbers")
    return Span(minimum, maximum)


def _read_plain(fact: str, value: object) -> Plain:
    match value:
        case bool() | str() | Decimal():
            return value
        case int():
            return Decimal(value)
        case _:
            raise ValueError(
                f"the condition on {fact!r} compares with {value!r}: write text, number or boolean"
            )


def _met(condition: Condition, fact: JSON | Decimal) -> bool:
    if isinstance(condition, tuple):
        return any(_equal(value, fact) for value in condition)
    if isinstance(condition, Span):
        number = _number(fact)
        if number is None:
            return False
        above = condition.minimum is None or number >= condition.minimum
        return above and (condition.maximum is None or number <= condition.maximum)
    return _equal(condition, fact)


def _equal(value: Plain, fact: JSON | Decimal) -> bool:
    if isinstance(value, bool):
        return value is bool(fact)
    if isinstance(value, Decimal):
        return _number(fact) == value
    return fact == value


def _number(fact: JSON | Decimal) -> Decimal | None:
    match fact:
        case bool():
            return None
        case int() | Decimal():
            return Decimal(fact)
        case float():
            return Decimal(str(fact))
        case _:
            return None
