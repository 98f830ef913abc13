"""The options that several commands share, and how their texts become values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fairstack.errors import BadArgument

if TYPE_CHECKING:
    from fairstack.client import FairStack

#: Somebody is looking at the terminal: give up a little sooner than a program would.
MAX_RETRIES = 3

Prompt = Annotated[str, typer.Argument(help="What the clip shows.", show_default=False)]
ModelKey = Annotated[
    str | None,
    typer.Option("-m", "--model", help="Model key. Default: a local model, at no cost.", show_default=False),
]
Image = Annotated[
    str | None, typer.Option("-i", "--image", help="First frame: a file, an https URL or a file id.")
]
EndImage = Annotated[str | None, typer.Option("--end-image", help="Last frame, for models that take one.")]
Duration = Annotated[float | None, typer.Option("-d", "--duration", help="Seconds.")]
AspectRatio = Annotated[str | None, typer.Option("-a", "--aspect-ratio", help="Such as 16:9, 9:16, 1:1.")]
Resolution = Annotated[str | None, typer.Option("-r", "--resolution", help="Such as 720p, 1080p.")]
NegativePrompt = Annotated[str | None, typer.Option("--negative-prompt", help="What it shall not show.")]
Seed = Annotated[int | None, typer.Option("--seed", help="Fixes chance, for models that take it.")]
Sound = Annotated[
    bool | None,
    typer.Option("--audio/--no-audio", help="Sound, for models that make it.", show_default=False),
]
WebhookUrl = Annotated[str | None, typer.Option("--webhook-url", help="Where the result is posted.")]
Settings = Annotated[
    list[str] | None, typer.Option("--option", help="A setting of the model's own, NAME=VALUE; may repeat.")
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="A label, NAME=VALUE; may repeat.")]
MaxCost = Annotated[
    str | None, typer.Option("--max-cost", help="Refuse if it costs more dollars, such as 0.05.")
]
IdempotencyKey = Annotated[
    str | None,
    typer.Option("--idempotency-key", help="The same key again is the same job, not a second one."),
]
Output = Annotated[str | None, typer.Option("-o", "--output", help="Save the clip to this file or folder.")]
Test = Annotated[bool, typer.Option("--test", help="Use the sandbox: the test key, no real money.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the server's JSON as it is.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help="Seconds to wait; the job goes on all the same.")
]


def client_for(*, test: bool) -> FairStack:
    """A client with the live key, or the test key. Raises NotConfigured."""
    from fairstack.client import FairStack

    return FairStack(max_retries=MAX_RETRIES, mode="test" if test else "live")


def is_sandbox(*, test: bool) -> bool:
    """Whether the key that a command uses is a test key, so that its money is test money."""
    from fairstack.connection import connect

    return test or connect(None, None).api_key.startswith("fs_test_")


def named_values(param: str, pairs: Sequence[str] | None) -> dict[str, str] | None:
    """NAME=VALUE texts as a map; raises BadArgument for one without an equals sign."""
    if not pairs:
        return None
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise BadArgument(f"--{param} is written NAME=VALUE, not {pair!r}", param=param)
        found[name] = value
    return found


def json_values(param: str, pairs: Sequence[str] | None) -> dict[str, Any] | None:
    """NAME=VALUE texts as a map; a value that is JSON (5, true, [1]) is taken as such, else as text."""
    named = named_values(param, pairs)
    return {name: _json_or_text(value) for name, value in named.items()} if named else None


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def micros(dollars: str | None) -> int | None:
    """Dollars as whole microdollars; raises BadArgument for anything else."""
    if dollars is None:
        return None
    try:
        amount = Decimal(dollars.removeprefix("$")) * 1_000_000
        whole = int(amount)
    except (InvalidOperation, ValueError, OverflowError):
        raise BadArgument(f"--max-cost is dollars, such as 0.05, not {dollars!r}", param="max_cost") from None
    if whole != amount or whole < 0:
        raise BadArgument(f"--max-cost is dollars, such as 0.05, not {dollars!r}", param="max_cost")
    return whole


def plain_number(value: float | None) -> float | None:
    """5 rather than 5.0."""
    return int(value) if value is not None and value.is_integer() else value
