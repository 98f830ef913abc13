"""The tenant matrix: every route, every role, every thing it could ask for. No leak, no write, one 404."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from fairstack_server.api.doc import Answer as Promised
from fairstack_server.api.doc import Doc
from fairstack_server.ids import Mode
from tests.access.estate import Estate, Role
from tests.access.matrix import NoRow, Owed, Row, all_rows, may_see, row_of
from tests.gateway.running import Answer

ROWS = all_rows()
_PASSING = frozenset({"date", "x-request-id", "ratelimit", "x-ratelimit-remaining", "x-ratelimit-reset"})

#: Table -> columns that change without anybody asking: webhooks are being sent, keys are being used.
_MOVING = {
    "api_keys": ["last_used_at"],
    "webhook_deliveries": ["state", "attempts", "lease", "next_at"],
}


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: a thing of an account, or nothing at all."""

    name: str
    account: str | None = None
    mode: Mode | None = None


ABSENT = Target("an id of nothing")
TARGETS = (
    Target("the owner's", "owner", "live"),
    Target("the owner's in the sandbox", "owner", "test"),
    Target("the neighbour's", "neighbour", "live"),
    ABSENT,
)


async def thing_of(estate: Estate, row: Row, target: Target) -> str:
    """An id to put into the path."""
    if row.noun is None:
        return ""
    if target.account is None or target.mode is None:
        return row.noun.absent
    return await row.noun.make(estate, target.account, target.mode)


async def ask(estate: Estate, row: Row, role: Role, thing: str) -> Answer:
    """One request of the matrix."""
    png = {"Content-Type": "image/png"} if row.doc.body is bytes else {}
    path = row.path_to(thing)
    answer = await estate.gateway.call(row.method, path, row.body(), key=role.key, headers=png)
    leaked = [mark for mark in estate.marks if not may_see(role, mark) and mark.text.encode() in answer.body]
    assert row.doc.scope is None or not leaked, (role.name, row.method, path, leaked)
    return answer


async def everything(estate: Estate) -> list[tuple[str, str]]:
    """Table -> a digest of its rows, but for what moves by itself."""
    pool, found = estate.gateway.gateway.pool, []
    tables = await pool.fetch(
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    )
    for table in sorted(row["relname"] for row in tables if row["relname"] != "webhook_attempts"):
        digest = await pool.fetchval(
            f"select md5(coalesce(string_agg(r, '|' order by r), '')) "
            f"from (select (to_jsonb(t) - $1::text[])::text r from {table} t) x",
            _MOVING.get(table, []),
        )
        found.append((table, digest))
    return found


def blank(answer: Answer) -> tuple[int, bytes, Any]:
    """An answer without what differs in every answer."""
    headers = sorted((k.lower(), v) for k, v in answer.headers.items() if k.lower() not in _PASSING)
    return answer.status, answer.body.replace(answer.headers["X-Request-Id"].encode(), b""), headers


def check_owed(row: Row, role: Role, target: Target, owed: Owed, answer: Answer) -> None:
    """Fail unless the answer is the one that the role is owed."""
    where = f"{row.method} {row.path}, {role.name}, {target.name}: {answer.status} {answer.body[:300]!r}"
    if owed == "served":
        assert answer.status in row.doc.answers, where
    else:
        assert answer.status == int(owed), where


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_every_role_gets_what_it_is_owed(estate: Estate, row: Row) -> None:
    """Each role is served its own and nothing else; what is refused is the same bytes whatever it named."""
    shared = {target: await thing_of(estate, row, target) for target in TARGETS}
    owed = {
        (role, target): row.owes(role, target.account, target.mode)
        for role in estate.roles
        for target in (TARGETS if row.noun else (ABSENT,))
    }
    before = await everything(estate)
    for role in estate.roles:
        refused = [
            (target, await ask(estate, row, role, shared[target]))
            for target in TARGETS
            if owed.get((role, target), "served") != "served"
        ]
        for target, answer in refused:
            check_owed(row, role, target, owed[role, target], answer)
        assert len({msgspec.json.encode(blank(answer)) for _, answer in refused}) <= 1, refused
    assert await everything(estate) == before
    for (role, target), what in owed.items():
        if what == "served" and row.doc.scope is not None:
            # A fresh one each time: some routes use up what they are asked about.
            answer = await ask(estate, row, role, await thing_of(estate, row, target))
            check_owed(row, role, target, what, answer)
    assert "served" in owed.values() or row.path.startswith("/callbacks/")


@pytest.mark.parametrize("row", [row for row in ROWS if row.doc.scope is None], ids=str)
async def test_what_is_public_is_the_same_for_all(estate: Estate, row: Row) -> None:
    """A route that asks for no key answers everybody the same bytes, whatever key they send."""
    for target in TARGETS if row.noun else (ABSENT,):
        thing = await thing_of(estate, row, target)
        answers = [await ask(estate, row, role, thing) for role in estate.roles]
        for role, answer in zip(estate.roles, answers, strict=True):
            check_owed(row, role, target, row.owes(role, target.account, target.mode), answer)
        assert len({msgspec.json.encode(blank(answer)) for answer in answers}) == 1


@pytest.mark.parametrize("noun", ["jobs/{job_id}", "files/{file_id}", "webhooks/deliveries/{delivery_id}"])
async def test_the_owner_does_get_his_own(estate: Estate, noun: str) -> None:
    """What is looked for in the answers to others is in the answers to the owner: the search can find."""
    row = next(row for row in ROWS if (row.method, row.path) == ("GET", f"/v1/{noun}"))
    owner = next(role for role in estate.roles if role.name == "owner, live key")
    thing = await thing_of(estate, row, TARGETS[0])
    answer = await ask(estate, row, owner, thing)
    assert answer.json["id"] == thing
    neighbour = next(role for role in estate.roles if role.name == "neighbour, live key")
    seen = [mark for mark in estate.marks if mark.text.encode() in answer.body]
    assert seen
    assert not any(may_see(neighbour, mark) for mark in seen)


def test_a_route_of_an_unknown_noun_has_no_row() -> None:
    """A route whose path names something new, or whose body is new, fails the matrix until it is decided."""
    doc = Doc(summary="", tag="", answers={200: Promised("")}, scope="jobs:read")
    with pytest.raises(NoRow, match="NOUNS"):
        row_of("GET", "/v1/invoices/{invoice_id}", doc)
    with pytest.raises(NoRow, match="BODIES"):
        row_of("POST", "/v1/jobs", Doc(summary="", tag="", answers={}, scope="generate", body=Mode))
