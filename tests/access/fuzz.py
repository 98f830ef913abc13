"""Requests that nobody meant: made from the OpenAPI document by a seeded dice, and broken on purpose.

Request number n of a seed is always the same, whatever was answered to the others: it names things by what
they are (`own`, `neighbour`, `absent`), and those are made once, at the start.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Things that are wrong nearly everywhere, or right and extreme.
EVILS: Sequence[Any] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**63) - 1, 10**40, 1e308),
    *("", " ", "\x00", "a\x00b", "\ud800", "\u202e\u0000", "é" * 300, "x" * 5000, "null", "NaN"),
    *("'; drop table jobs; --", "{{7*7}}", "../../etc/passwd", "%00"),
    *("2026-13-45T99:99:99Z", "9999-12-31T23:59:59+14:00", "0001-01-01T00:00:00-14:00"),
    *("http://127.0.0.1:1/", "https://[::1]/", "file:///etc/passwd", "data:image/png;base64,AAAA"),
    *([], [[]], {}, {"$ref": "#"}, ["a"] * 200, {"a": {"b": {"c": [1, 2, {"d": None}]}}}),
)
WORDS = (
    "a dog",
    "test:fail",
    "test:slow 600",
    "wan-2-1-t2v",
    "kling-2-1-std-i2v",
    "720p",
    "16:9",
    "live",
    "test",
    "5",
)
LEAKS = re.compile(
    rb'Traceback|File "|site-packages|asyncpg|psycopg|pg_catalog|litestar|msgspec\.|src/fairstack|'
    rb"fs_(?:live|test)_[0-9A-Za-z]{36}|whsec_[0-9A-Za-z+/]{20}|SELECT .* FROM|relation \""
)
#: Operations whose success shows a key or a secret to whom it belongs.
SHOWS_SECRETS = frozenset(
    {"post_api_keys", "post_admin_accounts", "get_webhooks_secret", "post_webhooks_secret"}
)
#: Reading the whole catalog again takes a second of the server; it is asked for now and then.
_RARE = {"post_admin_catalog_reload": 0.02}


@dataclass(frozen=True, slots=True)
class Wish:
    """One request to be sent."""

    number: int
    operation: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Cast:
    """What requests may name: keys by who holds them, ids by path parameter and whose they are."""

    keys: Mapping[str, str]
    masters: Sequence[str]
    """Who holds keys that open most, so that most requests get past the door."""
    things: Mapping[str, Mapping[str, str]]
    picture: bytes


class Dice:
    """Makes the requests of a seed."""

    def __init__(self, document: Mapping[str, Any], cast: Cast, seed: int) -> None:
        self._components = document["components"]["schemas"]
        self._cast = cast
        self._seed = seed
        self._operations = [
            (operation["operationId"], method.upper(), path, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]
        self._weights = [_RARE.get(name, 1.0) for name, _, _, _ in self._operations]

    def wish(self, number: int) -> Wish:
        """Request number `number`."""
        dice = random.Random(f"{self._seed}:{number}")
        name, method, path, operation = dice.choices(self._operations, self._weights)[0]
        parameters = operation.get("parameters", [])
        headers = self._headers(dice, parameters)
        body, kind = self._body(dice, operation)
        if kind and dice.random() < 0.9:
            headers["Content-Type"] = kind
        filled = self._path(dice, name, path, parameters)
        return Wish(number, name, method, filled + self._query(dice, parameters), headers, body)

    def _path(self, dice: random.Random, name: str, path: str, parameters: Sequence[Any]) -> str:
        for parameter in parameters:
            if parameter["in"] != "path":
                continue
            things = self._cast.things.get(f"{parameter['name']} {path.split('/')[1]}") or {}
            known = list(things.values()) or ["nothing"]
            value = dice.choice(known) if dice.random() < 0.8 else _path_text(dice)
            path = path.replace("{" + parameter["name"] + "}", value)
        return path

    def _query(self, dice: random.Random, parameters: Sequence[Any]) -> str:
        pairs = []
        for parameter in parameters:
            if parameter["in"] == "query" and dice.random() < 0.5:
                value = self._value(dice, parameter["schema"]) if dice.random() < 0.6 else dice.choice(EVILS)
                # A request that is held for a minute is no fault, and would take one.
                pairs.append((parameter["name"], 0 if parameter["name"] == "wait" else value))
        if dice.random() < 0.05:
            pairs.append((dice.choice(["colour", "limit", "__proto__", "a[]"]), "1"))
        return "?" + "&".join(f"{name}={_quoted(value)}" for name, value in pairs) if pairs else ""

    def _headers(self, dice: random.Random, parameters: Sequence[Any]) -> dict[str, str]:
        headers = {}
        who = dice.choice(self._cast.masters if dice.random() < 0.6 else list(self._cast.keys))
        if self._cast.keys[who]:
            headers["Authorization"] = f"Bearer {self._cast.keys[who]}"
        elif dice.random() < 0.5:
            headers["Authorization"] = dice.choice(
                ["Bearer", "Basic Og==", "Bearer \xff", "bearer  x", "Bearer " + "9" * 4000]
            )
        for parameter in parameters:
            if parameter["in"] == "header" and dice.random() < 0.5:
                headers[parameter["name"]] = dice.choice(
                    ["1", "0", "-1", "x" * 300, "a b", "\xe9", "99999999999999999999"]
                )
        if dice.random() < 0.1:
            headers[dice.choice(["Range", "If-None-Match", "Accept", "X-Forwarded-For", "Prefer"])] = (
                dice.choice(
                    ["bytes=0-1", "bytes=9-1", "*", '"x"', "text/html;q=x", "wait=0", ",,,", "\xff\xfe"]
                )
            )
        return headers

    def _body(self, dice: random.Random, operation: Mapping[str, Any]) -> tuple[bytes | None, str]:
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return (b'{"a":1}' if dice.random() < 0.05 else None), "application/json"
        kind, told = dice.choice(sorted(content.items()))
        if kind != "application/json":
            return _broken(dice, self._cast.picture), kind
        value = self._value(dice, told["schema"])
        for _ in range(dice.choice([0, 0, 1, 1, 2, 3])):
            value = _changed(dice, value)
        raw = json.dumps(value).encode()
        return (_broken(dice, raw) if dice.random() < 0.2 else raw), kind

    def _value(self, dice: random.Random, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """A value of a schema: what it asks for, most of the time."""
        if "$ref" in schema:
            return self._value(dice, self._components[schema["$ref"].rpartition("/")[2]], depth)
        if "enum" in schema:
            return dice.choice(schema["enum"])
        if "anyOf" in schema:
            return self._value(dice, dice.choice(schema["anyOf"]), depth)
        kind = schema.get("type")
        makers: Mapping[str, Callable[[], Any]] = {
            "object": lambda: self._object(dice, schema, depth),
            "array": lambda: [
                self._value(dice, schema.get("items", {}), depth + 1) for _ in range(dice.randint(0, 3))
            ],
            "integer": lambda: dice.choice([0, 1, 5, 20, 100, 48_000, schema.get("maximum", 7)]),
            "number": lambda: dice.choice([0.5, 1, 5.0]),
            "boolean": lambda: dice.random() < 0.5,
            "null": lambda: None,
            "string": lambda: dice.choice([*WORDS, *schema.get("examples", [])]),
        }
        return makers.get(kind if isinstance(kind, str) else "", lambda: dice.choice(WORDS))()

    def _object(self, dice: random.Random, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        return {
            name: self._value(dice, rule, depth + 1)
            for name, rule in properties.items()
            if depth < 4 and (name in required or dice.random() < 0.2)
        }


def _changed(dice: random.Random, value: Any) -> Any:
    """One change at one place: another value, a field less, a field more, the whole."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        changed, name = dict(value), dice.choice(list(value))
        match dice.randrange(4):
            case 0:
                del changed[name]
            case 1:
                changed[dice.choice(["colour", "Model", "__class__", "\u0000", ""])] = dice.choice(EVILS)
            case _:
                changed[name] = _changed(dice, changed[name])
        return changed
    if isinstance(value, list) and value and dice.random() < 0.5:
        return [_changed(dice, value[0]), *value[1:]]
    return dice.choice(EVILS)


def _broken(dice: random.Random, raw: bytes) -> bytes:
    """The bytes with a few of them changed, cut off or doubled."""
    changed = bytearray(raw)
    for _ in range(dice.randint(0, 6)):
        if changed:
            changed[dice.randrange(len(changed))] = dice.randrange(256)
    match dice.randrange(5):
        case 0:
            return bytes(changed[: dice.randrange(len(changed) + 1)])
        case 1:
            return bytes(changed) * 2
        case 2:
            return b"[" * dice.randint(1, 3000) + bytes(changed)
        case _:
            return bytes(changed)


def _path_text(dice: random.Random) -> str:
    return dice.choice(
        ["%00", "%ff%fe", "..%2f..%2fetc", "a%20b", "job_" + "z" * 300, "%F0%9F%90%B6", "-", "null", "0"]
    )


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass")[:2000])
