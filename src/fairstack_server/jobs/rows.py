"""Rows of the jobs and attempts tables as what they mean."""

from __future__ import annotations

from typing import Any

import asyncpg

from fairstack_server.jobs.job import Attempt, Job, Lease, State


def job_of_row(row: asyncpg.Record) -> Job:
    """A job from a row of the jobs table."""
    values: dict[str, Any] = dict(row)
    return Job(
        id=values["id"],
        account_id=values["account_id"],
        key_id=values["key_id"],
        mode=values["mode"],
        state=State(values["state"]),
        model=values["model"],
        ask=values["ask"],
        settled=values["settled"],
        inputs=values["inputs"],
        quote_micros=values["quote_micros"],
        tags=values["tags"],
        webhook_url=values["webhook_url"],
        lease=Lease(values["worker_id"] or 0, values["fence"]),
        created_at=values["created_at"],
        deadline_at=values["deadline_at"],
        started_at=values["started_at"],
        ended_at=values["ended_at"],
        cancel_requested_at=values["cancel_requested_at"],
        cancel_after_at=values["cancel_after_at"],
        clip=values["clip"],
    )


def attempt_of_row(row: asyncpg.Record) -> Attempt:
    """An attempt from a row of the attempts table."""
    return Attempt(
        nonce=row["nonce"],
        job_id=row["job_id"],
        number=row["number"],
        provider=row["provider"],
        endpoint=row["endpoint"],
        order=row["order_json"],
        cost_micros=row["cost_micros"],
        created_at=row["created_at"],
        outcome=row["outcome"],
        message=row["message"],
    )
