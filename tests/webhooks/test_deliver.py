"""The sender, end to end: what receivers get, and what is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from fairstack_server.clock import SystemClock
from fairstack_server.db.connections import Pool
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.pool import open_connection, open_pool
from fairstack_server.egress import AddressRefused, Egress, PostAnswer, TransferFailed
from fairstack_server.webhooks import deliveries, endpoints
from fairstack_server.webhooks.deliver import MAX_SENDING_PER_HOST, POLL_SECONDS, Deliverer
from fairstack_server.webhooks.deliveries import Attempt, Delivery
from fairstack_server.webhooks.schedule import DELAYS_SECONDS, MAX_ATTEMPTS

from .receivers import Owner, Receiver, TurnedClock, make_owner, put_out

SECONDS = 10  # more than enough for anything here; a test that waits that long has failed


def sender(pool: Pool, receiver: Receiver, clock: TurnedClock) -> Deliverer:
    """A sender without jitter."""
    return Deliverer(pool, receiver, clock, dice=lambda: 0.0)


async def seen(pool: Pool, delivery_id: str) -> tuple[Delivery, tuple[Attempt, ...]]:
    """A delivery and its attempts, as its owner sees them."""
    async with pool.acquire() as conn:
        account_id = await conn.fetchval(
            "select account_id from webhook_deliveries where id = $1", delivery_id
        )
        return await deliveries.read_delivery(conn, account_id, "live", delivery_id)


async def owner_with_secret(pool: Pool) -> tuple[Owner, str]:
    """An account and the secret that signs for it."""
    async with pool.acquire() as conn:
        owner = await make_owner(conn)
        return owner, (await endpoints.read_secret(conn, owner.id)).secret


async def test_a_receiver_gets_the_exact_bytes_signed(pool: Pool) -> None:
    """The body is untouched, the headers are those of Standard Webhooks, and the official library agrees."""
    owner, secret = await owner_with_secret(pool)
    body = '{"id":"job_x",  "title":"Ünïcode"}'.encode()
    (delivery_id,) = await put_out(pool, "https://taker.example/hook", owner=owner, body=body)
    receiver, clock = Receiver(), TurnedClock(datetime.now(UTC) + timedelta(seconds=30))
    assert await sender(pool, receiver, clock).deliver_due() == 1
    (posted,) = receiver.posted
    assert posted.body == body
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.headers["webhook-timestamp"] == str(int(clock.now().timestamp()))
    assert Webhook(secret).verify(posted.body, dict(posted.headers))["id"] == "job_x"
    delivery, (attempt,) = await seen(pool, delivery_id)
    assert (delivery.state, delivery.delivered_at, delivery.next_at) == ("delivered", clock.now(), None)
    assert (attempt.number, attempt.outcome, attempt.status_code) == (1, "delivered", 200)
    assert posted.headers["webhook-id"] == delivery.message_id
    assert "." not in delivery.message_id


async def test_a_dead_receiver_is_asked_ten_times_and_no_more(pool: Pool) -> None:
    """Over 75 hours the same message is sent by the schedule, each attempt signed anew, and then given up."""
    (delivery_id,) = await put_out(pool, "https://dead.example/")
    receiver, clock = Receiver(dead=[503]), TurnedClock()
    deliverer = sender(pool, receiver, clock)
    started, sent_after = clock.now(), []
    for _ in range(MAX_ATTEMPTS + 2):
        if await deliverer.deliver_due():
            sent_after.append((clock.now() - started).total_seconds())
        delivery, attempts = await seen(pool, delivery_id)
        if delivery.next_at is not None:
            clock.turn(delivery.next_at - timedelta(milliseconds=1))
            assert await deliverer.deliver_due() == 0
            clock.turn(delivery.next_at)
    assert sent_after == [sum(DELAYS_SECONDS[: number + 1]) for number in range(MAX_ATTEMPTS)]
    assert (delivery.state, delivery.attempts, len(attempts)) == ("failed", 10, 10)
    assert len({posted.headers["webhook-id"] for posted in receiver.posted}) == 1
    assert len({posted.headers["webhook-signature"] for posted in receiver.posted}) == 10
    assert len({posted.body for posted in receiver.posted}) == 1


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        (500, "http_error", 500),
        (302, "redirected", 302),
        (AddressRefused("loopback"), "address_refused", None),
        (TransferFailed("timeout", "no answer in time"), "timeout", None),
        (TransferFailed("too_slow", "a byte a second"), "timeout", None),
        (TransferFailed("dns", "name does not resolve"), "unreachable", None),
        (TimeoutError(), "timeout", None),
    ],
)
async def test_every_failure_is_recorded_and_sent_again(
    pool: Pool, answer: int | Exception, outcome: str, status: int | None
) -> None:
    """Errors, redirects, refused addresses and broken connections are one attempt; a later one may win."""
    (delivery_id,) = await put_out(pool, "https://shaky.example/")
    receiver, clock = Receiver(shaky=[answer, 200]), TurnedClock()
    deliverer = sender(pool, receiver, clock)
    await deliverer.deliver_due()
    delivery, (attempt,) = await seen(pool, delivery_id)
    assert (attempt.outcome, attempt.status_code, delivery.state) == (outcome, status, "pending")
    assert delivery.next_at == clock.now() + timedelta(seconds=5)
    clock.turn(delivery.next_at)
    await deliverer.deliver_due()
    assert (await seen(pool, delivery_id))[0].state == "delivered"


async def test_retry_after_puts_the_next_attempt_off(pool: Pool) -> None:
    """A receiver that asks for an hour is left alone for an hour."""
    (delivery_id,) = await put_out(pool, "https://busy.example/")
    receiver, clock = Receiver(busy=[PostAnswer(429, {"retry-after": "3600"}, b"")]), TurnedClock()
    await sender(pool, receiver, clock).deliver_due()
    assert (await seen(pool, delivery_id))[0].next_at == clock.now() + timedelta(hours=1)


async def test_a_410_ends_it(pool: Pool) -> None:
    """After 410 nothing more is sent there, until a redelivery by hand is taken and opens it again."""
    (delivery_id,) = await put_out(pool, "https://gone.example/")
    receiver, clock = Receiver(gone=[410, 200]), TurnedClock()
    deliverer = sender(pool, receiver, clock)
    await deliverer.deliver_due()
    clock.turn(clock.now() + timedelta(days=9))
    assert await deliverer.deliver_due() == 0
    delivery, _ = await seen(pool, delivery_id)
    assert delivery.state == "disabled"
    async with pool.acquire() as conn:
        account_id = await conn.fetchval("select account_id from webhook_deliveries")
        await deliveries.redeliver(conn, account_id, "live", delivery_id)
    assert await deliverer.deliver_due() == 1
    assert (await seen(pool, delivery_id))[0].state == "delivered"
    assert {posted.headers["webhook-id"] for posted in receiver.posted} == {delivery.message_id}


async def test_a_killed_sender_loses_nothing(pool: Pool) -> None:
    """The attempt of a sender that died in the middle is made again by another, same number, same id."""
    (delivery_id,) = await put_out(pool, "https://slow.example/")
    receiver, clock = Receiver(), TurnedClock()
    receiver.hold("slow.example")
    first = asyncio.create_task(sender(pool, receiver, clock).run())
    await asyncio.wait_for(receiver.arrived.wait(), SECONDS)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    assert (await seen(pool, delivery_id))[0].attempts == 0
    second = sender(pool, receiver, clock)
    assert await second.deliver_due() == 0
    receiver.gates["slow.example"].set()
    clock.turn(clock.now() + timedelta(minutes=2))
    assert await second.deliver_due() == 1
    delivery, (attempt,) = await seen(pool, delivery_id)
    assert (delivery.state, attempt.number) == ("delivered", 1)
    assert [posted.headers["webhook-id"] for posted in receiver.posted] == [delivery.message_id] * 2


async def test_a_database_that_goes_away_costs_no_message(pool: Pool, database: Dsn) -> None:
    """An outcome that could not be recorded is sent again after the lease, and the sender lives on."""
    (delivery_id,) = await put_out(pool, "https://slow.example/")
    receiver, clock = Receiver(), TurnedClock()
    gate = receiver.hold("slow.example")
    own_pool = await open_pool(database, 2)
    running = asyncio.create_task(sender(own_pool, receiver, clock).run())
    await asyncio.wait_for(receiver.arrived.wait(), SECONDS)
    own_pool.terminate()
    gate.set()
    async with asyncio.timeout(SECONDS):
        while not any(until - clock.now() == timedelta(seconds=1) for until, _ in clock.sleepers):
            clock.slept.clear()
            await clock.slept.wait()
    assert not running.done()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert (await seen(pool, delivery_id))[0].attempts == 0
    clock.turn(clock.now() + timedelta(minutes=2))
    await sender(pool, receiver, clock).deliver_due()
    delivery, (attempt,) = await seen(pool, delivery_id)
    assert (delivery.state, attempt.number, len(receiver.posted)) == ("delivered", 1, 2)


async def test_a_slow_host_gets_four_at_a_time_and_delays_nobody(pool: Pool) -> None:
    """While one host hangs with its four requests, the others are served; then its queue goes on."""
    slow = await put_out(pool, *["https://slow.example/"] * 11)
    quick = await put_out(pool, *(f"https://quick{number}.example/" for number in range(9)))
    receiver, clock = Receiver(), TurnedClock()
    gate = receiver.hold("slow.example")
    everything = asyncio.create_task(sender(pool, receiver, clock).deliver_due())
    async with asyncio.timeout(SECONDS):
        while {(await seen(pool, one))[0].state for one in quick} != {"delivered"}:
            await asyncio.sleep(0)
    assert [(await seen(pool, one))[0].state for one in slow] == ["pending"] * 11
    gate.set()
    assert await everything == 20
    assert {(await seen(pool, one))[0].state for one in slow} == {"delivered"}
    assert receiver.most_at_once["slow.example"] == MAX_SENDING_PER_HOST


async def test_several_senders_send_each_message_once(pool: Pool) -> None:
    """Three senders on one database share the work and repeat none of it."""
    await put_out(pool, *(f"https://host{number % 5}.example/{number}" for number in range(30)))
    receiver, clock = Receiver(), TurnedClock()
    made = await asyncio.gather(*(sender(pool, receiver, clock).deliver_due() for _ in range(3)))
    assert sum(made) == 30
    assert len({posted.url for posted in receiver.posted}) == len(receiver.posted) == 30


async def test_a_running_sender_is_woken_by_a_new_message(pool: Pool, database: Dsn) -> None:
    """A message that is put out while the sender sleeps goes at once, long before the next look."""
    receiver = Receiver()
    deliverer = Deliverer(pool, receiver, SystemClock(), connect=lambda: open_connection(database))
    running = asyncio.create_task(deliverer.run())
    async with pool.acquire() as conn:
        while not await conn.fetchval("select 1 from pg_stat_activity where query ilike 'listen%'"):
            await asyncio.sleep(0.01)
    started = asyncio.get_running_loop().time()
    (delivery_id,) = await put_out(pool, "https://taker.example/")
    await asyncio.wait_for(receiver.arrived.wait(), SECONDS)
    assert asyncio.get_running_loop().time() - started < POLL_SECONDS / 3
    await deliverer.stop()
    await asyncio.wait_for(running, SECONDS)
    assert (await seen(pool, delivery_id))[0].state == "delivered"


async def test_a_running_sender_sleeps_until_the_next_attempt(pool: Pool) -> None:
    """After a failure it wakes by itself when the next attempt is due."""
    (delivery_id,) = await put_out(pool, "https://shaky.example/")
    receiver, clock = Receiver(shaky=[500, 200]), TurnedClock()
    deliverer = sender(pool, receiver, clock)
    running = asyncio.create_task(deliverer.run())
    due = clock.now() + timedelta(seconds=5)
    async with asyncio.timeout(SECONDS):
        while due not in [until for until, _ in clock.sleepers]:
            clock.slept.clear()
            await clock.slept.wait()
        assert len(receiver.posted) == 1
        clock.turn(due)
        while (await seen(pool, delivery_id))[0].state != "delivered":
            await asyncio.sleep(0)
    await deliverer.stop()
    await asyncio.wait_for(running, SECONDS)


async def test_stop_waits_for_the_attempt_under_way(pool: Pool) -> None:
    """A stopped sender records what it has begun, so nobody has to send it again."""
    (delivery_id,) = await put_out(pool, "https://slow.example/")
    receiver, clock = Receiver(), TurnedClock()
    gate = receiver.hold("slow.example")
    deliverer = sender(pool, receiver, clock)
    running = asyncio.create_task(deliverer.run())
    await asyncio.wait_for(receiver.arrived.wait(), SECONDS)
    stopping = asyncio.create_task(deliverer.stop())
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.set()
    await asyncio.wait_for(asyncio.gather(stopping, running), SECONDS)
    assert (await seen(pool, delivery_id))[0].state == "delivered"


class LoopbackReceiver:
    """A real HTTP server on loopback that keeps what it was sent."""

    def __init__(self) -> None:
        self.got: list[tuple[bytes, dict[str, str]]] = []
        self.followed = 0
        self.port = 0

    async def hook(self, request: web.Request) -> web.Response:
        self.got.append(
            (await request.read(), {name.lower(): value for name, value in request.headers.items()})
        )
        return web.Response(text="thank you")

    async def moved(self, request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"http://127.0.0.1:{self.port}/followed"})

    async def follow(self, request: web.Request) -> web.Response:
        self.followed += 1
        return web.Response()


@pytest.fixture
async def loopback() -> AsyncIterator[LoopbackReceiver]:
    """A receiver on a free port of loopback."""
    receiver = LoopbackReceiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.hook)
    app.router.add_post("/moved", receiver.moved)
    app.router.add_route("*", "/followed", receiver.follow)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()


async def test_over_a_real_socket_through_the_guard(pool: Pool, loopback: LoopbackReceiver) -> None:
    """An allowed development receiver gets a message that verifies; redirects and other ports get nothing."""
    here = f"http://127.0.0.1:{loopback.port}"
    owner, secret = await owner_with_secret(pool)
    urls = (f"{here}/hook", f"{here}/moved", "http://127.0.0.1:1/hook")
    put = await put_out(pool, *urls, owner=owner, body=b'{"id":"job_x"}')
    egress = Egress(webhook_allow=[f"127.0.0.1:{loopback.port}"])
    deliverer = Deliverer(pool, egress.post, TurnedClock(), timeout_seconds=5)
    assert await deliverer.deliver_due() == 3
    await egress.aclose()
    outcomes = [(await seen(pool, delivery_id))[1][0].outcome for delivery_id in put]
    assert outcomes == ["delivered", "redirected", "address_refused"]
    assert loopback.followed == 0
    ((body, headers),) = loopback.got
    assert body == b'{"id":"job_x"}'
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("FairStack-Webhooks/")
    assert Webhook(secret).verify(body, headers) == {"id": "job_x"}
