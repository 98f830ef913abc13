"""Reading jobs for those who own them: one by one (reads share queries), in pages, and their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from fairstack_server.accounts.store import Caller
from fairstack_server.db.coalesce import Coalescer
from fairstack_server.db.connections import Pool
from fairstack_server.errors import NotFound
from fairstack_server.ids import Mode
from fairstack_server.jobs.job import PublicStatus, State

#: A job's id, and the account and mode that it must be of.
_Owned = tuple[str, str, Mode]

_COLUMNS = "id, account_id, mode, state, model, quote_micros, tags, created_at, terminal"


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as its owner may see it; `terminal` holds the whole answer once it has ended."""

    id: str
    account_id: str
    mode: Mode
    state: State
    model: str
    quote_micros: int
    tags: Mapping[str, str]
    created_at: datetime
    terminal: bytes | None


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; None = any."""

    states: tuple[State, ...] | None = None
    model: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A change of a job's public status."""

    seq: int
    status: PublicStatus
    created_at: datetime


class JobReader:
    """Jobs of a caller: its account's, in the mode of its key, and nobody else's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._reads = Coalescer(self._read_many)

    async def get(self, caller: Caller, job_id: str) -> JobRecord:
        """One job. Raises NotFound, the same for nothing there and for somebody else's."""
        record = await self._reads.get((job_id, caller.account_id, caller.mode))
        if record is None:
            raise NotFound("There is no such job.")
        return record

    async def page(
        self, caller: Caller, wanted: JobFilter, limit: int, after: tuple[datetime, str] | None
    ) -> list[JobRecord]:
        """Up to `limit` jobs, newest first, that come after the (created_at, id) of `after`."""
        rows = await self._pool.fetch(
            f"""
            select {_COLUMNS} from jobs
            where account_id = $1 and mode = $2
              and ($3::text[] is null or state = any($3))
              and ($4::text is null or model = $4)
              and ($5::timestamptz is null or created_at > $5)
              and ($6::timestamptz is null or created_at < $6)
              and ($7::timestamptz is null or (created_at, id) < ($7, $8))
            order by created_at desc, id desc limit $9
            """,
            caller.account_id,
            caller.mode,
            None if wanted.states is None else [state.value for state in wanted.states],
            wanted.model,
            wanted.created_after,
            wanted.created_before,
            None if after is None else after[0],
            None if after is None else after[1],
            limit,
        )
        return [_record(row) for row in rows]

    async def events(self, job_id: str, after_seq: int) -> list[JobEvent]:
        """What happened to a job since event `after_seq`."""
        rows = await self._pool.fetch(
            "select seq, status, created_at from job_events where job_id = $1 and seq > $2 order by seq",
            job_id,
            after_seq,
        )
        return [JobEvent(row["seq"], row["status"], row["created_at"]) for row in rows]

    async def late_result(self, caller: Caller, job_id: str) -> bytes:
        """The answer of a clip that came after its job was given up. Raises NotFound."""
        body = await self._pool.fetchval(
            """
            select l.body from late_results l join jobs j on j.id = l.job_id
            where l.job_id = $1 and j.account_id = $2 and j.mode = $3
            """,
            job_id,
            caller.account_id,
            caller.mode,
        )
        if body is None:
            raise NotFound("There is no late result of this job.")
        return bytes(body)

    async def close(self) -> None:
        """Finish the reads under way."""
        await self._reads.close()

    async def _read_many(self, asked: Sequence[_Owned]) -> dict[_Owned, JobRecord]:
        # The database leaves out what is somebody else's: a row that was sent and then hidden takes longer
        # than none, and who asks could tell by the time.
        rows = await self._pool.fetch(
            f"""
            select {_COLUMNS} from jobs
            join unnest($1::text[], $2::text[], $3::text[]) as asked (id, account_id, mode)
                using (id, account_id, mode)
            """,
            *map(list, zip(*asked, strict=True)),
        )
        return {(row["id"], row["account_id"], row["mode"]): _record(row) for row in rows}


def _record(row: asyncpg.Record) -> JobRecord:
    return JobRecord(
        id=row["id"],
        account_id=row["account_id"],
        mode=row["mode"],
        state=State(row["state"]),
        model=row["model"],
        quote_micros=row["quote_micros"],
        tags=row["tags"],
        created_at=row["created_at"],
        terminal=row["terminal"],
    )
