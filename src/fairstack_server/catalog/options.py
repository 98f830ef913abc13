"""Checks `options` of a request against the small part of JSON Schema that model files use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from fairstack_server.errors import BadRequest
from fairstack_server.jsonvalue import JSON

_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
}


def resolve_options(given: JSON, schemas: Mapping[str, Any], model: str) -> dict[str, JSON]:
    """The options with their defaults. Raises BadRequest naming the option, the value and what is allowed."""
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise BadRequest('"options" must be an object, such as {"cfg_scale": 0.5}.', param="options")
    options: dict[str, JSON] = {
        name: schema["default"] for name, schema in schemas.items() if "default" in schema
    }
    for name, value in given.items():
        if name not in schemas:
            known = ", ".join(schemas) or "none"
            raise BadRequest(
                f'{model} has no "{_printable(name)}" in options; it has {known}.',
                param="options",
                allowed=list(schemas),
            )
        fault = option_fault(value, schemas[name])
        if fault is not None:
            raise BadRequest(
                f"options.{name} {fault}.", param=f"options.{name}", allowed=_allowed(schemas[name])
            )
        options[name] = value
    return options


def option_fault(value: JSON, schema: Mapping[str, Any]) -> str | None:
    """Why this value does not fit the option's schema, as the end of a sentence; None when it fits."""
    if "enum" in schema and not any(_same(value, each) for each in schema["enum"]):
        return f"must be one of {', '.join(map(str, schema['enum']))}"
    kind = schema.get("type")
    if kind is not None and not _is_a(value, kind):
        return f"must be of type {kind}"
    if isinstance(value, str) and len(value) > schema.get("maxLength", 20_000):
        return f"must have at most {schema.get('maxLength', 20_000)} characters"
    if isinstance(value, list):
        return _list_fault(value, schema)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _number_fault(value, schema)
    return None


def _list_fault(values: list[JSON], schema: Mapping[str, Any]) -> str | None:
    if len(values) > schema.get("maxItems", 100):
        return f"must have at most {schema.get('maxItems', 100)} items"
    faults = (option_fault(each, schema.get("items", {})) for each in values)
    return next((f"items: {fault}" for fault in faults if fault is not None), None)


def _number_fault(value: float, schema: Mapping[str, Any]) -> str | None:
    low, high = schema.get("minimum"), schema.get("maximum")
    if math.isnan(value):
        return "must be a number"
    if low is not None and value < low:
        return f"must be at least {low}"
    if high is not None and value > high:
        return f"must be at most {high}"
    return None


def _is_a(value: JSON, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _same(value: JSON, allowed: JSON) -> bool:
    return value == allowed and isinstance(value, bool) is isinstance(allowed, bool)


def _allowed(schema: Mapping[str, Any]) -> list[JSON] | dict[str, JSON]:
    if "enum" in schema:
        return list(schema["enum"])
    return {
        name: schema[name]
        for name in ("type", "minimum", "maximum", "maxLength", "maxItems")
        if name in schema
    }


def _printable(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name[:80])
