"""`fairstack catalog`: check, list, show, quote, diff, reload."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fairstack_server.commands.run import FAILED, command_settings, guarded

_Key = Annotated[str, typer.Argument(help="Model key or alias.")]


def catalog_commands() -> typer.Typer:
    """The group `fairstack catalog`."""
    group = typer.Typer(help="The models that this server knows.", no_args_is_help=True)
    group.command("check")(_check)
    group.command("list")(_list)
    group.command("show")(_show)
    group.command("quote")(_quote)
    group.command("diff")(_diff)
    group.command("reload")(_reload)
    return group


def _check(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Every note on its own line.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Counts and findings as JSON.")] = False,
) -> None:
    """Check every entry: prices, routes, defaults, sources. Status 1 if there is an error; notes are none."""
    from fairstack_server.catalog.catalog import Catalog
    from fairstack_server.catalog.check import check, unreadable
    from fairstack_server.catalog.check_report import report, report_json
    from fairstack_server.catalog.load import CatalogError
    from fairstack_server.clock import SystemClock

    try:
        catalog = Catalog(operator=command_settings().catalog_dir)
    except CatalogError as error:
        models, findings = 0, unreadable(error)
    else:
        models, findings = len(catalog.models()), check(catalog, on=SystemClock().now().date())
    lines = [report_json(findings, models)] if as_json else report(findings, models, verbose=verbose)
    for line in lines:
        typer.echo(line)
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(FAILED)


def _list() -> None:
    """List every model with its type, tier and default price."""

    def work() -> None:
        from fairstack_server.catalog.catalog import Catalog
        from fairstack_server.clock import SystemClock
        from fairstack_server.money import display
        from fairstack_server.pricing import price_of_default_clip

        settings = command_settings()
        today = SystemClock().now().date()
        for model in Catalog(operator=settings.catalog_dir).models():
            price = price_of_default_clip(model, on=today, margin_percent=settings.margin_percent)
            typer.echo(
                f"{model.key:32} {model.type:7} {model.tier:9} {display(price.micros):>9}  {model.name}"
            )

    guarded(work)


def _show(key: _Key) -> None:
    """Show a model: what it takes, its routes, its prices, their sources, and what has no source."""

    def work() -> None:
        from fairstack_server.catalog.catalog import Catalog
        from fairstack_server.catalog.model_page import model_section
        from fairstack_server.clock import SystemClock

        model = Catalog(operator=command_settings().catalog_dir).get(key)
        typer.echo(model_section(model, on=SystemClock().now().date()))

    guarded(work)


def _quote(
    key: _Key,
    settings: Annotated[
        list[str] | None, typer.Argument(help="Such as duration=10 resolution=1080p.")
    ] = None,
) -> None:
    """Quote a clip at these settings, to the microdollar."""

    def work() -> None:
        from fairstack_server.catalog.ask_words import ask_of_words
        from fairstack_server.catalog.catalog import Catalog
        from fairstack_server.catalog.parameters import resolve
        from fairstack_server.clock import SystemClock
        from fairstack_server.money import display
        from fairstack_server.pricing import quote

        ours = command_settings()
        model = Catalog(operator=ours.catalog_dir).get(key)
        settled = resolve(model, ask_of_words(model, settings or []))
        price = quote(model, settled, on=SystemClock().now().date(), margin_percent=ours.margin_percent)
        typer.echo(f"{display(price.micros)}  ({price.micros} micros)")

    guarded(work)


def _diff(
    folder: Annotated[Path, typer.Argument(help="The older catalog, such as catalog/ of another version.")],
) -> None:
    """Compare with an older catalog: models, prices, routes."""

    def work() -> None:
        from fairstack_server.catalog.catalog import Catalog
        from fairstack_server.catalog.differences import differences
        from fairstack_server.catalog.load import CatalogError
        from fairstack_server.clock import SystemClock

        old = Catalog(folder).snapshot if folder.is_dir() else None
        if old is None or not old.models:
            raise CatalogError([f"{folder}: there is no model file here to compare with"])
        ours = Catalog(operator=command_settings().catalog_dir).snapshot
        found = differences(old, ours, on=SystemClock().now().date())
        for difference in found:
            typer.echo(f"{difference.model}: {difference.message}")
        counted = f"{len(found)} difference{'' if len(found) == 1 else 's'}"
        typer.echo(f"{counted} to {folder} (models there: {len(old.models)}, here: {len(ours.models)})")

    guarded(work)


def _reload() -> None:
    """Make the running server read its files again.

    It also notices changes in FAIRSTACK_CATALOG_DIR by itself. Broken files change nothing and are told here.
    Asks the server as FAIRSTACK_BASE_URL and FAIRSTACK_API_KEY say; the key needs the scope admin.
    """
    import json

    from fairstack import FairStack
    from fairstack.errors import Conflict
    from fairstack.flow import Request

    with FairStack() as client:
        try:
            answer = client.send(Request(method="POST", path="/v1/admin/catalog/reload")).text
        except Conflict as error:
            for problem in (error.details or {}).get("problems", [error.message]):
                typer.echo(problem, err=True)
            typer.echo("The server keeps the catalog that it had.", err=True)
            raise typer.Exit(FAILED) from None
    typer.echo(_told(json.loads(answer)))


def _told(answer: dict[str, Any]) -> str:
    changes = [
        f"{what}: {', '.join(answer[what])}" for what in ("added", "changed", "removed") if answer[what]
    ]
    return f"{answer['models']} models; {'; '.join(changes) or 'nothing changed'}"
