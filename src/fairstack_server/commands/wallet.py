"""`fairstack wallet`: grant, correct, show, verify."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fairstack_server.commands.run import FAILED, USAGE, micros_of, open_database, run
from fairstack_server.settings import Settings

if TYPE_CHECKING:
    from fairstack_server.db.connections import Connection

_Owner = Annotated[str, typer.Argument(help="Name or id of the account.")]
_Dollars = Annotated[str, typer.Argument(help="Dollars, such as 25 or 0.50.")]


def wallet_commands() -> typer.Typer:
    """The group `fairstack wallet`."""
    group = typer.Typer(help="Money of the accounts.", no_args_is_help=True)
    group.command("grant")(_grant)
    group.command("correct")(_correct)
    group.command("show")(_show)
    group.command("verify")(_verify)
    return group


def _grant(
    account: _Owner,
    dollars: _Dollars,
    memo: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Put live money into a wallet."""
    micros = micros_of(dollars)

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.store import Accounts
        from fairstack_server.money import display
        from fairstack_server.wallet import store

        async with open_database(settings) as pool:
            owner = await Accounts(pool).find(account)
            async with pool.acquire() as connection, connection.transaction():
                booking = await store.grant(connection, owner.id, "live", micros, memo)
                await _note(connection, "money.granted", booking, owner.id, micros)
                wallet = await store.balance(connection, owner.id, "live")
        typer.echo(
            f"Granted {display(micros)} to {owner.name}. Available: {display(wallet.available_micros)}."
        )

    run(work)


def _correct(
    account: _Owner,
    dollars: _Dollars,
    memo: Annotated[str, typer.Option(help="Why; it stays in the ledger.", show_default=False)],
) -> None:
    """Take live money back out of a wallet: what was granted by mistake and is still available."""
    micros = micros_of(dollars)
    if not memo.strip():
        typer.echo("fairstack: --memo must say why the money is taken back.", err=True)
        raise typer.Exit(USAGE)

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.store import Accounts
        from fairstack_server.money import display
        from fairstack_server.wallet import store

        async with open_database(settings) as pool:
            owner = await Accounts(pool).find(account)
            async with pool.acquire() as connection, connection.transaction():
                booking = await store.correct(connection, owner.id, "live", micros, memo)
                await _note(connection, "money.corrected", booking, owner.id, micros)
                wallet = await store.balance(connection, owner.id, "live")
        typer.echo(
            f"Took {display(micros)} back from {owner.name}. Available: {display(wallet.available_micros)}."
        )

    run(work)


async def _note(
    connection: Connection,
    action: Literal["money.granted", "money.corrected"],
    booking: str,
    owner: str,
    micros: int,
) -> None:
    from fairstack_server.accounts.audit import command_actor, note

    await note(connection, command_actor(), action, booking, account_id=owner, details={"micro": micros})


def _show(account: _Owner = "default") -> None:
    """Show an account's live and test balances."""

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.store import Accounts
        from fairstack_server.money import display
        from fairstack_server.wallet import store

        async with open_database(settings) as pool:
            owner = await Accounts(pool).find(account)
            async with pool.acquire() as connection:
                live = await store.balance(connection, owner.id, "live")
                test = await store.balance(connection, owner.id, "test")
        for mode, wallet in (("live", live), ("test", test)):
            typer.echo(
                f"{mode}  available {display(wallet.available_micros)}  held {display(wallet.held_micros)}"
            )

    run(work)


def _verify() -> None:
    """Prove the books: every transaction sums to 0, every job has one hold and at most one settle."""

    async def work(settings: Settings) -> None:
        from fairstack_server.wallet import verify as books

        async with open_database(settings) as pool, pool.acquire() as connection:
            findings = await books.verify(connection)
        for finding in findings:
            typer.echo(str(finding))
        if findings:
            raise typer.Exit(FAILED)
        typer.echo("The books are right.")

    run(work)
