"""`fairstack models`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from fairstack.cli import options
from fairstack.cli.say import answer, facts, note, table
from fairstack.types import Model


def models(
    key: Annotated[str | None, typer.Argument(help="Show this model.", show_default=False)] = None,
    type: Annotated[str | None, typer.Option("--type", help="t2v, i2v, flf, r2v, v2v, …")] = None,
    tier: Annotated[str | None, typer.Option("--tier", help="budget, standard or premium.")] = None,
    search: Annotated[str | None, typer.Option("-q", "--search", help="Words to look for.")] = None,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", min=1, help="Show the first so many.", show_default=False)
    ] = None,
    test: options.Test = False,
    as_json: options.AsJson = False,
) -> None:
    """List the models with their prices, or show one."""
    from fairstack.call import get
    from fairstack.files import path_part
    from fairstack.models import PATH, list_request

    with options.client_for(test=test) as client:
        if as_json:
            request = get(f"{PATH}/{path_part(key)}") if key else list_request(type, tier, None, None, search)
            answer(client.send(request).text)
        elif key:
            _show(client.models.get(key))
        else:
            found = client.models.list(type=type, tier=tier, q=search)
            _list(found, limit or len(found), sandbox=options.is_sandbox(test=test))


def _list(found: list[Model], limit: int, *, sandbox: bool) -> None:
    """The models by key, and below the list what is not in it and how to see it."""
    if not found:
        note("No model fits. All of them: fairstack models")
        return
    found = sorted(found, key=lambda model: model.key)
    rows = [(m.key, m.type, m.tier, str(m.price or ""), _available(m, sandbox)) for m in found[:limit]]
    table([("MODEL", "TYPE", "TIER", "PRICE", "AVAILABLE"), *rows])
    hidden = len(found) - len(rows)
    if hidden:
        note(f"{hidden} more; all of them: -n {len(found)}")
    able = sum(bool(model.available) for model in found)
    here = "all of them in the sandbox" if sandbox else f"{able} of them available on this server"
    note(f"{len(found)} models, {here}. Fewer: --type, --tier, -q WORDS. One: fairstack models MODEL")


def _available(model: Model, sandbox: bool) -> str:
    if sandbox:
        return "sandbox"
    return "yes" if model.available else "no"


def _show(model: Model) -> None:
    can = model.capabilities
    pairs = [
        ("model", model.key),
        ("name", model.name),
        ("maker", model.provider),
        ("type", model.type),
        ("tier", model.tier),
        ("price", f"{model.price} for the default clip"),
        ("available", "yes" if model.available else "no: no provider is configured for it (--test works)"),
    ]
    if can is not None:
        pairs += [
            ("durations", _joined(can.durations)),
            ("ratios", _joined(can.aspect_ratios)),
            ("resolutions", _joined(can.resolutions)),
        ]
    if model.typical_seconds is not None:
        pairs.append(("takes", f"about {model.typical_seconds:g} s"))
    facts([(name, value) for name, value in pairs if value])


def _joined(values: Any) -> str:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return "" if values is None else str(values)
    if isinstance(values, dict):
        return ", ".join(f"{name} {value}" for name, value in values.items())
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
