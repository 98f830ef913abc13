"""`fairstack audit`: who changed access or money by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from fairstack_server.commands.run import open_database, run
from fairstack_server.settings import Settings

if TYPE_CHECKING:
    from fairstack_server.accounts.audit import Entry

_Account = Annotated[str, typer.Option(help="Only what concerns this account, by name or id.")]
_Limit = Annotated[int, typer.Option(min=1, max=1000, help="How many of the newest entries.")]


def audit(account: _Account = "", limit: _Limit = 50) -> None:
    """Show who changed keys, accounts, money and secrets by hand; newest first."""

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.audit import read_entries
        from fairstack_server.accounts.store import Accounts

        async with open_database(settings) as pool:
            concerned = (await Accounts(pool).find(account)).id if account else None
            page = await read_entries(pool, limit=limit, account_id=concerned)
        for entry in page.items:
            typer.echo(_line(entry))

    run(work)


def _line(entry: Entry) -> str:
    """When, what, to what, by whom; the rest as JSON at the end."""
    by = entry.by.key_id or entry.by.name or entry.by.source
    details = json.dumps(entry.details, ensure_ascii=False, sort_keys=True) if entry.details else ""
    when = entry.at.strftime("%Y-%m-%d %H:%M:%SZ")
    return f"{when}  {entry.action:24}  {entry.subject}  by {by}  {details}".rstrip()
