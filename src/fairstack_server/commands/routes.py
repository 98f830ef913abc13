"""`fairstack routes`: routes that their provider no longer has."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from fairstack_server.commands.run import open_database, run
from fairstack_server.settings import Settings

if TYPE_CHECKING:
    from fairstack_server.db.connections import Pool

_DATABASE_SECONDS = 3.0


def routes_commands() -> typer.Typer:
    """The group `fairstack routes`."""
    group = typer.Typer(help="Routes that are marked as gone.", no_args_is_help=True)
    group.command("gone")(_gone)
    group.command("reopen")(_reopen)
    return group


async def gone_lines(settings: Settings) -> list[str]:
    """A line for each route that is marked as gone; starts nothing, so none without a database."""
    from fairstack_server.db.dsn import DatabaseError
    from fairstack_server.jobs.gone import read_marks

    try:
        async with _database_as_it_is(settings) as pool:
            marks = await read_marks(pool) if pool is not None else ()
    except (DatabaseError, asyncpg.UndefinedTableError) as error:
        return [f"routes gone   not known: {error}"]
    return [
        f"route gone    {mark.model} at {mark.provider} ({mark.endpoint}); "
        f"use it again: fairstack routes reopen {mark.provider} --model {mark.model}"
        for mark in marks
    ]


@contextlib.asynccontextmanager
async def _database_as_it_is(settings: Settings) -> AsyncIterator[Pool | None]:
    """A small pool on a database that is up already, whatever its schema; None when none is."""
    from fairstack_server.db.dsn import Dsn
    from fairstack_server.db.embedded import EmbeddedPostgres
    from fairstack_server.db.pool import open_pool

    embedded = None if settings.database_url else EmbeddedPostgres(settings.home)
    if embedded is not None and not embedded.status().running:
        yield None
        return
    dsn = Dsn(settings.database_url) if embedded is None else await embedded.start()
    try:
        pool = await open_pool(dsn, 1, wait_seconds=_DATABASE_SECONDS)
        try:
            yield pool
        finally:
            await pool.close()
    finally:
        if embedded is not None:
            await embedded.stop()


def _gone() -> None:
    """List the routes that answered an order with 404 or 410; they are not used."""

    async def work(settings: Settings) -> None:
        from fairstack_server.clock import timestamp
        from fairstack_server.jobs.gone import read_marks

        async with open_database(settings) as pool:
            marks = await read_marks(pool)
        for mark in marks:
            typer.echo(f"{timestamp(mark.marked_at)}  {mark.model}  {mark.provider} ({mark.endpoint})")
            typer.echo(f"    {mark.said}")
        if not marks:
            typer.echo("No route is marked as gone.")

    run(work)


def _reopen(
    provider: Annotated[str, typer.Argument(help="Name of the provider, such as fal.")],
    model: Annotated[str | None, typer.Option(help="Only the routes of this model.")] = None,
) -> None:
    """Use a provider's marked routes again; a running server knows it within seconds."""

    async def work(settings: Settings) -> None:
        from fairstack_server.accounts.audit import command_actor, note
        from fairstack_server.jobs.gone import clear_marks

        async with open_database(settings) as pool:
            cleared = await clear_marks(pool, provider, model)
            async with pool.acquire() as connection:
                details = {"model": model, "cleared": cleared}
                await note(connection, command_actor(), "routes.cleared", provider, details=details)
        typer.echo(f"{cleared} {'mark was' if cleared == 1 else 'marks were'} cleared.")

    run(work)
