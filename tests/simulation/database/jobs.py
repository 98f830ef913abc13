"""Statements of `jobs/store.py` and `jobs/settle.py` on the jobs themselves: claims, moves, cancels, ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from fairstack_server.jobs import reading
from fairstack_server.jobs import store as sql
from fairstack_server.jobs.queue import HAS_LIVE_ROW
from tests.simulation.database.attempts import attempts
from tests.simulation.database.statements import Meanings, find_all, only, value
from tests.simulation.database.tables import Conflict, Row, Transaction

JOBS = Meanings()

Rows = Sequence[Row]


def live_workers(tx: Transaction, lock_class: int, silence: timedelta) -> set[int]:
    """Workers that hold their lock, were seen lately and did not sign off."""
    held = {number for group, number in tx.database.signs_of_life if group == lock_class}
    return {
        worker["id"]
        for worker in tx.all("workers")
        if worker["ended_at"] is None and worker["seen_at"] > tx.now - silence and worker["id"] in held
    }


def _ours(tx: Transaction, job_id: str, worker_id: int, fence: int) -> Row | None:
    job = tx.get("jobs", job_id)
    if job is None or job["terminal"] is not None:
        return None
    tx.lock("jobs", job_id)
    if "fence" in tx.database.without:
        return job
    return job if (job["worker_id"], job["fence"]) == (worker_id, fence) else None


# --- claiming


@JOBS.of(sql._CLAIM)
def claim(tx: Transaction, lock_class: int, silence: timedelta, worker_id: int, job_id: str) -> Rows:
    """Take an unfinished job that no live worker holds."""
    job = tx.get("jobs", job_id)
    if job is None or job["terminal"] is not None:
        return []
    tx.lock("jobs", job_id)
    held_by = job["worker_id"]
    if held_by not in (None, worker_id) and held_by in live_workers(tx, lock_class, silence):
        return []
    started = job["started_at"] or tx.now
    return [tx.update("jobs", job, worker_id=worker_id, fence=job["fence"] + 1, started_at=started)]


@JOBS.of(
    "update jobs set worker_id = null where id = $1 and worker_id = $2 and fence = $3 and terminal is null"
)
def hand_back(tx: Transaction, job_id: str, worker_id: int, fence: int) -> Rows:
    """Leave a job to whoever comes next."""
    job = _ours(tx, job_id, worker_id, fence)
    if job is not None:
        tx.update("jobs", job, worker_id=None)
    return []


@JOBS.of("select 1 from jobs where id = $1 and worker_id = $2 and fence = $3 and terminal is null")
def still_ours(tx: Transaction, job_id: str, worker_id: int, fence: int) -> Rows:
    """Whether the fence is the newest."""
    job = tx.get("jobs", job_id)
    if job is None or job["terminal"] is not None:
        return []
    return value(1) if (job["worker_id"], job["fence"]) == (worker_id, fence) else []


@JOBS.of("select id from jobs where worker_id = $1 and terminal is null")
def claimed_by(tx: Transaction, worker_id: int) -> Rows:
    """Unfinished jobs to a worker's name."""
    return only([job for job in find_all(tx, "jobs", worker_id=worker_id) if job["terminal"] is None], "id")


@JOBS.of(
    f"""
            update jobs set worker_id = null
            where id in (
                select id from jobs
                where terminal is null
                  and case when worker_id is null then not {HAS_LIVE_ROW}
                           when worker_id = $3 then id = any($4)
                           else worker_id not in ({sql._LIVE_WORKERS}) end
                order by created_at limit $5 for update skip locked)
            returning id
            """
)
def orphans(
    tx: Transaction, lock_class: int, silence: timedelta, worker_id: int, lost: Sequence[str], limit: int
) -> Rows:
    """Free and name unfinished jobs that nobody works on and no row will wake."""
    live = live_workers(tx, lock_class, silence)
    if "liveness" in tx.database.without:
        live = set()
    woken = {
        row["dedupe_key"]
        for row in tx.all("queue")
        if row["status"] == "queued" or row["heartbeat"] > tx.now - silence
    }

    def is_orphan(job: Row) -> bool:
        if job["worker_id"] is None:
            return job["id"] not in woken
        if job["worker_id"] == worker_id:
            return job["id"] in lost
        return job["worker_id"] not in live

    found = [job for job in tx.all("jobs") if job["terminal"] is None and is_orphan(job)]
    found = [
        job for job in sorted(found, key=lambda job: job["created_at"]) if tx.try_lock("jobs", job["id"])
    ]
    return only([tx.update("jobs", job, worker_id=None) for job in found[:limit]], "id")


# --- moving


@JOBS.of(
    """
            update jobs set state = $4, clip = coalesce($5, clip)
            where id = $1 and worker_id = $2 and fence = $3 and terminal is null
            returning *
            """
)
def move(tx: Transaction, job_id: str, worker_id: int, fence: int, state: str, clip: Any) -> Rows:
    """Change the state under the fence."""
    job = _ours(tx, job_id, worker_id, fence)
    if job is None:
        return []
    return [tx.update("jobs", job, state=state, clip=job["clip"] if clip is None else clip)]


@JOBS.of("insert into job_events (job_id, status) values ($1, $2)")
def add_event(tx: Transaction, job_id: str, status: str) -> Rows:
    """What users see happen."""
    tx.insert(
        "job_events",
        {"seq": tx.database.serial(), "job_id": job_id, "status": status, "created_at": tx.now},
    )
    return []


@JOBS.of("select pg_notify($1, $2)")
def notify(tx: Transaction, channel: str, text: str) -> Rows:
    """NOTIFY."""
    tx.notify(channel, text)
    return value(None)


# --- single jobs, cancels


@JOBS.of("select * from jobs where id = $1")
def job(tx: Transaction, job_id: str) -> Rows:
    """A job as it stands."""
    return [row for row in (tx.get("jobs", job_id),) if row is not None]


@JOBS.of(
    "update jobs set cancel_requested_at = coalesce(cancel_requested_at, now()) "
    "where id = $1 and terminal is null"
)
def request_cancel(tx: Transaction, job_id: str) -> Rows:
    """Note the user's wish."""
    row = tx.get("jobs", job_id)
    if row is not None and row["terminal"] is None:
        tx.lock("jobs", job_id)
        tx.update("jobs", row, cancel_requested_at=row["cancel_requested_at"] or tx.now)
    return []


@JOBS.of(
    """
            update jobs set fence = fence + 1
            where id = $1 and state = 'queued' and terminal is null
            returning *
            """
)
def claim_unstarted(tx: Transaction, job_id: str) -> Rows:
    """Take a queued job to cancel it."""
    row = tx.get("jobs", job_id)
    if row is None or row["state"] != "queued":
        return []
    tx.lock("jobs", job_id)
    return [tx.update("jobs", row, fence=row["fence"] + 1)]


# --- ends (settle.py)


@JOBS.of(
    """
            update jobs set state = $3, terminal = $4, ended_at = $5, worker_id = null
            where id = $1 and fence = $2 and terminal is null
            returning 1
            """
)
def end(tx: Transaction, job_id: str, fence: int, state: str, body: bytes, at: Any) -> Rows:
    """The end of a job."""
    row = tx.get("jobs", job_id)
    if row is None:
        return []
    if row["terminal"] is not None:
        return []
    tx.lock("jobs", job_id)
    if row["fence"] != fence and "fence" not in tx.database.without:
        return []
    tx.update("jobs", row, state=state, terminal=body, ended_at=at, worker_id=None)
    return value(1)


@JOBS.of(
    "update attempts set outcome = 'given_up', ended_at = now() where nonce = "
    "(select nonce from attempts where job_id = $1 order by number desc limit 1)"
)
def give_up(tx: Transaction, job_id: str) -> Rows:
    """The newest attempt's fate is unknown for good."""
    rows = attempts(tx, job_id)
    if rows:
        tx.update("attempts", rows[-1], outcome="given_up", ended_at=tx.now)
    return []


@JOBS.of("insert into late_results (job_id, body) values ($1, $2) on conflict do nothing returning 1")
def insert_late(tx: Transaction, job_id: str, body: bytes) -> Rows:
    """A clip that came late."""
    try:
        tx.insert("late_results", {"job_id": job_id, "body": body, "created_at": tx.now})
    except Conflict:
        return []
    return value(1)


@JOBS.of(
    """
        insert into clips (job_id, late, media_key, url, bytes, sha256, poster_url, facts)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        """
)
def insert_clip(tx: Transaction, *values: Any) -> Rows:
    """The stored clip."""
    columns = "job_id late media_key url bytes sha256 poster_url facts"
    tx.insert("clips", dict(zip(columns.split(), values, strict=True)) | {"created_at": tx.now})
    return []


@JOBS.of(
    f"""
            select {reading._COLUMNS} from jobs
            join unnest($1::text[], $2::text[], $3::text[]) as asked (id, account_id, mode)
                using (id, account_id, mode)
            """
)
def read_own_jobs(
    tx: Transaction, job_ids: Sequence[str], account_ids: Sequence[str], modes: Sequence[str]
) -> Rows:
    """Jobs that are of the account and mode that they must be of."""
    asked = zip(job_ids, account_ids, modes, strict=True)
    rows = [row for job_id, *of in asked for row in job(tx, job_id) if [row["account_id"], row["mode"]] == of]
    return only(rows, *[name.strip() for name in reading._COLUMNS.split(",")])
