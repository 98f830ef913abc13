"""The proof of the books finds damage, and only damage."""

from __future__ import annotations

import pytest

from fairstack_server.db.connections import Connection
from fairstack_server.wallet import store
from fairstack_server.wallet.verify import verify

from .makers import end_job, make_account, place

_DISABLE = (
    "alter table ledger_transactions disable trigger user",
    "alter table ledger_entries disable trigger user",
    "alter table jobs disable trigger user",
)
_ENABLE = tuple(statement.replace("disable", "enable") for statement in _DISABLE)

#: The rule that must be found and the damage that breaks it; names in braces are ids of the books made below.
DAMAGE = {
    "I1 a transaction sums to 0": """
        delete from ledger_entries where book = 'revenue' and transaction_id = '{capture}'
    """,
    "I2 all books sum to 0": """
        update ledger_entries set amount_micros = amount_micros + 1
         where transaction_id = '{capture}' and book = 'provider_cost'
    """,
    "I3 no balance is negative": """
        alter table wallets drop constraint wallets_held_micros_check, drop constraint wallets_check;
        update wallets set held_micros = -1 where account_id = '{account}'
    """,
    "I4 held is the sum of open holds": """
        update wallets set held_micros = held_micros + 1, available_micros = available_micros - 1
         where account_id = '{account}' and mode = 'live'
    """,
    "I5 a job has exactly one hold": """
        drop index one_hold_per_job;
        insert into ledger_transactions (id, account_id, mode, kind, amount_micros, job_id, key_id)
        values ('led_x', '{account}', 'live', 'hold', 0, '{open}', '{key}')
    """,
    "I5 a settle belongs to a hold": """
        delete from ledger_entries where transaction_id = '{hold}';
        delete from ledger_transactions where id = '{hold}'
    """,
    "I5 a job is settled once, when it has ended": """
        update jobs set state = 'failed', terminal = '' where id = '{open}'
    """,
    "I6 only a completed job is charged": "update jobs set state = 'failed' where id = '{charged}'",
    "I6 a charge is at most its hold": """
        update ledger_transactions set amount_micros = 1000 where id = '{capture}'
    """,
    "I6 a refund is at most its charge": """
        insert into ledger_transactions (id, account_id, mode, kind, amount_micros, job_id)
        values ('led_x', '{account}', 'live', 'refund', 1, '{freed}')
    """,
    "I6 a settle ends its whole hold": """
        update ledger_entries set amount_micros = amount_micros + 1
         where transaction_id = '{capture}' and book = 'wallet_held'
    """,
    "I6 a hold is the quote": "update jobs set quote_micros = 29 where id = '{open}'",
    "I9 a wallet is what its entries say": """
        update wallets set available_micros = available_micros + 1
         where account_id = '{account}' and mode = 'live'
    """,
    "I9 an amount is what its entries say": """
        update ledger_transactions set amount_micros = 1 where id = '{capture}'
    """,
    "I9 spending is what was held or charged": """
        update spending set micros = micros + 1 where scope_id = '{key}'
    """,
}


async def _books_with_every_kind_of_job(conn: Connection) -> dict[str, str]:
    account = await make_account(conn, micros=1_000)
    charged, freed, still_open = account.request(100), account.request(50), account.request(30)
    await place(conn, charged, freed, still_open, account.request(0))
    await store.capture(conn, charged.job_id, 90, provider_cost_micros=70)
    await end_job(conn, charged.job_id, "completed")
    await store.refund(conn, charged.job_id, 10, "a gift")
    await store.release(conn, freed.job_id)
    await end_job(conn, freed.job_id, "failed")
    await store.record_loss(conn, freed.job_id, 40)
    await store.correct(conn, account.id, "live", 5, "granted by mistake")
    await store.ensure_test_wallet(conn, account.id)
    await conn.execute("set constraints all immediate")
    rows = await conn.fetch("select kind, id from ledger_transactions where job_id = $1", charged.job_id)
    ids = {row["kind"]: row["id"] for row in rows}
    return ids | {
        "account": account.id,
        "key": account.live_key,
        "charged": charged.job_id,
        "freed": freed.job_id,
        "open": still_open.job_id,
    }


async def test_sound_books_have_no_findings(conn: Connection) -> None:
    """Grants, corrections, holds, charges, refunds, releases and losses through the store break no rule."""
    before = set(await verify(conn))
    await _books_with_every_kind_of_job(conn)
    assert set(await verify(conn)) - before == set()


@pytest.mark.parametrize("rule", DAMAGE)
async def test_planted_damage_is_found(conn: Connection, rule: str) -> None:
    """Each kind of damage, planted with the triggers off, is found under its own rule."""
    names = await _books_with_every_kind_of_job(conn)
    before = set(await verify(conn))
    for statement in (*_DISABLE, *DAMAGE[rule].format(**names).split(";"), *_ENABLE):
        await conn.execute(statement)
    assert rule in {finding.rule for finding in set(await verify(conn)) - before}


@pytest.mark.parametrize(
    "trigger",
    [
        "entries_move_wallets on ledger_entries",
        "transactions_never_change on ledger_transactions",
        "transactions_never_truncated on ledger_transactions",
        "entries_never_change on ledger_entries",
        "entries_never_truncated on ledger_entries",
    ],
)
async def test_a_missing_guard_is_found(conn: Connection, trigger: str) -> None:
    """A trigger of the ledger that was dropped is found by its name."""
    await conn.execute(f"drop trigger {trigger}")
    missing = {finding.subject for finding in await verify(conn) if finding.rule.startswith("I10")}
    assert missing == {trigger.split(maxsplit=1)[0]}
