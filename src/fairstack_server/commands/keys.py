"""`fairstack keys`: list, create, revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fairstack_server.commands.run import Account, open_database, run
from fairstack_server.settings import Settings

if TYPE_CHECKING:
    from fairstack_server.accounts.store import ApiKey

_COLUMNS = ("ID", "KEY", "MODE", "STATE", "NAME", "SCOPES")


def keys_commands() -> typer.Typer:
    """The group `fairstack keys`."""
    group = typer.Typer(help="API keys of an account.", no_args_is_help=True)
    group.command("list")(_list)
    group.command("create")(_create)
    group.command("revoke")(_revoke)
    return group


def _list(account: Account = "default") -> None:
    """List an account's keys."""

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.store import Accounts

        async with open_database(settings) as pool:
            accounts = Accounts(pool)
            keys = await accounts.keys((await accounts.find(account)).id)
        rows = [_COLUMNS, *map(_row, keys)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            typer.echo("  ".join(map(str.ljust, row, widths)).rstrip())

    run(work)


def _create(
    account: Account = "default",
    name: Annotated[str, typer.Option(help="What the key is for.")] = "API key",
    test: Annotated[bool, typer.Option("--test", help="A sandbox key.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="With the admin scope.")] = False,
) -> None:
    """Make a key and show it, this once."""

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.audit import command_actor
        from fairstack_server.accounts.store import SCOPES, USER_SCOPES, Accounts

        async with open_database(settings) as pool:
            accounts = Accounts(pool)
            owner = await accounts.find(account)
            _, secret = await accounts.create_key(
                owner.id,
                "test" if test else "live",
                name,
                SCOPES if admin else USER_SCOPES,
                by=command_actor(),
            )
        typer.echo(secret)

    run(work)


def _revoke(
    key_id: Annotated[str, typer.Argument(help="As `fairstack keys list` shows it.")],
    account: Account = "default",
) -> None:
    """End a key."""

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.audit import command_actor
        from fairstack_server.accounts.store import Accounts

        async with open_database(settings) as pool:
            accounts = Accounts(pool)
            await accounts.revoke_key((await accounts.find(account)).id, key_id, by=command_actor())
        typer.echo(f"{key_id} is revoked.")

    run(work)


def _row(key: ApiKey) -> tuple[str, ...]:
    state = "revoked" if key.revoked_at else "active"
    return (key.id, f"{key.prefix}…", key.mode, state, key.name, ", ".join(key.scopes))
