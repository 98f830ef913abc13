"""What `fairstack catalog check` found, for people: errors one by one, notes by their reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from textwrap import wrap

import msgspec

from fairstack_server.catalog.check import Finding, Reason
from fairstack_server.jsonvalue import JSONObject

_LINE_CHARACTERS = 110
_STATE_IT = (
    "ask the provider or look at its bill, then state the cost in overrides.toml in FAIRSTACK_CATALOG_DIR:"
)

#: What the notes of a reason have in common, and what an operator does about them.
_NOTES: Mapping[Reason, tuple[str, str]] = {
    "model_off": (
        "Models that are listed and quoted, and that nobody renders: the cost of every route is unknown",
        f"To turn one on, {_STATE_IT}",
    ),
    "route_off": (
        "Routes that are off because their cost is unknown; other routes serve these models",
        f"To turn one on, {_STATE_IT}",
    ),
    "price_to_come": ("Prices that begin later", "Nothing to do: each comes into force on its day."),
    "cost_above_price": (
        "Routes that cost more than the model's price at some settings, and are not used there",
        "To use them all the same, raise the price in overrides.toml, or set FAIRSTACK_ALLOW_LOSS.",
    ),
}


def report(findings: Sequence[Finding], models: int, *, verbose: bool = False) -> Iterator[str]:
    """The lines to print. `models`: how many there are. `verbose`: every note on a line of its own."""
    errors = [finding for finding in findings if finding.level == "error"]
    notes = [finding for finding in findings if finding.level == "note"]
    for finding in errors if not verbose else findings:
        yield f"{finding.level:5}  {f'{finding.model}: ' if finding.model else ''}{finding.message}"
    if not verbose:
        for reason, (heading, remedy) in _NOTES.items():
            yield from _group([note for note in notes if note.reason == reason], heading, remedy)
    yield f"{_counted(errors, 'error')}, {_counted(notes, 'note')}, {models} models"
    if notes and not verbose:
        yield "Every note: fairstack catalog check --verbose"


def report_json(findings: Sequence[Finding], models: int) -> str:
    """The same for programs: counts, and every finding."""
    levels = Counter(finding.level for finding in findings)
    told: JSONObject = {
        "models": models,
        "errors": levels["error"],
        "notes": levels["note"],
        "findings": msgspec.to_builtins(findings),
    }
    return msgspec.json.encode(told).decode()


def _group(notes: Sequence[Finding], heading: str, remedy: str) -> Iterator[str]:
    if not notes:
        return
    models = dict.fromkeys(note.model for note in notes)
    yield f"{heading}: {len(models) if notes[0].reason == 'model_off' else len(notes)}"
    yield from _indented(remedy)
    if notes[0].reason in ("model_off", "route_off"):
        yield f'      [routes."{notes[0].model}:{notes[0].provider}"]'
        yield '      cost_usd_per_second = "0.05"    # or cost_usd_per_clip'
    if notes[0].reason == "route_off":
        counts = Counter(note.provider for note in notes).most_common()
        yield from _indented(", ".join(f"{provider} ({count})" for provider, count in counts))
    else:
        yield from _indented(", ".join(models))
    yield ""


def _indented(text: str) -> list[str]:
    indent = "    "
    return wrap(
        text, _LINE_CHARACTERS, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    )


def _counted(found: Collection[Finding], name: str) -> str:
    return f"{len(found)} {name}{'' if len(found) == 1 else 's'}"
