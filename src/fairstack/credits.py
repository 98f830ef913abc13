"""Money; the flows behind `client.credits`, `client.usage` and `client.ledger`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from fairstack import jobs
from fairstack.call import call_for, call_json, get
from fairstack.errors import UnexpectedAnswer
from fairstack.flow import Flow
from fairstack.types import Credits, LedgerEntry, UsageRow, read

GroupBy = Literal["day", "model", "key", "tag"]


def fetch() -> Flow[Credits]:
    """The wallet of this key's account."""
    return (yield from call_for(Credits, get("/v1/credits")))


def usage(group_by: GroupBy, since: date | str | None, until: date | str | None) -> Flow[list[UsageRow]]:
    """What was used, grouped."""
    answer = yield from call_json(get("/v1/usage", {"group_by": group_by, "from": since, "to": until}))
    rows = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise UnexpectedAnswer("/v1/usage did not answer with items")
    return [read(UsageRow, row) for row in rows]


def ledger(page_size: int) -> Flow[None]:
    """Emit every ledger entry, page by page."""
    yield from jobs.listing("/v1/ledger", {"limit": page_size}, lambda entry: read(LedgerEntry, entry))
