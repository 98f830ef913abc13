"""The sandbox of test keys: every story through HTTP, its own money, its own limits, cancelling."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from fairstack_server.db.dsn import Dsn
from fairstack_server.providers.sandbox_stories import STORIES, Story
from tests.conftest import make_folder
from tests.gateway.receiver import Receiver, receiving
from tests.gateway.running import Running, running_gateway

WAN: dict[str, Any] = {"model": "wan-2-1-t2v"}
PRICE = 48_000
#: Stories that act for longer than a test needs; the number after the name is their knob.
SHORTER = {"slow": 2, "cancel_too_late": 2, "cancel_requested": 2, "flaky": 3}
CODES = {
    "render_failed": "generation_failed",
    "refused": "generation_failed",
    "expired": "provider_unavailable",
}


@dataclass(slots=True)
class Stage:
    """A gateway on which all stories were begun at once, a few by each account."""

    gateway: Running
    receiver: Receiver
    jobs: dict[str, tuple[str, str]]
    """Story -> API key and job id."""

    async def end_of(self, story: str) -> Any:
        """The job of a story, ended."""
        key, job_id = self.jobs[story]
        job = await self.gateway.wait(job_id, key=key, seconds=60)
        assert job["status"] not in ("queued", "processing"), job
        return job


def prompt_of(story: Story) -> str:
    """What makes a story play, in its short version."""
    return f"test:{story.name} {SHORTER[story.name]}" if story.name in SHORTER else f"test:{story.name}"


@pytest.fixture(scope="module")
async def stage(module_database: Dsn) -> AsyncIterator[Stage]:
    """All stories, running."""
    home = make_folder()
    async with (
        receiving() as receiver,
        running_gateway(module_database, home, webhook_allow=receiver.address) as gateway,
    ):
        stage = Stage(gateway, receiver, {})
        key = ""
        for number, story in enumerate(STORIES):
            if number % 3 == 0:
                key = (await gateway.other_account())[1]
            body = {**WAN, "prompt": prompt_of(story), "webhook_url": receiver.url(f"/{story.name}")}
            answer = await gateway.submit(body, key=key)
            assert answer.status == 202, answer.body
            stage.jobs[story.name] = (key, answer.json["id"])
        yield stage
    shutil.rmtree(home)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_each_story_ends_as_it_says(stage: Stage, story: Story) -> None:
    """A story ends as its table says, is charged only for a clip, and its webhook is the job's bytes."""
    job = await stage.end_of(story.name)
    assert job["status"] == story.job_ends
    assert job["cost"]["micro"] == (PRICE if story.job_ends == "completed" else 0)
    if story.job_ends == "completed":
        assert job["metadata"]["test"] is True
        assert job["metadata"]["duration"] == (4 if story.name == "short_clip" else 5)
    else:
        assert "url" not in job
        assert job["error"]["code"] == CODES.get(str(story.reason), story.reason)
        assert job["error"]["message"]
    key, job_id = stage.jobs[story.name]
    told = (await stage.receiver.wait(f"/{story.name}"))[0]
    assert told.body == (await stage.gateway.call("GET", f"/v1/jobs/{job_id}", key=key)).body


async def test_a_late_clip_is_given_away(stage: Stage) -> None:
    """The clip of `test:late` comes after the job failed: it is given free, and a second webhook says so."""
    failed = await stage.end_of("late")
    key, job_id = stage.jobs["late"]
    first, second = await stage.receiver.wait("/late", 2, seconds=90)
    late = await stage.gateway.call("GET", f"/v1/jobs/{job_id}/late_result", key=key)
    assert late.status == 200
    assert second.body == late.body != first.body
    assert second.headers["webhook-id"] != first.headers["webhook-id"]
    assert late.json["status"] == "completed"
    assert late.json["cost"]["micro"] == 0
    assert late.json["metadata"]["late_result"] is True
    clip = await stage.gateway.call("GET", late.json["url"].removeprefix(stage.gateway.base_url), key="")
    assert clip.status == 200
    still = await stage.gateway.call("GET", f"/v1/jobs/{job_id}", key=key)
    assert (still.json["status"], still.body) == ("failed", first.body)
    assert failed["cost"]["micro"] == 0


async def test_no_story_leaves_a_hold_or_touches_live_money(stage: Stage) -> None:
    """When all stories are over, each wallet has paid for its clips and holds nothing."""
    ends = {story.name: await stage.end_of(story.name) for story in STORIES}
    for key in {key for key, _ in stage.jobs.values()}:
        own = [name for name, (owner, _) in stage.jobs.items() if owner == key]
        clips = sum(ends[name]["status"] == "completed" for name in own)
        assert await stage.gateway.money(key=key) == (100_000_000 - clips * PRICE, 0)
    rows = await stage.gateway.gateway.pool.fetchval(
        "select count(*) from ledger_transactions where mode = 'live'"
    )
    assert rows == 0


async def test_a_story_that_there_is_not(stage: Stage) -> None:
    """An unknown story fails with the list of those that there are."""
    job = await stage.gateway.ended({**WAN, "prompt": "test:nonsense"}, key=stage.gateway.keys.test)
    assert job["status"] == "failed"
    assert "content_filtered" in job["error"]["message"]


async def test_a_stopped_story_is_cancelled_and_released(stage: Stage) -> None:
    """A render that can be stopped ends cancelled: nothing is charged, nothing stays held."""
    _, key = await stage.gateway.other_account()
    job_id = await _processing(stage.gateway, key, "test:slow 600")
    answer = await stage.gateway.call("POST", f"/v1/jobs/{job_id}/cancel", key=key)
    assert answer.status == 200
    assert answer.json["cancellation"] in ("requested", "stopped")
    job = await stage.gateway.wait(job_id, key=key)
    assert (job["status"], job["cost"]["micro"]) == ("cancelled", 0)
    assert await stage.gateway.money(key=key) == (100_000_000, 0)


@pytest.mark.parametrize("story", ["cancel_too_late", "cancel_requested"])
async def test_a_cancel_that_does_not_stop_is_charged(stage: Stage, story: str) -> None:
    """Where a render cannot be stopped any more it goes on, completes and is charged."""
    _, key = await stage.gateway.other_account()
    job_id = await _processing(stage.gateway, key, f"test:{story} 4")
    answer = await stage.gateway.call("DELETE", f"/v1/jobs/{job_id}", key=key)
    assert (answer.status, answer.json["cancellation"]) == (200, "requested")
    job = await stage.gateway.wait(job_id, key=key, seconds=60)
    assert (job["status"], job["cost"]["micro"]) == ("completed", PRICE)


async def test_cancel_after_stops_a_job_by_itself(stage: Stage) -> None:
    """`cancel_after` cancels a job that takes longer, and leaves no hold."""
    _, key = await stage.gateway.other_account()
    body = {**WAN, "prompt": "test:slow 600", "cancel_after": 1}
    job = await stage.gateway.ended(body, key=key)
    assert (job["status"], job["cost"]["micro"]) == ("cancelled", 0)
    assert await stage.gateway.money(key=key) == (100_000_000, 0)


async def test_only_four_of_an_account_are_in_flight(stage: Stage) -> None:
    """Of seven jobs of one account four are rendered at a time; the others wait, and all come to an end."""
    _, key = await stage.gateway.other_account()
    for _ in range(7):
        await stage.gateway.submit({**WAN, "prompt": "test:render_failed 2"}, key=key)
    most = 0
    while True:
        listed = (await stage.gateway.call("GET", "/v1/jobs", key=key)).json["items"]
        most = max(most, sum(job["status"] == "processing" for job in listed))
        if all(job["status"] == "failed" for job in listed):
            break
        await asyncio.sleep(0.2)
    assert (most, len(listed)) == (4, 7)


async def test_a_refill_brings_back_100_dollars(stage: Stage) -> None:
    """Spent test money comes back on request, no more than to $100.00; live wallets have no refill."""
    _, key = await stage.gateway.other_account()
    await stage.gateway.submit({**WAN, "prompt": "test:slow 600"}, key=key)
    assert await stage.gateway.money(key=key) == (100_000_000 - PRICE, PRICE)
    for _ in range(2):
        answer = await stage.gateway.call("POST", "/v1/credits/refill", key=key)
        assert (answer.status, answer.json["balance"]["micro"]) == (200, 100_000_000)
    assert (await stage.gateway.call("POST", "/v1/credits/refill")).status == 403


async def test_test_and_live_do_not_see_each_other(stage: Stage) -> None:
    """The live key of an account sees none of its test jobs and test money, and the other way round."""
    key = stage.gateway.keys.test
    job = (await stage.gateway.submit({**WAN, "prompt": "test:refused"}, key=key)).json["id"]
    assert (await stage.gateway.call("GET", f"/v1/jobs/{job}")).status == 404
    assert (await stage.gateway.call("GET", "/v1/jobs")).json["items"] == []
    assert (await stage.gateway.call("GET", "/v1/ledger")).json["items"] == []
    await stage.gateway.grant(5)
    assert (await stage.gateway.call("GET", "/v1/ledger", key=key)).json["items"][0]["kind"] != "grant"
    assert (await stage.gateway.money())[0] == 5


async def _processing(gateway: Running, key: str, prompt: str) -> str:
    """A job that is being rendered."""
    job_id: str = (await gateway.submit({**WAN, "prompt": prompt}, key=key)).json["id"]
    while (await gateway.call("GET", f"/v1/jobs/{job_id}", key=key)).json["status"] != "processing":
        await asyncio.sleep(0.05)
    return job_id
