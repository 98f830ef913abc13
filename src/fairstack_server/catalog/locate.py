"""Finds the line of a TOML file on which a value stands, and says what would be right there.

The TOML reader of Python keeps no positions; a catalog of hundreds of files needs file:line in its errors.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

import msgspec
from msgspec import inspect

from fairstack_server.catalog.build import Place

#: Stands in a place for a key that msgspec does not tell.
ANY_KEY = "*"

_HEADER = re.compile(r"^\s*\[(\[)?\s*(.+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(
    r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=(.*)$"""
)
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_MSGSPEC_PATH = re.compile(r" - at `(?:key in )?\$(.*)`$")
_PATH_STEP = re.compile(r"\.([A-Za-z0-9_-]+)|\[(\d+|\.\.\.)\]")
_UNKNOWN_FIELD = re.compile(r"unknown field `([^`]*)`")


def line_of(text: str, place: Place) -> int:
    """Line (from 1) of the value at this place, or of the nearest thing around it that has a line."""
    best_line, best_depth = 1, 0
    for line, found in _places(text):
        depth = _common_depth(found, place)
        if depth > best_depth:
            best_line, best_depth = line, depth
    return best_line


def explain(error: msgspec.ValidationError, entry: type[msgspec.Struct]) -> tuple[Place, str]:
    """Where a file does not have the shape of its entry, and in what, with what would be right."""
    message = str(error)
    place: Place = ()
    if match := _MSGSPEC_PATH.search(message):
        place = tuple(_steps(match[1]))
        message = message[: match.start()]
    expected = _type_at(inspect.type_info(entry), place)
    if match := _UNKNOWN_FIELD.search(message):
        return (*place, match[1]), _unknown_field(match[1], expected)
    if isinstance(expected, inspect.LiteralType):
        message = f"{message}: one of {', '.join(map(str, expected.values))}"
    return place, message


def _steps(path: str) -> Iterator[str | int]:
    for name, position in _PATH_STEP.findall(path):
        if name:
            yield name
        else:
            yield ANY_KEY if position == "..." else int(position)


def _type_at(kind: inspect.Type, place: Place) -> inspect.Type:
    for step in place:
        kind = _inner(kind)
        if isinstance(kind, inspect.StructType) and isinstance(step, str):
            kind = {field.encode_name: field.type for field in kind.fields}.get(step, kind)
        elif isinstance(kind, inspect.ListType):
            kind = kind.item_type
        elif isinstance(kind, inspect.DictType):
            kind = kind.value_type
    return _inner(kind)


def _inner(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        real = [_inner(each) for each in kind.types if not isinstance(each, inspect.NoneType)]
        structs = [each for each in real if isinstance(each, inspect.StructType)]
        return (structs or real)[0]
    return kind


def _unknown_field(name: str, expected: inspect.Type) -> str:
    if not isinstance(expected, inspect.StructType):
        return f"there is no field {name!r} here"
    known = [field.encode_name for field in expected.fields]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
    return f"there is no field {name!r} here: {hint}"


def _places(text: str) -> Iterator[tuple[int, Place]]:
    """Each line that starts something, with the place that it starts."""
    table: Place = ()
    counts: dict[Place, int] = {}
    array: Place | None = None
    quotes: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if quotes is not None:
            quotes = None if quotes in line else quotes
            continue
        if array is not None:
            if stripped.startswith("]"):
                array = None
            elif stripped and not stripped.startswith("#"):
                counts[array] = counts.get(array, -1) + 1
                yield number, (*array, counts[array])
            continue
        if header := _HEADER.match(line):
            table = _open_table(_key_parts(header[2]), bool(header[1]), counts)
            yield number, table
        elif key := _KEY.match(line):
            place = (*table, *_key_parts(key[1]))
            yield number, place
            yield from ((number, (*place, *inner)) for inner in _inline(key[2]))
            if key[2].split("#")[0].strip() == "[":
                array = place
            quotes = _opened_quotes(key[2])


def _opened_quotes(value: str) -> str | None:
    """The quotes of a text that begins on this line and ends on a later one."""
    opening = value.strip()[:3]
    return opening if opening in ('"""', "'''") and value.count(opening) == 1 else None


def _open_table(parts: tuple[str, ...], is_array: bool, counts: dict[Place, int]) -> Place:
    """The table of a header, with the position of every array of tables on its way."""
    place: Place = ()
    for at, part in enumerate(parts):
        place = (*place, part)
        if is_array and at == len(parts) - 1:
            counts[place] = counts.get(place, -1) + 1
        if place in counts:
            place = (*place, counts[place])
    return place


def _inline(value: str) -> Iterator[Place]:
    """Keys of an inline table that is written on the line of its key."""
    if value.strip().startswith("{"):
        for match in re.finditer(r"""([A-Za-z0-9_-]+|"[^"]*")\s*=""", value):
            yield (_unquote(match[1]),)


def _key_parts(dotted: str) -> tuple[str, ...]:
    return tuple(_unquote(part) for part in _KEY_PART.findall(dotted))


def _unquote(part: str) -> str:
    return part.strip("\"'")


def _common_depth(found: Place, place: Place) -> int:
    """How far a found place leads towards the wanted one; 0 when it leads elsewhere."""
    matches = len(found) <= len(place) and all(
        wanted in (step, ANY_KEY) for step, wanted in zip(found, place, strict=False)
    )
    return len(found) if matches else 0
