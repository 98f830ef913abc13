"""Checks a body against the endpoint's table of inputs, as strictly as the vendor's own types are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TABLE: Mapping[str, Any] = json.loads((Path(__file__).parent / "fal_inputs.json").read_text())


def unchecked_endpoints() -> list[str]:
    """Endpoints whose inputs are not known: only their required fields are checked."""
    return sorted(endpoint for endpoint, entry in TABLE.items() if entry["input"] is None)


def complaints(endpoint: str, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is wrong with this body, in fal's form: `loc`, `msg`, `type`, `input`; empty when nothing is."""
    entry = TABLE[endpoint]
    fields: Mapping[str, Any] | None = entry["input"]
    required = entry.get("required") or [name for name, told in (fields or {}).items() if told["required"]]
    wrong = [_complaint(name, "Field required", "missing", None) for name in required if name not in body]
    if fields is None:
        return wrong
    for name, value in body.items():
        if name not in fields:
            wrong.append(_complaint(name, "Extra inputs are not permitted", "extra_forbidden", value))
        elif (told := _misfit(fields[name], value)) is not None:
            wrong.append(_complaint(name, told, "type_error", value))
    return wrong


def _complaint(name: str, message: str, kind: str, value: Any) -> dict[str, Any]:
    return {"loc": ["body", name], "msg": message, "type": kind, "input": value}


def _misfit(field: Mapping[str, Any], value: Any) -> str | None:
    if "enum" in field:
        allowed = field["enum"]
        fits = any(type(value) is type(option) and value == option for option in allowed)
        return None if fits else f"Input should be one of {allowed}"
    return None if _has_type(field["type"], value) else f"Input should be a valid {field['type']}"


def _has_type(kind: str, value: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "url":
            return _is_url(value)
        case "Array<string>":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "Array<number>":
            return isinstance(value, list) and all(_has_type("number", item) for item in value)
        case _ if kind.startswith("Array<"):
            return isinstance(value, list) and all(isinstance(item, dict) for item in value)
        case _ if "|" in kind:
            return isinstance(value, dict) or (isinstance(value, str) and f'"{value}"' in kind)
        case _:
            return isinstance(value, dict)


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("https://", "http://", "data:"))
