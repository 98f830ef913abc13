"""The outbox, its owners' view of it, endpoints and secrets, against a real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from fairstack_server.db.connections import Connection, Pool
from fairstack_server.errors import BadRequest, NotFound
from fairstack_server.ids import Mode
from fairstack_server.webhooks import deliveries, endpoints, store
from fairstack_server.webhooks.schedule import Delivered, GivenUp, Gone, Retry
from fairstack_server.webhooks.store import Attempted, Claimed

from .receivers import make_job, make_owner, put_out

LEASE = timedelta(seconds=60)
URL = "https://receiver.example/hook"


def soon() -> datetime:
    """A moment at which all that was just put out is due."""
    return datetime.now(UTC) + timedelta(minutes=1)


async def take(
    conn: Connection,
    now: datetime,
    *,
    limit: int = 100,
    per_host: int = 100,
    taken: dict[str, int] | None = None,
) -> list[Claimed]:
    """Claim with room for everything unless told otherwise."""
    return await store.claim(conn, now, limit=limit, per_host=per_host, taken=taken or {}, lease=LEASE)


def attempted(now: datetime, status: int | None = 500) -> Attempted:
    """An attempt that took 100 ms."""
    match status:
        case 200:
            return Attempted(now, "delivered", status, 100)
        case 410:
            return Attempted(now, "gone", status, 100)
        case None:
            return Attempted(now, "unreachable", None, 100)
        case _:
            return Attempted(now, "http_error", status, 100)


async def test_a_job_tells_its_own_address_or_the_default_one(conn: Connection) -> None:
    """The job's webhook_url wins, then the account's endpoint; without either nobody is told."""
    owner = await make_owner(conn)
    job_id = await make_job(conn, owner)
    assert await store.enqueue_for_job(conn, owner.id, "live", job_id, None, b"nobody") is None
    await endpoints.put_endpoint(conn, owner.id, "live", "https://default.example/")
    await store.enqueue_for_job(conn, owner.id, "live", job_id, URL, b"own")
    await store.enqueue_for_job(conn, owner.id, "live", job_id, None, b"default")
    claimed = await take(conn, soon())
    assert {(one.url, one.host, one.body) for one in claimed} == {
        (URL, "receiver.example", b"own"),
        ("https://default.example/", "default.example", b"default"),
    }


async def test_test_jobs_have_their_own_default(conn: Connection) -> None:
    """The live endpoint is not told about test jobs."""
    owner = await make_owner(conn)
    await endpoints.put_endpoint(conn, owner.id, "live", URL)
    assert await store.enqueue(conn, owner.id, "test", b"{}") is None
    assert await endpoints.get_endpoint(conn, owner.id, "test") is None


async def test_what_was_undone_is_not_told(conn: Connection) -> None:
    """A message vanishes with the transaction that it was put out in."""
    owner = await make_owner(conn)
    with pytest.raises(ZeroDivisionError):
        async with conn.transaction():
            await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
            raise ZeroDivisionError
    assert await take(conn, soon()) == []


@pytest.mark.parametrize("url", ["https://[broken/", "nonsense", "https://"])
async def test_no_address_keeps_a_job_from_ending(conn: Connection, url: str) -> None:
    """An address that cannot be read is put out all the same: sending it may fail, ending the job not."""
    owner = await make_owner(conn)
    assert await store.enqueue(conn, owner.id, "live", b"{}", url=url) is not None


async def test_a_host_is_its_name_and_port(conn: Connection) -> None:
    """Case and user names do not make another host, a port does."""
    assert store.host_of("https://user:word@Receiver.Example/x") == "receiver.example"
    assert store.host_of("https://receiver.example:8443/x") == "receiver.example:8443"


async def test_a_claimed_delivery_is_ours_until_the_lease_is_over(conn: Connection) -> None:
    """Nobody else gets it before; afterwards the same attempt is made again under the same id."""
    owner = await make_owner(conn)
    await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    now = soon()
    (first,) = await take(conn, now)
    assert await take(conn, now + LEASE - timedelta(milliseconds=1)) == []
    (second,) = await take(conn, now + LEASE)
    assert (second.attempt, second.message_id) == (first.attempt, first.message_id) == (1, first.message_id)
    assert second.lease > first.lease


async def test_only_the_newest_lease_may_record(conn: Connection) -> None:
    """A sender that slept over its lease changes nothing when it wakes."""
    owner = await make_owner(conn)
    await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    now = soon()
    (slept,) = await take(conn, now)
    (newest,) = await take(conn, now + LEASE)
    assert await store.record(conn, slept, attempted(now), Retry(5)) is False
    assert await store.record(conn, newest, attempted(now, 200), Delivered()) is True
    delivery, attempts = await deliveries.read_delivery(conn, owner.id, "live", newest.id)
    assert (delivery.state, delivery.attempts, delivery.delivered_at) == ("delivered", 1, now)
    assert [(attempt.number, attempt.status_code) for attempt in attempts] == [(1, 200)]


async def test_senders_never_claim_the_same(pool: Pool) -> None:
    """Claims at the same time share what is due: all of it, nothing twice."""
    put = await put_out(pool, *(f"https://host{number % 7}.example/" for number in range(40)))
    now = soon()

    async def one() -> list[Claimed]:
        async with pool.acquire() as conn:
            return await take(conn, now, limit=13)

    claimed = [claimed.id for some in await asyncio.gather(*(one() for _ in range(5))) for claimed in some]
    assert len(claimed) == len(set(claimed))
    while rest := await one():
        claimed += [claimed.id for claimed in rest]
    assert sorted(claimed) == sorted(put)


async def test_a_claim_never_waits_for_another(pool: Pool) -> None:
    """While one sender's claim is not committed yet, another gets the rest at once."""
    put = await put_out(pool, *[URL] * 3)
    now = soon()
    async with pool.acquire() as one, pool.acquire() as other, one.transaction():
        (first,) = await take(one, now, limit=1)
        async with asyncio.timeout(5):
            rest = await take(other, now)
    assert sorted([first.id, *(claimed.id for claimed in rest)]) == sorted(put)


async def test_the_queue_of_one_host_leaves_room_for_the_others(conn: Connection) -> None:
    """A host gets at most its share, less what is under way there, the longest due first."""
    owner = await make_owner(conn)
    for number in range(30):
        await store.enqueue(conn, owner.id, "live", str(number).encode(), url="https://dead.example/")
    await store.enqueue(conn, owner.id, "live", b"{}", url="https://healthy.example/")
    now = soon()
    first = await take(conn, now, per_host=4, taken={"dead.example": 1})
    assert sorted(claimed.host for claimed in first) == ["dead.example"] * 3 + ["healthy.example"]
    assert await take(conn, now, per_host=4, taken={"dead.example": 4}) == []
    assert len(await take(conn, now, limit=2, per_host=4)) == 2


async def test_a_410_stops_everything_for_that_address(conn: Connection) -> None:
    """What waits for the address stops and what is new is kept back, until the owner puts it again."""
    owner = await make_owner(conn)
    await endpoints.put_endpoint(conn, owner.id, "live", URL)
    for url in (URL, URL, "https://other.example/"):
        await store.enqueue(conn, owner.id, "live", b"{}", url=url)
    now = soon()
    (claimed,) = await take(conn, now, limit=1, per_host=1, taken={"other.example": 1})
    await store.record(conn, claimed, attempted(now, 410), Gone())
    await store.enqueue(conn, owner.id, "live", b"{}")
    page = await deliveries.list_deliveries(conn, owner.id, "live", limit=10)
    assert sorted((one.url, one.state) for one in page.items) == [
        ("https://other.example/", "pending"),
        *[(URL, "disabled")] * 3,
    ]
    endpoint = await endpoints.get_endpoint(conn, owner.id, "live")
    assert endpoint is not None
    assert (endpoint.disabled_at, endpoint.reason) == (now, "The receiver answered 410 Gone.")
    await endpoints.put_endpoint(conn, owner.id, "live", URL)
    delivery_id = await store.enqueue(conn, owner.id, "live", b"{}")
    assert delivery_id in {claimed.id for claimed in await take(conn, now)}


async def test_an_attempt_under_way_does_not_undo_a_410(conn: Connection) -> None:
    """An attempt that fails after its address was disabled stays disabled; one that succeeds enables it."""
    owner = await make_owner(conn)
    for _ in range(3):
        await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    now = soon()
    gone, failing, taken = await take(conn, now)
    await store.record(conn, gone, attempted(now, 410), Gone())
    await store.record(conn, failing, attempted(now, 500), Retry(5))
    delivery, _ = await deliveries.read_delivery(conn, owner.id, "live", failing.id)
    assert (delivery.state, delivery.attempts, delivery.next_at) == ("disabled", 1, None)
    await store.record(conn, taken, attempted(now, 200), Delivered())
    fresh = await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    assert [claimed.id for claimed in await take(conn, now)] == [fresh]


async def test_a_redelivery_is_the_same_message_with_a_new_round(conn: Connection) -> None:
    """After the last attempt a redelivery starts at attempt 1 with the same id and bytes; numbers go on."""
    owner = await make_owner(conn)
    await store.enqueue(conn, owner.id, "live", b'{"id":1}', url=URL)
    now = soon()
    (first,) = await take(conn, now)
    await store.record(conn, first, attempted(now), GivenUp())
    assert (await deliveries.redeliver(conn, owner.id, "live", first.id)).state == "pending"
    (again,) = await take(conn, now)
    assert (again.message_id, again.body, again.attempt) == (first.message_id, first.body, 1)
    await store.record(conn, again, attempted(now, 200), Delivered())
    _, attempts = await deliveries.read_delivery(conn, owner.id, "live", first.id)
    assert [(attempt.number, attempt.outcome) for attempt in attempts] == [
        (1, "http_error"),
        (2, "delivered"),
    ]


async def test_a_redelivery_between_attempts_keeps_its_round(conn: Connection) -> None:
    """Asking again while it waits sends it now and does not start the ten attempts anew."""
    owner = await make_owner(conn)
    delivery_id = await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    assert delivery_id is not None
    now = soon()
    (first,) = await take(conn, now)
    await store.record(conn, first, attempted(now), Retry(7200))
    assert await take(conn, now) == []
    await deliveries.redeliver(conn, owner.id, "live", delivery_id)
    (again,) = await take(conn, now)
    assert again.attempt == 2


async def test_deliveries_are_listed_by_job_and_state_page_by_page(conn: Connection) -> None:
    """The list is newest first, filtered, without gaps or repeats over its pages."""
    owner = await make_owner(conn)
    job_id = await make_job(conn, owner)
    put = [await store.enqueue(conn, owner.id, "live", b"{}", url=URL) for _ in range(4)]
    of_job = await store.enqueue_for_job(conn, owner.id, "live", job_id, URL, b"{}")
    seen: list[str] = []
    cursor = None
    while True:
        page = await deliveries.list_deliveries(conn, owner.id, "live", limit=2, cursor=cursor)
        seen += [one.id for one in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert sorted(seen) == sorted([*(one for one in put if one), of_job or ""])
    by_job = await deliveries.list_deliveries(conn, owner.id, "live", limit=9, job_id=job_id)
    assert [one.id for one in by_job.items] == [of_job]
    assert (await deliveries.list_deliveries(conn, owner.id, "live", limit=9, state="failed")).items == ()


@pytest.mark.parametrize("mode", ["live", "test"])
async def test_somebody_elses_deliveries_are_not_there(conn: Connection, mode: Mode) -> None:
    """Reading, redelivering and paging by another account's or mode's id is as if it did not exist."""
    owner, other = await make_owner(conn), await make_owner(conn)
    foreign = await store.enqueue(conn, other.id, "live", b"{}", url=URL)
    asker = owner if mode == "live" else other
    assert foreign is not None
    for ask in (
        deliveries.read_delivery(conn, asker.id, mode, foreign),
        deliveries.redeliver(conn, asker.id, mode, foreign),
    ):
        with pytest.raises(NotFound):
            await ask
    with pytest.raises(BadRequest):
        await deliveries.list_deliveries(conn, asker.id, mode, limit=1, cursor=foreign)


async def test_an_endpoint_can_be_changed_and_taken_away(conn: Connection) -> None:
    """There is one default at a time; None takes it away."""
    owner = await make_owner(conn)
    await endpoints.put_endpoint(conn, owner.id, "live", URL)
    await endpoints.put_endpoint(conn, owner.id, "live", "https://second.example/")
    assert await endpoints.get_endpoint(conn, owner.id, "live") == endpoints.Endpoint(
        "https://second.example/", None, None
    )
    assert await endpoints.put_endpoint(conn, owner.id, "live", None) is None
    assert await store.enqueue(conn, owner.id, "live", b"{}") is None


async def test_a_rotated_secret_signs_for_another_day(conn: Connection) -> None:
    """After a rotation new and old sign, after 24 h only the new one; the newest comes first."""
    owner = await make_owner(conn)
    old = await endpoints.read_secret(conn, owner.id)
    assert await endpoints.read_secret(conn, owner.id) == old
    assert old.previous_until is None
    new = await endpoints.rotate_secret(conn, owner.id)
    assert new.secret != old.secret
    assert new.previous_until is not None
    await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    now = soon()
    (during,) = await take(conn, now)
    assert during.secrets == (new.secret, old.secret)
    (after,) = await take(conn, new.previous_until)
    assert after.secrets == (new.secret,)


async def test_the_first_message_makes_the_secret_that_the_owner_reads(conn: Connection) -> None:
    """What signs is what `read_secret` shows, whoever came first."""
    owner = await make_owner(conn)
    await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    secret = (await endpoints.read_secret(conn, owner.id)).secret
    assert {claimed.secrets for claimed in await take(conn, soon())} == {(secret,)}


async def test_rotations_at_once_leave_one_current_secret(pool: Pool) -> None:
    """Several rotations at the same time all happen, one after another."""
    async with pool.acquire() as conn:
        owner = await make_owner(conn)

    async def rotate() -> str:
        async with pool.acquire() as conn, conn.transaction():
            return (await endpoints.rotate_secret(conn, owner.id)).secret

    made = await asyncio.gather(*(rotate() for _ in range(6)))
    assert len(set(made)) == 6
    async with pool.acquire() as conn:
        assert (await endpoints.read_secret(conn, owner.id)).secret in made


async def test_next_due_is_the_first_moment_to_come(conn: Connection) -> None:
    """The sender sleeps until the first delivery that is due later, and no longer."""
    owner = await make_owner(conn)
    now = soon()
    assert await store.next_due(conn, now) is None
    await store.enqueue(conn, owner.id, "live", b"{}", url=URL)
    (claimed,) = await take(conn, now)
    await store.record(conn, claimed, attempted(now), Retry(300))
    assert await store.next_due(conn, now) == now + timedelta(seconds=300, milliseconds=100)
