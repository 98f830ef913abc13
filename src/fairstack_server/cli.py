"""The operator's commands: serve, api, worker, migrate, doctor; groups: keys, wallet, catalog, routes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fairstack_server.commands.audit import audit
from fairstack_server.commands.catalog import catalog_commands
from fairstack_server.commands.keys import keys_commands
from fairstack_server.commands.routes import gone_lines, routes_commands
from fairstack_server.commands.run import FAILED, command_settings, database, guarded, run, run_loop
from fairstack_server.commands.wallet import wallet_commands
from fairstack_server.logs import configure_logging
from fairstack_server.settings import Settings

if TYPE_CHECKING:
    from fairstack_server.serve import Part

Host = Annotated[str | None, typer.Option(help="Address to bind; 127.0.0.1 unless told otherwise.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to bind; 8787 unless told otherwise.")]
Home = Annotated[Path | None, typer.Option(help="Folder of all data.")]


def register(app: typer.Typer) -> None:
    """Add the operator's commands to the `fairstack` command."""
    app.command("serve")(serve)
    app.command("api")(api)
    app.command("worker")(worker)
    app.command("migrate")(migrate)
    app.command("doctor")(doctor)
    app.command("audit")(audit)
    app.add_typer(keys_commands(), name="keys")
    app.add_typer(wallet_commands(), name="wallet")
    app.add_typer(catalog_commands(), name="catalog")
    app.add_typer(routes_commands(), name="routes")


def serve(host: Host = None, port: Port = None, home: Home = None) -> None:
    """Run the whole server: database, API, worker and the local engine."""
    _run_server(host, port, home, ("api", "worker"))


def api(host: Host = None, port: Port = None, home: Home = None) -> None:
    """Run the API alone; for fleets with FAIRSTACK_DATABASE_URL."""
    _run_server(host, port, home, ("api",))


def worker(home: Home = None) -> None:
    """Run a worker alone; for fleets with FAIRSTACK_DATABASE_URL."""
    _run_server(None, None, home, ("worker",))


def migrate() -> None:
    """Bring the database's schema up to date; every start does it too."""

    async def work(settings: Settings) -> None:
        async with database(settings):
            typer.echo("The schema is up to date.")

    run(work)


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Ask no provider about its key.")] = False,
) -> None:
    """Say what is set up, what is not, and what would enable it; status 1 when a key is refused."""
    from fairstack_server.doctor import examine

    async def work(settings: Settings) -> None:
        is_wrong = False
        async for finding in examine(settings, offline=offline):
            typer.echo(finding.text)
            is_wrong = is_wrong or finding.is_wrong
        for line in await gone_lines(settings):
            typer.echo(line)
        if is_wrong:
            raise typer.Exit(FAILED)

    run(work)


def _run_server(host: str | None, port: int | None, home: Path | None, parts: tuple[Part, ...]) -> None:
    from fairstack_server import serve as server

    settings = server.own_settings(command_settings(), host=host, port=port, home=home)
    configure_logging(settings.log_level, settings.log_format)
    guarded(lambda: run_loop(server.serve(settings, parts)), server.PortTaken)
