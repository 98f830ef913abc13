"""The baseline: the same server with coalescing taken out. Every submit commits a transaction of its own,

every read is a query for one row. Everything else, statement by statement, is the server's own code.
Run as `python -m bench.uncoalesced api --port …`.
"""

from __future__ import annotations

from unittest.mock import patch

from fairstack.cli.main import main
from fairstack_server import bootstrap
from fairstack_server.accounts.store import Caller
from fairstack_server.errors import NotFound
from fairstack_server.jobs import reading
from fairstack_server.jobs.placement import NewJob, Placement, PlacementOutcome
from fairstack_server.jobs.reading import JobReader, JobRecord


class OneTransactionEach(Placement):
    """Places every job by itself."""

    async def place(self, job: NewJob) -> PlacementOutcome:
        return await self._single(job)


class OneQueryEach(JobReader):
    """Reads every job by itself."""

    async def get(self, caller: Caller, job_id: str) -> JobRecord:
        row = await self._pool.fetchrow(f"select {reading._COLUMNS} from jobs where id = $1", job_id)
        if row is None or (row["account_id"], row["mode"]) != (caller.account_id, caller.mode):
            raise NotFound("There is no such job.")
        return reading._record(row)


if __name__ == "__main__":
    with patch.multiple(bootstrap, Placement=OneTransactionEach, JobReader=OneQueryEach):
        main()
