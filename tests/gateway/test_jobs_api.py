"""/v1/jobs: reading, waiting, listing, following, cancelling."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from tests.gateway.running import Running

WAN: dict[str, Any] = {"model": "wan-2-1-t2v", "prompt": "test:refused"}
SLOW = {**WAN, "prompt": "test:slow 600"}


async def submit(gateway: Running, body: dict[str, Any], key: str) -> str:
    """Submit; the job's id."""
    answer = await gateway.submit(body, key=key)
    assert answer.status == 202, answer.body
    return str(answer.json["id"])


async def test_wait_holds_the_answer_until_the_end(gateway: Running) -> None:
    """`?wait=` and `Prefer: wait=` answer when the job ends, long before their seconds are over."""
    key = gateway.keys.test
    for suffix, headers in (("?wait=60", {}), ("", {"Prefer": "respond-async, wait=60"})):
        job_id = await submit(gateway, {**WAN, "prompt": "test:render_failed 1"}, key)
        started = time.monotonic()
        answer = await gateway.call("GET", f"/v1/jobs/{job_id}{suffix}", key=key, headers=headers)
        assert answer.json["status"] == "failed"
        assert time.monotonic() - started < 30
        assert "Retry-After" not in answer.headers


async def test_wait_ends_with_its_seconds(gateway: Running) -> None:
    """A job that goes on is answered when the seconds are over, with when to ask again."""
    job_id = await submit(gateway, SLOW, gateway.keys.test)
    started = time.monotonic()
    answer = await gateway.call("GET", f"/v1/jobs/{job_id}?wait=1", key=gateway.keys.test)
    assert time.monotonic() - started >= 1
    assert answer.json["status"] in ("queued", "processing")
    assert int(answer.headers["Retry-After"]) > 0
    assert list(answer.json) == [
        "id",
        "status",
        "model",
        "modality",
        "estimated_cost",
        "progress",
        "created_at",
    ]


async def test_the_list_filters_and_pages(gateway: Running) -> None:
    """Pages of a list have every job once, newest first, as GET shows it; filters keep what they say."""
    _, key = await gateway.other_account()
    ids = [await submit(gateway, {**WAN, "tags": {"n": str(n)}}, key) for n in range(5)]
    for job_id in ids:
        await gateway.wait(job_id, key=key)
    seen: list[Any] = []
    path = "/v1/jobs?limit=2"
    for more in (True, True, False):
        page = (await gateway.call("GET", path, key=key)).json
        assert list(page) == ["items", "has_more", "next_cursor"]
        assert page["has_more"] is more
        assert (page["next_cursor"] is not None) is more
        seen += page["items"]
        path = f"/v1/jobs?limit=2&cursor={page['next_cursor']}"
    assert [job["id"] for job in seen] == ids[::-1]
    assert seen[0] == (await gateway.call("GET", f"/v1/jobs/{ids[-1]}", key=key)).json
    rows = {
        "status=failed": 5,
        "status=completed": 0,
        "status=queued": 0,
        "model=wan-2-1-t2v": 5,
        "model=veo-3": 0,
        "created_before=2020-01-01T00:00:00Z": 0,
        "created_after=2020-01-01&status=failed": 5,
    }
    for query, count in rows.items():
        items = (await gateway.call("GET", f"/v1/jobs?{query}", key=key)).json["items"]
        assert len(items) == count, query


async def test_a_page_is_stable_while_jobs_come_in(gateway: Running) -> None:
    """A cursor goes on behind its row, whatever came in front in the meantime."""
    _, key = await gateway.other_account()
    ids = [await submit(gateway, WAN, key) for _ in range(3)]
    first = (await gateway.call("GET", "/v1/jobs?limit=1", key=key)).json
    await submit(gateway, WAN, key)
    second = (await gateway.call("GET", f"/v1/jobs?limit=9&cursor={first['next_cursor']}", key=key)).json
    assert [job["id"] for job in second["items"]] == [ids[1], ids[0]]


async def events(gateway: Running, job_id: str, last: str | None = None) -> list[dict[str, Any]]:
    """The event stream of a job to its end, parsed."""
    headers = {} if last is None else {"Last-Event-ID": last}
    answer = await gateway.call("GET", f"/v1/jobs/{job_id}/events", key=gateway.keys.test, headers=headers)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-store"
    found = []
    for block in answer.body.decode().split("\n\n")[:-1]:
        lines = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
        if lines:
            found.append({**lines, "data": json.loads(lines["data"])})
    return found


async def test_events_tell_every_status_and_end(gateway: Running) -> None:
    """The stream tells queued, processing and the end in order, progress between; the last one is the job."""
    job_id = await submit(gateway, {**WAN, "prompt": "test:render_failed 2"}, gateway.keys.test)
    told = await events(gateway, job_id)
    statuses = [event for event in told if event["event"] == "status"]
    assert [event["data"]["status"] for event in statuses] == ["queued", "processing", "failed"]
    numbers = [int(event["id"]) for event in statuses]
    assert numbers == sorted(set(numbers))
    job = (await gateway.call("GET", f"/v1/jobs/{job_id}", key=gateway.keys.test)).json
    assert told[-1]["data"] == job
    shown = [event["data"]["progress"] for event in told if event["event"] == "progress"]
    assert shown == sorted(shown)
    assert shown
    assert all(0 <= share <= 1 for share in shown)


async def test_events_resume_behind_the_last_one(gateway: Running) -> None:
    """With Last-Event-ID only what came after it is told; behind the last event the stream is empty."""
    job_id = await submit(gateway, WAN, gateway.keys.test)
    await gateway.wait(job_id, key=gateway.keys.test)
    told = await events(gateway, job_id)
    for number, event in enumerate(told):
        assert await events(gateway, job_id, event["id"]) == told[number + 1 :]
    bad = await gateway.call(
        "GET", f"/v1/jobs/{job_id}/events", key=gateway.keys.test, headers={"Last-Event-ID": "x"}
    )
    assert (bad.status, bad.json["error"]["param"]) == (400, "Last-Event-ID")


async def test_many_followers_see_the_same_end(gateway: Running) -> None:
    """Waiters and followers of one job all get its end, none of them early."""
    key = gateway.keys.test
    job_id = await submit(gateway, {**WAN, "prompt": "test:render_failed 1"}, key)
    waits = [gateway.wait(job_id, key=key) for _ in range(20)]
    streams = [events(gateway, job_id) for _ in range(5)]
    jobs = await asyncio.gather(*waits)
    told = await asyncio.gather(*streams)
    assert {job["status"] for job in jobs} == {"failed"}
    assert all(each[-1]["data"] == jobs[0] for each in told)


@pytest.mark.parametrize(("method", "suffix"), [("POST", "/cancel"), ("DELETE", "")])
async def test_a_queued_job_is_cancelled_on_the_spot(gateway: Running, method: str, suffix: str) -> None:
    """A job that nobody has begun is stopped at once, its hold released; a second cancel is 409."""
    _, key = await gateway.other_account()
    for _ in range(4):
        await submit(gateway, SLOW, key)  # they take all places of the account in the sandbox
    while len((await gateway.call("GET", "/v1/jobs?status=processing", key=key)).json["items"]) < 4:
        await asyncio.sleep(0.05)
    job_id = await submit(gateway, SLOW, key)
    assert await gateway.money(key=key) == (100_000_000 - 5 * 48_000, 5 * 48_000)
    answer = await gateway.call(method, f"/v1/jobs/{job_id}{suffix}", key=key)
    assert (answer.json["status"], answer.json["cancellation"]) == ("cancelled", "stopped")
    assert await gateway.money(key=key) == (100_000_000 - 4 * 48_000, 4 * 48_000)
    again = await gateway.call(method, f"/v1/jobs/{job_id}{suffix}", key=key)
    assert (again.status, again.json["error"]["code"]) == (409, "job_not_cancellable")


async def test_the_end_of_a_job_never_changes(gateway: Running) -> None:
    """An ended job is the same bytes for every key of its account that may read jobs, again and again."""
    job_id = await submit(gateway, WAN, gateway.keys.test)
    await gateway.wait(job_id, key=gateway.keys.test)
    reader = await gateway.key("jobs:read", mode="test")
    bodies = {
        (await gateway.call("GET", f"/v1/jobs/{job_id}{suffix}", key=key)).body
        for key in (gateway.keys.test, reader)
        for suffix in ("", "?wait=5")
    }
    assert len(bodies) == 1
