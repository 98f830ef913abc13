"""Waiting: patient, polite, and never the reason that a clip is lost."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from fairstack import BadArgument, GenerationCancelled, JobNotCancellable, NotFound, Unreachable, WaitTimeout
from tests.sdk.clocks import FakeClock
from tests.sdk.conftest import MakeClient
from tests.sdk.faces import done, first, listed
from tests.sdk.fake_fairstack import Books

REQUEST = {"model": "wan-2-1-t2v", "prompt": "A dog"}


async def submitted(client: Any) -> Any:
    """A job just submitted."""
    return await done(client.generate.video(**REQUEST))


async def test_server_holds_the_answer(client: Any, books: Books, clock: FakeClock) -> None:
    """A job of three looks takes three requests, each held, with no pause of the client's own."""
    books.looks_until_done = 3
    job = await submitted(client)
    await done(job.wait())
    looks = books.of(f"/v1/jobs/{job.id}")
    assert [look.query["wait"] for look in looks] == ["48", "48", "48"]
    assert clock.sleeps == []


async def test_never_hammers(make_client: MakeClient, books: Books, clock: FakeClock) -> None:
    """A server that never holds and asks for no pause still gets its requests half a second apart."""
    client = make_client(timeout=1.0)
    books.looks_until_done, books.retry_after = 6, "0"
    job = await submitted(client)
    await done(job.wait())
    at = [look.at for look in books.of(f"/v1/jobs/{job.id}")]
    assert [later - earlier for earlier, later in pairwise(at)] == [0.5] * 5
    assert clock.now() - 1000 == 2.5


async def test_retry_after_of_an_early_answer(make_client: MakeClient, books: Books) -> None:
    """An unfinished answer that was not held is asked for again when it says."""
    client = make_client(timeout=1.0)
    books.looks_until_done, books.retry_after = 3, "7"
    job = await submitted(client)
    await done(job.wait())
    at = [look.at for look in books.of(f"/v1/jobs/{job.id}")]
    assert [later - earlier for earlier, later in pairwise(at)] == [7, 7]


async def test_timeout_says_how_to_go_on(client: Any, books: Books, clock: FakeClock) -> None:
    """A wait that is over leaves the job running; its error has the id and the line that waits again."""
    books.looks_until_done = 1000
    job = await submitted(client)
    with pytest.raises(WaitTimeout) as caught:
        await done(job.wait(timeout=90))
    assert 90 <= clock.now() - 1000 <= 91
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.job_id == job.id
    line = f'client.jobs.get("{job.id}").wait()'
    assert line in str(caught.value)
    assert books.of(f"/v1/jobs/{job.id}/cancel") == []
    books.looks_until_done = 1
    again = await done(client.jobs.get(job.id))
    assert (await done(again.wait())).id == job.id


async def test_zero_timeout_looks_once(client: Any, books: Books) -> None:
    """timeout=0 takes one look: a finished job gives its result, another WaitTimeout."""
    job = await submitted(client)
    assert (await done(job.wait(timeout=0))).url
    books.looks_until_done = 5
    with pytest.raises(WaitTimeout):
        await done((await submitted(client)).wait(timeout=0))


@pytest.mark.parametrize(("longest", "limit"), [(900.0, 900), (None, 3600)])
async def test_default_limit_is_the_models(
    client: Any, books: Books, clock: FakeClock, longest: float | None, limit: int
) -> None:
    """Without a timeout the wait lasts as long as the model's longest job, else an hour."""
    books.looks_until_done, books.longest_seconds = 100_000, longest
    job = await submitted(client)
    with pytest.raises(WaitTimeout):
        await done(job.wait())
    assert limit <= clock.now() - 1000 <= limit + 1
    assert len(books.of("/v1/models/wan-2-1-t2v")) == 1


async def test_quick_job_asks_nothing_more(client: Any, books: Books) -> None:
    """A job that is ready at the first look costs two requests in all."""
    await done((await submitted(client)).wait())
    assert [(asked.method, asked.path.count("/")) for asked in books.asked] == [("POST", 3), ("GET", 3)]


async def test_progress_is_told(client: Any, books: Books) -> None:
    """The callback gets the job at each look, the finished one last; the hold is short meanwhile."""
    books.looks_until_done = 4
    told: list[tuple[str, float | None]] = []
    job = await submitted(client)
    await done(job.wait(on_progress=lambda seen: told.append((seen.status, seen.progress))))
    assert told == [("processing", 0.25), ("processing", 0.5), ("processing", 0.75), ("completed", None)]
    assert {look.query["wait"] for look in books.of(f"/v1/jobs/{job.id}")} == {"2"}


async def test_callback_errors_reach_the_caller(client: Any, books: Books) -> None:
    """What the callback raises ends the wait and arrives as it was raised."""

    def stop(_: object) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await done((await submitted(client)).wait(on_progress=stop))


async def test_outage_during_the_wait(client: Any, books: Books) -> None:
    """A server that restarts while a job is waited for does not end the wait, nor make a second job."""
    job = await submitted(client)
    books.looks_until_done = 3
    books.faults.extend([(f"/v1/jobs/{job.id}", "drop_before")] * 9)
    assert (await done(job.wait())).id == job.id
    assert len(books.jobs) == 1


async def test_server_that_stays_away(make_client: MakeClient, books: Books, clock: FakeClock) -> None:
    """A server away for over a minute ends the wait with an error that has the id and how to resume."""
    client = make_client()
    job = await submitted(client)
    books.faults.extend([(f"/v1/jobs/{job.id}", "drop_before")] * 10_000)
    with pytest.raises(Unreachable) as caught:
        await done(job.wait())
    assert caught.value.job_id == job.id
    assert f'client.jobs.get("{job.id}").wait()' in str(caught.value)
    assert 60 <= clock.now() - 1000 <= 90


async def test_deadline_bounds_an_outage(client: Any, books: Books, clock: FakeClock) -> None:
    """A short timeout is kept to though the server is away: no retry goes beyond it."""
    job = await submitted(client)
    books.faults.extend([(f"/v1/jobs/{job.id}", "drop_before")] * 100)
    with pytest.raises(Unreachable):
        await done(job.wait(timeout=3))
    assert clock.now() - 1000 <= 4.5


async def test_rate_limit_during_the_wait(client: Any, books: Books, clock: FakeClock) -> None:
    """A wait that is told to slow down does so, and ends with the clip."""
    job = await submitted(client)
    books.faults.extend([(f"/v1/jobs/{job.id}", "429")] * 7)
    await done(job.wait())
    at = [look.at for look in books.of(f"/v1/jobs/{job.id}")]
    assert all(later - earlier >= 3 for earlier, later in pairwise(at))


async def test_cancelled_meanwhile(client: Any, books: Books) -> None:
    """A job that is cancelled ends the wait with GenerationCancelled."""
    books.looks_until_done = 100
    job = await submitted(client)
    assert (await done(job.cancel())).cancellation == "stopped"
    with pytest.raises(GenerationCancelled) as caught:
        await done(job.wait())
    assert caught.value.job is job


async def test_cancel_again_after_a_lost_answer(client: Any, books: Books) -> None:
    """A cancel whose first answer was lost still ends well."""
    books.looks_until_done = 100
    job = await submitted(client)
    books.faults.append((f"/v1/jobs/{job.id}/cancel", "drop_after"))
    assert (await done(client.jobs.cancel(job.id))).status == "cancelled"


async def test_too_late_to_cancel(client: Any) -> None:
    """A finished job is not cancelled; the error says that it has ended."""
    job = await submitted(client)
    await done(job.wait())
    with pytest.raises(JobNotCancellable, match="completed"):
        await done(job.cancel())


async def test_refresh_brings_up_to_date(client: Any) -> None:
    """refresh() updates the job in place and returns it; a finished one has its result."""
    job = await submitted(client)
    assert not job.result
    assert await done(job.refresh()) is job
    assert job.status == "completed"
    assert str(job.result.cost) == "$0.048"


async def test_one_held_look(client: Any, books: Books) -> None:
    """jobs.get(wait=) passes the hold on."""
    job = await submitted(client)
    await done(client.jobs.get(job.id, wait=30))
    assert books.asked[-1].query == {"wait": "30"}


async def test_wait_for_nothing(client: Any, books: Books) -> None:
    """A job that is gone ends the wait at once: NotFound, without advice to wait again."""
    job = await submitted(client)
    books.jobs.clear()
    with pytest.raises(NotFound) as caught:
        await done(job.wait())
    assert "wait again" not in str(caught.value)
    assert len(books.of(f"/v1/jobs/{job.id}")) == 1


async def test_pages_are_fetched_as_needed(client: Any, books: Books) -> None:
    """Listing asks for the next page only when the one before is used up."""
    for _ in range(7):
        await submitted(client)
    books.asked.clear()
    assert len(await first(client.jobs.list(page_size=3), 3)) == 3
    assert len(books.asked) == 1
    books.asked.clear()
    ids = [job.id for job in await listed(client.jobs.list(page_size=3, model="wan-2-1-t2v"))]
    assert ids == list(reversed(books.jobs))
    assert [asked.query.get("cursor") for asked in books.asked] == [None, "3", "6"]


async def test_events_resume_where_they_broke(client: Any, books: Books) -> None:
    """Events come once each and in order, though the stream breaks twice, once in the middle of one."""
    books.event_cuts = 2
    job = await submitted(client)
    events = await listed(job.events())
    assert [event.id for event in events] == ["1", "2", "3", "4", "5"]
    assert (events[0].progress, events[-1].status) == (0.2, "completed")
    asked = books.of(f"/v1/jobs/{job.id}/events")
    assert [request.headers.get("last-event-id") for request in asked] == [None, "2", "4"]


async def test_events_can_be_left(client: Any) -> None:
    """Leaving the stream early closes it, and a later one goes on from the given event."""
    job = await submitted(client)
    (event,) = await first(job.events(), 1)
    rest = await listed(job.events(last_event_id=event.id))
    assert [later.id for later in rest] == ["2", "3", "4", "5"]


async def test_events_after_the_last(client: Any) -> None:
    """After the last event there is nothing: the iteration ends instead of asking on and on."""
    job = await submitted(client)
    await done(job.refresh())
    assert await listed(job.events(last_event_id="5")) == []


@pytest.mark.parametrize("wait", [-1, 61])
async def test_impossible_hold(client: Any, books: Books, wait: float) -> None:
    """A hold that the server would refuse is refused before it is sent."""
    with pytest.raises(BadArgument, match="0 to 60"):
        await done(client.jobs.get("job_1", wait=wait))
    assert books.asked == []


async def test_events_of_nothing(client: Any, books: Books) -> None:
    """Events of a job that is not there are refused, not waited for."""
    job = await submitted(client)
    books.faults.append((f"/v1/jobs/{job.id}/events", "302"))
    with pytest.raises(Exception, match="302"):
        await listed(job.events())
