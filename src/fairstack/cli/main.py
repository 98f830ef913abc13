"""The program `fairstack`: client commands here, operator commands from the server where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from fairstack.cli import balance, jobs, models, video
from fairstack.cli.say import EXIT_USAGE, answer, exit_code, failure, red_line
from fairstack.errors import FairStackError
from fairstack.version import __version__

CLIENT_COMMANDS: dict[str, Callable[..., None]] = {
    "video": video.video,
    "estimate": video.estimate,
    "models": models.models,
    "status": jobs.status,
    "jobs": jobs.jobs,
    "cancel": jobs.cancel,
    "balance": balance.balance,
}
OPERATOR_COMMANDS = {
    "serve": "Run everything on this machine: database, API, worker, local engine.",
    "api": "Run the API alone.",
    "worker": "Run a worker alone.",
    "migrate": "Bring the database to this version.",
    "keys": "Make and revoke API keys.",
    "wallet": "Grant and look at money.",
    "catalog": "Check the catalog of models.",
    "routes": "List and reopen routes that are gone.",
    "doctor": "Say what is configured and what is missing.",
}
#: Without these the server package is on the disk and cannot run.
_SERVER_NEEDS = ("fairstack_server", "litestar", "uvicorn", "asyncpg", "msgspec")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program with these arguments (default: the command line's) and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    app = build_app(with_operator_commands=_names_no_client_command(given))
    try:
        app(given, prog_name="fairstack")
    except FairStackError as error:
        if "--json" in given and error.body:
            answer(error.body)
        failure(error)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)


def build_app(*, with_operator_commands: bool) -> typer.Typer:
    """The commands; the server is imported only if its commands are wanted."""
    app = typer.Typer(
        help="FairStack: make video clips at a price known in advance.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        # Plain help: importing what draws frames costs more than all the rest.
        rich_markup_mode=None,
    )
    app.callback()(_program)
    for name, command in CLIENT_COMMANDS.items():
        app.command(name)(command)
    if with_operator_commands:
        _add_operator_commands(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        answer(f"fairstack {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """FairStack: make video clips at a price known in advance."""


def _names_no_client_command(arguments: Sequence[str]) -> bool:
    word = next((argument for argument in arguments if not argument.startswith("-")), None)
    return word not in CLIENT_COMMANDS


def _add_operator_commands(app: typer.Typer) -> None:
    if all(importlib.util.find_spec(name) is not None for name in _SERVER_NEEDS):
        importlib.import_module("fairstack_server.cli").register(app)
        return
    anything = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
    for name, meaning in OPERATOR_COMMANDS.items():
        app.command(name, help=f"{meaning} Needs fairstack[server].", context_settings=anything)(
            _not_installed
        )


def _not_installed(context: typer.Context) -> None:
    red_line(
        f"The server is not installed here, so there is no `fairstack {context.info_name}`. "
        "Install it: pip install 'fairstack[server]'"
    )
    raise typer.Exit(EXIT_USAGE)
