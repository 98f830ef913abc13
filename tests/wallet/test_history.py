"""The ledger's pages and the usage of a period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fairstack_server.db.connections import Connection
from fairstack_server.errors import BadRequest
from fairstack_server.wallet import history, store
from fairstack_server.wallet.history import UsageGroup

from .makers import Account, make_account, place, store_job


async def test_the_ledger_is_read_newest_first_page_by_page(conn: Connection) -> None:
    """Pages follow each other without a gap or a repeat, newest first, and end."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    await store.capture(conn, hold.job_id, 50)
    first = await history.entries(conn, account.id, "live", limit=2)
    second = await history.entries(conn, account.id, "live", limit=2, cursor=first.next_cursor)
    assert [(item.kind, item.amount_micros) for item in first.items] == [("capture", 50), ("hold", 60)]
    assert [(item.kind, item.memo) for item in second.items] == [("grant", "to start with")]
    assert second.next_cursor is None
    changes = [
        (item.available_change_micros, item.held_change_micros) for item in (*first.items, *second.items)
    ]
    assert changes == [(10, -60), (-60, 60), (100, 0)]


async def test_an_operators_loss_is_not_in_the_users_ledger(conn: Connection) -> None:
    """What a provider billed for a late clip is not shown to the account."""
    account = await make_account(conn, micros=100)
    hold = account.request(60)
    await place(conn, hold)
    await store.release(conn, hold.job_id)
    await store.record_loss(conn, hold.job_id, 33)
    page = await history.entries(conn, account.id, "live", limit=10)
    assert [item.kind for item in page.items] == ["release", "hold", "grant"]


async def test_a_cursor_of_another_wallet_is_refused(conn: Connection) -> None:
    """A cursor says nothing about somebody else's ledger."""
    account, other = await make_account(conn, micros=1), await make_account(conn, micros=1)
    foreign = (await history.entries(conn, other.id, "live", limit=1)).items[0].id
    with pytest.raises(BadRequest) as refused:
        await history.entries(conn, account.id, "live", limit=1, cursor=foreign)
    assert refused.value.param == "cursor"


async def _charge(conn: Connection, account: Account, micros: int, model: str, tags: dict[str, str]) -> None:
    hold = account.request(micros)
    await store.hold_many(conn, [hold])
    await store_job(conn, hold, model=model, tags=tags)
    await store.capture(conn, hold.job_id, micros)


async def test_usage_adds_up_what_was_charged(conn: Connection) -> None:
    """Usage by day, model, key and tag counts captured jobs, and nothing that is held or was released."""
    account = await make_account(conn, micros=1_000)
    await _charge(conn, account, 10, "veo-3", {"team": "red", "shot": "1"})
    await _charge(conn, account, 20, "veo-3", {"team": "blue"})
    await _charge(conn, account, 5, "wan-2-1-t2v", {})
    released = account.request(100)
    await place(conn, released, account.request(100))
    await store.release(conn, released.job_id)
    today = await conn.fetchval("select to_char(now() at time zone 'UTC', 'YYYY-MM-DD')")
    expected = {
        "day": [UsageGroup(today, 3, 35)],
        "model": [UsageGroup("veo-3", 2, 30), UsageGroup("wan-2-1-t2v", 1, 5)],
        "key": [UsageGroup(account.live_key, 3, 35)],
        "tag": [
            UsageGroup("team=blue", 1, 20),
            UsageGroup("shot=1", 1, 10),
            UsageGroup("team=red", 1, 10),
            UsageGroup("", 1, 5),
        ],
    }
    now = datetime.now(UTC)
    since, until = now - timedelta(days=1), now + timedelta(days=1)
    for group_by in history.GROUPS:
        groups = await history.usage(conn, account.id, "live", group_by=group_by, since=since, until=until)
        assert groups == expected[group_by]


async def test_usage_leaves_out_other_periods_and_modes(conn: Connection) -> None:
    """The period's end is excluded, and test money is no live usage."""
    account = await make_account(conn, micros=1_000)
    await _charge(conn, account, 10, "veo-3", {})
    moment = await conn.fetchval("select now()")
    day = timedelta(days=1)
    before = await history.usage(conn, account.id, "live", group_by="day", since=moment - day, until=moment)
    after = await history.usage(conn, account.id, "live", group_by="key", since=moment, until=moment + day)
    test = await history.usage(conn, account.id, "test", group_by="key", since=moment, until=moment + day)
    assert (before, len(after), test) == ([], 1, [])
