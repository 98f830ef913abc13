"""Statements of `jobs/placement.py`: idempotency rows and new jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.simulation.database.jobs import add_event
from tests.simulation.database.statements import Meanings, only
from tests.simulation.database.tables import Conflict, Row, Transaction

PLACEMENT = Meanings()

Rows = Sequence[Row]


@PLACEMENT.of("select id from jobs where id = any($1)")
def jobs_there(tx: Transaction, job_ids: Sequence[str]) -> Rows:
    """Which of these jobs exist."""
    return only([row for row in (tx.get("jobs", it) for it in job_ids) if row is not None], "id")


@PLACEMENT.of(
    "select fingerprint, body from idempotency_keys where (account_id, mode, key) = ($1, $2, $3)",
)
def replay(tx: Transaction, account_id: str, mode: str, key: str) -> Rows:
    """What was answered under a key."""
    row = tx.get("idempotency_keys", account_id, mode, key)
    return [] if row is None else only([row], "fingerprint", "body")


@PLACEMENT.of(
    """
        insert into idempotency_keys (account_id, mode, key, fingerprint, job_id, body)
        select * from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bytea[])
        on conflict do nothing
        """
)
def claim_keys(tx: Transaction, *columns: Sequence[Any]) -> Rows:
    """Write the idempotency rows that are not taken."""
    names = ["account_id", "mode", "key", "fingerprint", "job_id", "body"]
    for values in zip(*columns, strict=True):
        row = dict(zip(names, values, strict=True)) | {"created_at": tx.now}
        try:
            tx.insert("idempotency_keys", row)
        except Conflict:
            continue
    return []


@PLACEMENT.of(
    """
        select account_id, mode, key, fingerprint, job_id, body from idempotency_keys
        where (account_id, mode, key) in (select * from unnest($1::text[], $2::text[], $3::text[]))
        """
)
def read_keys(tx: Transaction, *columns: Sequence[str]) -> Rows:
    """The idempotency rows of these keys."""
    rows = (tx.get("idempotency_keys", *key) for key in zip(*columns, strict=True))
    names = ("account_id", "mode", "key", "fingerprint", "job_id", "body")
    return only([row for row in rows if row is not None], *names)


@PLACEMENT.of(
    """
            delete from idempotency_keys k
            using unnest($1::text[], $2::text[], $3::text[], $4::text[])
                as gone (account_id, mode, key, job_id)
            where (k.account_id, k.mode, k.key, k.job_id)
                = (gone.account_id, gone.mode, gone.key, gone.job_id)
            """
)
def free_keys(tx: Transaction, *columns: Sequence[Any]) -> Rows:
    """A refusal uses up no key."""
    for *key, job_id in zip(*columns, strict=True):
        row = None if None in key else tx.get("idempotency_keys", *key)
        if row is not None and row["job_id"] == job_id:
            tx.delete("idempotency_keys", row)
    return []


@PLACEMENT.of(
    """
        insert into jobs (id, account_id, key_id, mode, state, model, ask, settled, inputs, quote_micros,
                          tags, webhook_url, cancel_after_at, deadline_at, created_at)
        values ($1, $2, $3, $4, 'queued', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """
)
def insert_job(tx: Transaction, *values: Any) -> Rows:
    """A new job."""
    columns = (
        "id account_id key_id mode model ask settled inputs quote_micros tags webhook_url "
        "cancel_after_at deadline_at created_at"
    )
    empty = dict.fromkeys(("worker_id", "clip", "cancel_requested_at", "terminal", "started_at", "ended_at"))
    row = dict(zip(columns.split(), values, strict=True))
    tx.insert("jobs", {**row, **empty, "state": "queued", "fence": 0})
    return []


@PLACEMENT.of("insert into job_events (job_id, status) select id, $2 from unnest($1::text[]) id")
def add_events(tx: Transaction, job_ids: Sequence[str], status: str) -> Rows:
    """The first event of new jobs."""
    for job_id in job_ids:
        add_event(tx, job_id, status)
    return []
