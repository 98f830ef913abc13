"""Statements of `jobs/store.py` on attempts and their receipts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fairstack_server.jobs import store as sql
from tests.simulation.database.statements import Meanings, find_all, only, value
from tests.simulation.database.tables import Row, Transaction

ATTEMPTS = Meanings()

Rows = Sequence[Row]


@ATTEMPTS.of(
    """
                insert into attempts (nonce, job_id, number, provider, endpoint, order_json, cost_micros,
                                      worker_id, fence, created_at)
                values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """
)
def insert_attempt(tx: Transaction, *values: Any) -> Rows:
    """The intent."""
    columns = "nonce job_id number provider endpoint order_json cost_micros worker_id fence created_at"
    row = dict(zip(columns.split(), values, strict=True))
    tx.insert("attempts", {**row, "outcome": None, "message": None, "ended_at": None})
    return []


@ATTEMPTS.of("select * from attempts where job_id = $1 order by number")
def attempts(tx: Transaction, job_id: str) -> Rows:
    """All attempts of a job."""
    return sorted(find_all(tx, "attempts", job_id=job_id), key=lambda row: int(row["number"]))


@ATTEMPTS.of("select * from attempts where nonce = $1")
def attempt(tx: Transaction, nonce: str) -> Rows:
    """The attempt of a nonce."""
    return [row for row in (tx.get("attempts", nonce),) if row is not None]


@ATTEMPTS.of("update attempts set outcome = $2, message = $3, ended_at = now() where nonce = $1")
def note_outcome(tx: Transaction, nonce: str, outcome: str, message: str | None) -> Rows:
    """What came of an attempt."""
    row = tx.get("attempts", nonce)
    if row is not None:
        tx.update("attempts", row, outcome=outcome, message=message, ended_at=tx.now)
    return []


@ATTEMPTS.of(
    """
            select a.* from attempts a join jobs j on j.id = a.job_id
            where a.outcome = 'given_up' and j.ended_at > $1
              and not exists (select 1 from late_results l where l.job_id = a.job_id)
            order by exists (select 1 from receipts r where r.nonce = a.nonce) desc, random() limit $2
            """
)
def given_up(tx: Transaction, since: Any, limit: int) -> Rows:
    """Given-up attempts without a late result; those with a receipt first."""
    found = []
    for row in find_all(tx, "attempts", outcome="given_up"):
        job = tx.get("jobs", row["job_id"])
        if job is not None and job["ended_at"] > since and tx.get("late_results", job["id"]) is None:
            found.append(row)
    with_receipt = {row["nonce"] for row in tx.all("receipts")}
    return sorted(found, key=lambda row: row["nonce"] not in with_receipt)[:limit]


# --- receipts


@ATTEMPTS.of(sql._KEEP_RECEIPT)
def insert_receipt(tx: Transaction, nonce: str, ref: Any, source: str, task: str) -> Rows:
    """Keep a receipt, when no other of its task is being written."""
    tx.lock("advisory", task)
    row = {
        "id": tx.database.serial(),
        "nonce": nonce,
        "ref": ref,
        "source": source,
        "received_at": tx.now,
    }
    tx.insert("receipts", row)
    return []


@ATTEMPTS.of("select pg_advisory_xact_lock(hashtextextended($1, 0))")
def lock_text(tx: Transaction, text: str) -> Rows:
    """An advisory lock until the transaction ends."""
    tx.lock("advisory", text)
    return value(None)


def _holders(tx: Transaction, provider: str, not_nonce: str) -> list[tuple[str, str]]:
    """(task id, nonce) of every receipt of that provider that another attempt has."""
    held = []
    for receipt in tx.all("receipts"):
        row = tx.get("attempts", receipt["nonce"])
        if row is not None and row["provider"] == provider and row["nonce"] != not_nonce:
            held.append((str(receipt["ref"].get("id")), row["nonce"]))
    return held


@ATTEMPTS.of(
    """
                select a.nonce from receipts r join attempts a using (nonce)
                where r.ref ->> 'id' = $1 and a.provider = $2 and a.nonce <> $3 limit 1
                """
)
def owner_of_task(tx: Transaction, task_id: str, provider: str, nonce: str) -> Rows:
    """Another attempt that has a receipt of the task."""
    return [{"nonce": it} for task, it in _holders(tx, provider, nonce) if task == task_id][:1]


@ATTEMPTS.of(
    """
            select r.ref ->> 'id' as task from receipts r join attempts a using (nonce)
            where r.ref ->> 'id' = any($1) and a.provider = $2 and a.nonce <> $3
            """
)
def held_by_others(tx: Transaction, task_ids: Sequence[str], provider: str, nonce: str) -> Rows:
    """Which tasks another attempt has a receipt of."""
    return [{"task": task} for task, _ in _holders(tx, provider, nonce) if task in task_ids]


def _equal_orders(tx: Transaction, nonce: str) -> list[Row]:
    mine = tx.get("attempts", nonce)
    my_job = None if mine is None else tx.get("jobs", mine["job_id"])
    if mine is None or my_job is None:
        return []
    with_receipt = {receipt["nonce"] for receipt in tx.all("receipts")}
    equal = []
    for other in tx.all("attempts"):
        job = tx.get("jobs", other["job_id"])
        if (
            job is not None
            and other["nonce"] != nonce
            and other["nonce"] not in with_receipt
            and (other["provider"], other["endpoint"]) == (mine["provider"], mine["endpoint"])
            and job["settled"] == my_job["settled"]
            and job["ask"].get("prompt") == my_job["ask"].get("prompt")
        ):
            equal.append(other)
    return equal


@ATTEMPTS.of(sql._EQUAL_ORDER_ON_ITS_WAY)
def equal_order_on_its_way(tx: Transaction, nonce: str) -> Rows:
    """Whether an equal order's answer has not come yet."""
    for other in _equal_orders(tx, nonce):
        job = tx.get("jobs", other["job_id"])
        if other["outcome"] is None and job is not None and job["terminal"] is None:
            return value(1)
    return []


@ATTEMPTS.of(sql._LOST_EQUALS)
def lost_equals(tx: Transaction, nonce: str) -> Rows:
    """How many equal orders have no known task."""
    return value(sum(row["outcome"] in ("unknown", "given_up") for row in _equal_orders(tx, nonce)))


@ATTEMPTS.of(sql._OWN_RECEIPT)
def receipt(tx: Transaction, nonce: str) -> Rows:
    """Newest ref of an attempt of whose task nobody else has an earlier receipt."""
    mine = tx.get("attempts", nonce)
    if mine is None:
        return []
    own = []
    for row in find_all(tx, "receipts", nonce=nonce):
        task = row["ref"].get("id")
        earlier = (each for each in tx.all("receipts") if each["id"] < row["id"] and each["nonce"] != nonce)
        if not any(
            each["ref"].get("id") == task and _provider_of(tx, each["nonce"]) == mine["provider"]
            for each in earlier
        ):
            own.append(row)
    return only(sorted(own, key=lambda row: -int(row["id"]))[:1], "ref")


def _provider_of(tx: Transaction, nonce: str) -> str | None:
    row = tx.get("attempts", nonce)
    return None if row is None else str(row["provider"])
