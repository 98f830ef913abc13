"""Hosts that do not answer are left alone, and what is due for them is not spent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairstack_server.db.connections import Pool
from fairstack_server.egress import TransferFailed
from fairstack_server.webhooks import endpoints
from fairstack_server.webhooks.circuit import FAILURES_TO_OPEN, Circuits
from fairstack_server.webhooks.deliver import Deliverer
from fairstack_server.webhooks.store import DEAD_AFTER
from tests.webhooks.receivers import Receiver, TurnedClock, make_owner, put_out

NOON = datetime(2026, 9, 1, 12, 0, 0, tzinfo=UTC)


def _broken(times: int, status: int | None = None) -> Circuits:
    circuits = Circuits()
    for _ in range(times):
        circuits.told("a.example", status, NOON)
    return circuits


def test_five_failures_in_a_row_open_the_circuit() -> None:
    """Four leave the room as it is; with the fifth nothing is sent for 30 s, then one tries."""
    assert _broken(FAILURES_TO_OPEN - 1).room("a.example", NOON, 4) == 4
    opened = _broken(FAILURES_TO_OPEN)
    assert opened.room("a.example", NOON + timedelta(seconds=29), 4) == 0
    assert opened.room("a.example", NOON + timedelta(seconds=30), 4) == 1
    assert opened.room("other.example", NOON, 4) == 4
    assert opened.next_end(NOON) == NOON + timedelta(seconds=30)


@pytest.mark.parametrize("status", [200, 404, 410, 429, 500, 302])
def test_any_answer_of_its_own_closes_the_circuit(status: int) -> None:
    """What the receiver itself says, a refusal too, shows that the host is there."""
    circuits = _broken(FAILURES_TO_OPEN)
    assert circuits.told("a.example", status, NOON + timedelta(seconds=31)) is None
    assert circuits.room("a.example", NOON + timedelta(seconds=31), 4) == 4


@pytest.mark.parametrize("status", [None, 502, 503, 504])
def test_pauses_double_up_to_five_minutes(status: int | None) -> None:
    """Each try that fails doubles the pause."""
    circuits, now, pauses = _broken(FAILURES_TO_OPEN, status), NOON, [30.0]
    for _ in range(5):
        now += timedelta(seconds=pauses[-1])
        pause = circuits.told("a.example", status, now)
        assert pause is not None
        pauses.append(pause)
    assert pauses == [30, 60, 120, 240, 300, 300]


def test_what_was_under_way_does_not_lengthen_the_pause() -> None:
    """Four attempts were out when the fifth failure opened the circuit: they say nothing new."""
    circuits = _broken(FAILURES_TO_OPEN + 3)
    assert circuits.room("a.example", NOON + timedelta(seconds=30), 4) == 1
    assert circuits.taken({"a.example": 1}, NOON + timedelta(seconds=30), 4) == {"a.example": 4}


async def test_a_pause_spends_no_attempt(pool: Pool) -> None:
    """A host is down with 40 messages due: a few are tried, the others keep all their attempts."""
    await put_out(pool, *["https://down.example/"] * 40)
    receiver, clock = Receiver(down=[TransferFailed("connect", "no connection")]), TurnedClock()
    deliverer = Deliverer(pool, receiver, clock, dice=lambda: 0.0)
    assert await deliverer.deliver_due() <= FAILURES_TO_OPEN + 3
    tried = len(receiver.posted)
    for _ in range(10):
        clock.turn(clock.now() + timedelta(seconds=2))
        await deliverer.deliver_due()
    assert len(receiver.posted) == tried
    clock.turn(clock.now() + timedelta(seconds=30))
    assert await deliverer.deliver_due() == 1
    untouched = await pool.fetchval("select count(*) from webhook_deliveries where attempts = 0")
    assert untouched == 40 - tried - 1


async def test_a_host_that_is_back_gets_everything(pool: Pool) -> None:
    """The first try that is answered closes the circuit, and all that is due follows at once."""
    await put_out(pool, *["https://back.example/"] * 30)
    answers: list[Any] = [TransferFailed("connect", "no connection")]
    receiver, clock = Receiver(back=answers), TurnedClock()
    deliverer = Deliverer(pool, receiver, clock, dice=lambda: 0.0)
    await deliverer.deliver_due()
    answers[0] = 200
    clock.turn(clock.now() + timedelta(minutes=10))
    await deliverer.deliver_due()
    assert await pool.fetchval("select count(*) from webhook_deliveries where state = 'delivered'") == 30


async def test_a_running_sender_wakes_at_the_end_of_a_pause(pool: Pool) -> None:
    """A delivery that is due while its host is paused is sent when the pause ends, not at the next poll."""
    clock = TurnedClock()
    receiver = Receiver(down=[TransferFailed("connect", "no connection")])
    deliverer = Deliverer(pool, receiver, clock, dice=lambda: 0.0)
    await put_out(pool, *["https://down.example/"] * 20)
    await deliverer.deliver_due()
    paused_at = clock.now()
    clock.turn(paused_at + timedelta(seconds=10))
    assert await deliverer._next_pass() <= 20


async def test_an_address_where_nothing_arrives_for_five_days_is_disabled(pool: Pool) -> None:
    """Its owner sees since when and why, what waits is kept, and enabling it again is one call."""
    async with pool.acquire() as conn:
        owner = await make_owner(conn)
        await endpoints.put_endpoint(conn, owner.id, "live", "https://dead.example/hook")
    receiver, clock = Receiver(dead=[TransferFailed("connect", "no connection")]), TurnedClock()
    deliverer = Deliverer(pool, receiver, clock, dice=lambda: 0.0)
    began = clock.now()
    while clock.now() - began < DEAD_AFTER + timedelta(hours=12):
        await put_out(pool, "https://dead.example/hook", owner=owner)
        await deliverer.deliver_due()
        clock.turn(clock.now() + timedelta(hours=6))
    async with pool.acquire() as conn:
        endpoint = await endpoints.get_endpoint(conn, owner.id, "live")
        assert endpoint is not None and endpoint.disabled_at is not None
        assert DEAD_AFTER <= endpoint.disabled_at - began < DEAD_AFTER + timedelta(hours=13)
        assert endpoint.reason is not None and "5 days" in endpoint.reason
        asked = len(receiver.posted)
        assert await conn.fetchval("select count(*) from webhook_deliveries where state = 'pending'") == 0
        enabled = await endpoints.put_endpoint(conn, owner.id, "live", "https://dead.example/hook")
        assert enabled is not None and enabled.disabled_at is None
    await deliverer.deliver_due()
    assert len(receiver.posted) == asked


async def test_an_address_that_takes_one_message_a_day_is_never_disabled(pool: Pool) -> None:
    """Failures only count since the last message that arrived."""
    async with pool.acquire() as conn:
        owner = await make_owner(conn)
    clock = TurnedClock()
    began = clock.now()
    answers: list[Any] = [500]
    receiver = Receiver(moody=answers)
    deliverer = Deliverer(pool, receiver, clock, dice=lambda: 0.0)
    while clock.now() - began < 2 * DEAD_AFTER:
        for status in (200, 500, 500, 500):
            answers[0] = status
            await put_out(pool, "https://moody.example/", owner=owner)
            await deliverer.deliver_due()
            clock.turn(clock.now() + timedelta(hours=6))
    assert await pool.fetchval("select count(*) from webhook_endpoints where disabled_at is not null") == 0
