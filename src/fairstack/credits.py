"""Money; the flows behind `client.credits`, `client.usage` and `client.ledger`."""

from __future__ import annotations

from datetime import date
from typing import Literal

from fairstack import jobs
from fairstack.call import call_for, get
from fairstack.flow import Flow
from fairstack.types import Credits, LedgerEntry, Usage, read

GroupBy = Literal["day", "model", "key", "tag"]


def fetch() -> Flow[Credits]:
    """The wallet of this key's account."""
    return (yield from call_for(Credits, get("/v1/credits")))


def usage(group_by: GroupBy, since: date | str | None, until: date | str | None) -> Flow[Usage]:
    """What was charged, grouped."""
    query = {"group_by": group_by, "from": since, "to": until}
    return (yield from call_for(Usage, get("/v1/usage", query)))


def ledger(page_size: int) -> Flow[None]:
    """Emit every ledger entry, page by page."""
    yield from jobs.listing("/v1/ledger", {"limit": page_size}, lambda entry: read(LedgerEntry, entry))
