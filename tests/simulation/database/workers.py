"""Statements of `jobs/worker.py` and `jobs/reports.py`: signs of life, and how providers are seen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec

from fairstack_server.jobs import reports as sql
from tests.simulation.database.statements import Meanings, only, value
from tests.simulation.database.tables import Row, Transaction

WORKERS = Meanings()

Rows = Sequence[Row]


@WORKERS.of("insert into workers (name) values ($1) returning id")
def insert_worker(tx: Transaction, name: str) -> Rows:
    """A new worker."""
    number = tx.database.serial()
    row = {"id": number, "name": name, "started_at": tx.now, "seen_at": tx.now, "ended_at": None}
    tx.insert("workers", row)
    return value(number, "id")


@WORKERS.of("update workers set seen_at = now() where id = $1")
def beat(tx: Transaction, worker_id: int) -> Rows:
    """A worker lives."""
    row = tx.get("workers", worker_id)
    if row is not None:
        tx.update("workers", row, seen_at=tx.now)
    return []


@WORKERS.of("update workers set ended_at = now() where id = $1")
def sign_off(tx: Transaction, worker_id: int) -> Rows:
    """A worker ended."""
    row = tx.get("workers", worker_id)
    if row is not None:
        tx.update("workers", row, ended_at=tx.now)
    return []


def _seen_lately(tx: Transaction, silence: timedelta) -> set[int]:
    return {
        row["id"]
        for row in tx.all("workers")
        if row["ended_at"] is None and row["seen_at"] > tx.now - silence
    }


@WORKERS.of(f"delete from provider_reports where worker_id not in ({sql._LIVE_WORKERS})")
def forget_reports(tx: Transaction, silence: timedelta) -> Rows:
    """Reports of workers that ended."""
    live = _seen_lately(tx, silence)
    for row in list(tx.all("provider_reports")):
        if row["worker_id"] not in live:
            tx.delete("provider_reports", row)
    return []


@WORKERS.of(
    """
            insert into provider_reports (worker_id, provider, report)
            select $1, name, report from unnest($2::text[], $3::jsonb[]) as told (name, report)
            on conflict (worker_id, provider) do update set report = excluded.report, updated_at = now()
            """
)
def write_reports(tx: Transaction, worker_id: int, names: Sequence[str], reports: Sequence[Any]) -> Rows:
    """How a worker sees its providers."""
    for name, report in zip(names, reports, strict=True):
        kept = msgspec.json.decode(msgspec.json.encode(report))
        before = tx.get("provider_reports", worker_id, name)
        row = {"worker_id": worker_id, "provider": name, "report": kept, "updated_at": tx.now}
        if before is None:
            tx.insert("provider_reports", row)
        else:
            tx.update("provider_reports", before, **row)
    return []


@WORKERS.of(f"select provider, report from provider_reports where worker_id in ({sql._LIVE_WORKERS})")
def read_reports(tx: Transaction, silence: timedelta) -> Rows:
    """The reports of all live workers."""
    live = _seen_lately(tx, silence)
    rows = [row for row in tx.all("provider_reports") if row["worker_id"] in live]
    return only(rows, "provider", "report")
