"""API keys; the flows behind `client.api_keys`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from fairstack.call import call, call_for, call_json, get, json_bytes
from fairstack.errors import UnexpectedAnswer
from fairstack.files import path_part
from fairstack.flow import Flow, Replay, Request
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
    name: str,
    scopes: Sequence[str] | None,
    mode: str | None,
    cap_micro: int | None,
    expires_at: datetime | str | None,
) -> Flow[ApiKey]:
    """Make a key; its secret is in this answer and never again, so it is never asked for twice."""
    expiry = expires_at.isoformat() if isinstance(expires_at, datetime) else expires_at
    body = {"name": name, "scopes": scopes, "mode": mode, "cap_micro": cap_micro, "expires_at": expiry}
    return (yield from call_for(ApiKey, _write("POST", PATH, _given(body), replay="once")))


def update(
    key_id: str, name: str | None, scopes: Sequence[str] | None, cap_micro: int | None, *, remove_cap: bool
) -> Flow[ApiKey]:
    """Change what is given."""
    body = _given({"name": name, "scopes": scopes, "cap_micro": cap_micro})
    if remove_cap:
        body["cap_micro"] = None
    return (yield from call_for(ApiKey, _write("PATCH", f"{PATH}/{path_part(key_id)}", body)))


def revoke(key_id: str) -> Flow[None]:
    """Revoke the key; it is refused from now on."""
    yield from call(Request(method="DELETE", path=f"{PATH}/{path_part(key_id)}"))


def _given(body: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if value is not None}


def _write(method: str, path: str, body: Mapping[str, object], replay: Replay = "safe") -> Request:
    return Request(method=method, path=path, content=json_bytes(body), replay=replay)
