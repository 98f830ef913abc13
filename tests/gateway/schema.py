"""A small judge of JSON Schema: the words that our documents use, and an error for any other word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}
_SAYS_NOTHING = frozenset({"$schema", "title", "description", "examples", "default", "format"})


class UnknownWord(Exception):
    """The schema uses a word that this judge does not know, or has the wrong type for one."""


def faults(value: Any, schema: Schema, components: Schema, at: str = "$") -> list[str]:
    """What is wrong with a value, each with its place; empty when it fits. Raises UnknownWord."""
    return list(_faults(value, schema, components, at))


def _faults(value: Any, schema: Schema, components: Schema, at: str) -> Iterator[str]:
    for word, rule in schema.items():
        if word in _SAYS_NOTHING:
            continue
        if word == "$ref":
            yield from _faults(value, components[rule.rpartition("/")[2]], components, at)
        elif word == "anyOf":
            if all(faults(value, option, components, at) for option in rule):
                yield f"{at}: {value!r} fits none of {len(rule)} shapes"
        elif word in ("properties", "additionalProperties", "required", "maxProperties"):
            yield from _object_faults(value, word, schema, components, at)
        elif word == "items":
            if isinstance(value, list):
                for index, item in enumerate(value):
                    yield from _faults(item, rule, components, f"{at}[{index}]")
        elif not _fits(value, word, rule):
            yield f"{at}: {value!r} breaks {word} {rule!r}"


def _object_faults(value: Any, word: str, schema: Schema, components: Schema, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    named = schema.get("properties", {})
    match word:
        case "properties":
            for name in named.keys() & value.keys():
                yield from _faults(value[name], named[name], components, f"{at}.{name}")
        case "required":
            yield from (f"{at}: {name} is missing" for name in schema[word] if name not in value)
        case "maxProperties":
            if len(value) > schema[word]:
                yield f"{at}: more than {schema[word]} fields"
        case _:
            for name in value.keys() - named.keys():
                if schema[word] is False:
                    yield f"{at}: {name} is not a field"
                elif isinstance(schema[word], dict):
                    yield from _faults(value[name], schema[word], components, f"{at}.{name}")


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return bool(one == other) and isinstance(one, bool) == isinstance(other, bool)


_WORDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "const": _same,
    "type": lambda value, rule: any(_TYPES[name](value) for name in _listed(rule)),
    "enum": lambda value, rule: any(_same(value, each) for each in rule),
    "minimum": lambda value, rule: not _TYPES["number"](value) or value >= rule,
    "maximum": lambda value, rule: not _TYPES["number"](value) or value <= rule,
    "exclusiveMinimum": lambda value, rule: not _TYPES["number"](value) or value > rule,
    "multipleOf": lambda value, rule: not _TYPES["number"](value) or value % rule == 0,
    "minLength": lambda value, rule: not isinstance(value, str) or len(value) >= rule,
    "maxLength": lambda value, rule: not isinstance(value, str) or len(value) <= rule,
    "maxItems": lambda value, rule: not isinstance(value, list) or len(value) <= rule,
    "minItems": lambda value, rule: not isinstance(value, list) or len(value) >= rule,
    "pattern": lambda value, rule: not isinstance(value, str) or re.search(rule, value) is not None,
}


def _fits(value: Any, word: str, rule: Any) -> bool:
    if word not in _WORDS:
        raise UnknownWord(word)
    return _WORDS[word](value, rule)


def _listed(rule: str | list[str]) -> list[str]:
    return [rule] if isinstance(rule, str) else rule
