"""API keys; the flows behind `client.api_keys`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairstack.call import call, call_for, call_json, get, json_bytes
from fairstack.errors import UnexpectedAnswer
from fairstack.files import path_part
from fairstack.flow import Flow, Request
from fairstack.types import ApiKey, read

PATH = "/v1/api-keys"


def fetch_all() -> Flow[list[ApiKey]]:
    """The account's keys, without their secrets."""
    answer = yield from call_json(get(PATH))
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        raise UnexpectedAnswer(f"{PATH} did not answer with items")
    return [read(ApiKey, item) for item in items]


def create(
    name: str, scopes: Sequence[str] | None, mode: str | None, caps: Mapping[str, Any] | None
) -> Flow[ApiKey]:
    """Make a key; its secret is in this answer and never again, so it is never asked for twice."""
    body = {"name": name, "scopes": scopes, "mode": mode, "caps": caps}
    return (yield from call_for(ApiKey, _write("POST", PATH, body, once=True)))


def update(
    key_id: str, name: str | None, scopes: Sequence[str] | None, caps: Mapping[str, Any] | None
) -> Flow[ApiKey]:
    """Change what is given."""
    body = {"name": name, "scopes": scopes, "caps": caps}
    return (yield from call_for(ApiKey, _write("PATCH", f"{PATH}/{path_part(key_id)}", body)))


def revoke(key_id: str) -> Flow[None]:
    """Revoke the key; it is refused from now on."""
    yield from call(Request(method="DELETE", path=f"{PATH}/{path_part(key_id)}"))


def _write(method: str, path: str, body: Mapping[str, object], *, once: bool = False) -> Request:
    given = {name: value for name, value in body.items() if value is not None}
    return Request(method=method, path=path, content=json_bytes(given), replay="once" if once else "safe")
