"""How an operator's command runs: its settings, its database, its event loop, its faults in one line."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairstack_server.errors import FairStackError
from fairstack_server.logs import configure_logging
from fairstack_server.settings import Settings, SettingsError, read_settings

if TYPE_CHECKING:
    from fairstack_server.db.connections import Pool
    from fairstack_server.db.dsn import Dsn

#: Exit codes: what was asked for is not right; the command was used wrongly.
FAILED, USAGE = 1, 2

Account = Annotated[str, typer.Option(help="Name or id of the account.")]


def run(work: Callable[[Settings], Awaitable[None]]) -> None:
    """Run a command that works with the database, quietly."""
    settings = command_settings()
    configure_logging("warning", settings.log_format)

    async def main() -> None:
        await work(settings)

    guarded(lambda: run_loop(main()))


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run to its end on the fastest event loop that is installed."""
    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


def guarded(work: Callable[[], None], *more: type[Exception]) -> None:
    """Answer every foreseen fault, and these, in its own words and with status 1; never with a traceback."""
    from fairstack_server.catalog.load import CatalogError
    from fairstack_server.db.dsn import DatabaseError

    foreseen: tuple[type[Exception], ...] = (
        CatalogError,
        DatabaseError,
        SettingsError,
        FairStackError,
        *more,
    )
    try:
        work()
    except foreseen as error:
        typer.echo(f"fairstack: {error}", err=True)
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def command_settings() -> Settings:
    """The settings of this environment; one that cannot be used ends the command with status 2."""
    try:
        return read_settings(os.environ)
    except SettingsError as error:
        typer.echo(f"fairstack: {error}", err=True)
        raise typer.Exit(USAGE) from None


@contextlib.asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[Dsn]:
    """A database that is up and migrated; what was started for it stops with the block."""
    from fairstack_server.serve import prepare_database

    async with contextlib.AsyncExitStack() as stack:
        yield await prepare_database(settings, stack)


@contextlib.asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Pool]:
    """A small pool of connections to it."""
    from fairstack_server.db.pool import open_pool

    async with database(settings) as dsn:
        pool = await open_pool(dsn, 2)
        try:
            yield pool
        finally:
            await pool.close()


def micros_of(dollars: str) -> int:
    """A positive amount of dollars as micros; anything else ends the command with status 2."""
    from fairstack_server.money import micros_of_usd

    try:
        micros = micros_of_usd(dollars)
    except ValueError:
        micros = Decimal(0)
    if micros <= 0 or micros != micros.to_integral_value():
        typer.echo(f"fairstack: {dollars!r} is not an amount of dollars such as 25 or 0.50.", err=True)
        raise typer.Exit(USAGE)
    return int(micros)
