"""Headers on every answer, no door for pages of others, and bodies no larger than their route needs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from fairstack_server.api.connections import HEADERS
from tests.access.estate import Estate
from tests.access.matrix import Row, all_rows

ROWS = all_rows()
#: These say something of their own: a clip may be shown anywhere and kept for ever, the page has a style.
OWN = {
    "/media/{key}": {"content-security-policy", "cross-origin-resource-policy", "cache-control"},
    "/docs": {"content-security-policy"},
    "/v1/jobs/{job_id}/events": {"cache-control"},
}
EVIL = {"Origin": "https://evil.example.com", "Access-Control-Request-Method": "POST"}


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_every_answer_has_them(estate: Estate, row: Row) -> None:
    """A success and a refusal of every route carry the headers, and nothing that lets other pages in."""
    owner = estate.owners["owner", "live"]
    thing = "" if row.noun is None else await row.noun.make(estate, "owner", "live")
    for key in (owner, ""):
        png = {"Content-Type": "image/png"} if row.doc.body is bytes else {}
        answer = await estate.gateway.call(
            row.method, row.path_to(thing), row.body(), key=key, headers={**EVIL, **png}
        )
        held = {name.lower(): value for name, value in answer.headers.items()}
        own = OWN.get(row.path, set())
        for name, value in HEADERS:
            assert held[name.decode()] == value.decode() or name.decode() in own, (row, name)
        assert not [name for name in held if name.startswith("access-control-")]
        assert "server" not in held


@pytest.mark.parametrize("path", ["/v1/generations/video", "/v1/jobs", "/v1/nothing", "/docs"])
async def test_a_preflight_gets_no_permission(estate: Estate, path: str) -> None:
    """A browser that asks for another page whether it may call is not told that it may."""
    async with estate.gateway.http.options(estate.gateway.base_url + path, headers=EVIL) as answer:
        assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
        assert answer.headers["X-Frame-Options"] == "DENY"


FIELDS = [
    row for row in ROWS if row.doc.body is not None and row.path not in ("/v1/generations/video", "/v1/files")
]


@pytest.mark.parametrize("row", FIELDS, ids=str)
async def test_a_body_of_fields_is_small(estate: Estate, row: Row) -> None:
    """Where a body is only fields, 64 KiB are enough: more is a 413, also when its length is not said."""
    operator = estate.gateway.keys.live
    thing = "" if row.noun is None else await row.noun.make(estate, "owner", "live")
    body = json.dumps({"name": "x" * 65_536}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        yield body

    for sent in (body, chunks()):
        answer = await estate.gateway.call(row.method, row.path_to(thing), sent, key=operator)
        assert (answer.status, answer.json["error"]["code"]) == (413, "payload_too_large"), answer.body


async def test_a_deep_body_is_refused_before_it_hurts(estate: Estate) -> None:
    """More than 32 levels are a 400 wherever JSON is read."""
    for row in FIELDS:
        thing = "" if row.noun is None else await row.noun.make(estate, "owner", "live")
        deep = b'{"name":' + b"[" * 40 + b"]" * 40 + b"}"
        answer = await estate.gateway.call(row.method, row.path_to(thing), deep, key=estate.gateway.keys.live)
        assert (answer.status, answer.json["error"]["code"]) == (400, "validation_error"), (row, answer.body)
