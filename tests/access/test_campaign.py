"""The figures of the campaign hold in small, and each of them notices the damage that it is there for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairstack_server.accounts.store import Caller
from fairstack_server.api import query
from fairstack_server.api.routes import generations, money
from fairstack_server.errors import BadRequest
from fairstack_server.jobs.reading import JobReader, JobRecord
from tests.access import measures
from tests.access.estate import Estate
from tests.access.fuzz import Dice
from tests.access.measures import judge_mistyped_keys, judge_races, judge_slow_clients, judge_telling_apart
from tests.access.mutants import judge_raw_bytes, judge_requests, make_cast

SOME = 400


async def test_races_are_one_job(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few races hold; a server that forgets the idempotency key is noticed."""
    assert (await judge_races(estate, 2)).holds
    monkeypatch.setattr(generations, "_idempotency", lambda *_: None)
    assert not (await judge_races(estate, 1)).holds


async def test_mutated_requests_are_answered_by_the_document(estate: Estate) -> None:
    """Some hundred of them: no 5xx, none out of shape, no leak."""
    figures = await judge_requests(estate, SOME, 1)
    assert all(figure.holds for figure in figures), figures


@pytest.mark.parametrize("damage", ["undocumented 5xx", "answers out of shape", "leaked traces or keys"])
async def test_damage_is_noticed(estate: Estate, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    """A fault of ours, an answer of another shape and a trace in a message are each found."""

    def broken(*_: Any, **__: Any) -> int:
        raise ZeroDivisionError

    def talking(*_: Any, **__: Any) -> int:
        raise BadRequest('Traceback (most recent call last): File "/srv/query.py", line 7')

    match damage:
        case "undocumented 5xx":
            monkeypatch.setattr(query, "whole", broken)
        case "leaked traces or keys":
            monkeypatch.setattr(query, "whole", talking)
        case _:
            monkeypatch.setattr(money, "credits_view", lambda *_: {"balance": "much"})
    found = {figure.what: figure.holds for figure in await judge_requests(estate, SOME, 1)}
    assert not found[damage]


async def test_a_request_of_the_fuzz_is_always_the_same(estate: Estate) -> None:
    """The number of a failing request is enough to send it again."""
    cast = await make_cast(estate)
    one, other = (Dice(estate.gateway.conformity.document, cast, 7) for _ in range(2))
    assert [one.wish(number) for number in range(50)] == [
        other.wish(number) for number in reversed(range(50))
    ][::-1]
    assert one.wish(3) != Dice(estate.gateway.conformity.document, cast, 8).wish(3)


async def test_mutated_bytes_end_no_server(estate: Estate) -> None:
    """Bytes that are hardly HTTP are refused or left unanswered."""
    figure = await judge_raw_bytes(estate, 60, 1)
    assert figure.holds, figure


def test_a_lost_check_of_keys_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mistyped keys are all refused; without the check digits they would not be."""
    assert judge_mistyped_keys(5_000, 1).holds
    monkeypatch.setattr(measures, "api_key_mode", lambda key: "live")
    assert not judge_mistyped_keys(50, 1).holds


async def test_an_answer_that_takes_longer_is_noticed(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousandths of a second more for what is somebody else's tell it apart."""
    get = JobReader.get

    async def slow(self: JobReader, caller: Caller, job_id: str) -> JobRecord:
        if await self._pool.fetchval("select 1 from jobs where id = $1", job_id):
            await asyncio.sleep(0.002)
        return await get(self, caller, job_id)

    monkeypatch.setattr(JobReader, "get", slow)
    jobs, *_ = await judge_telling_apart(estate, 60, 1)
    assert not jobs.holds, jobs


async def test_slow_clients_are_held_open(estate: Estate) -> None:
    """The figure counts connections that are really open; the wait is the campaign's to say."""
    figure = await judge_slow_clients(estate, 20, rounds=1)
    assert figure.said.startswith("20 of 20 held open")


@pytest.mark.parametrize(
    "path", ["/v1/usage?to=0001-01-01T00:00:00-14:00", "/v1/usage?to=9999-12-31T23:59:59Z"]
)
async def test_what_the_campaign_found_stays_mended(estate: Estate, path: str) -> None:
    """Usage up to the first of all days is an answer, not a fault."""
    assert (await estate.gateway.call("GET", path)).status == 200
