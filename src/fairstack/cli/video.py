"""`fairstack video` and `fairstack estimate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from fairstack.cli import options
from fairstack.cli.follow import come_back_command, follow
from fairstack.cli.say import EXIT_INTERRUPTED, answer, facts, note, price
from fairstack.errors import ModelUnavailable

if TYPE_CHECKING:
    from fairstack.client import FairStack, Job
    from fairstack.generate import VideoOptions

DEFAULT_T2V = "local-scene-t2v"
DEFAULT_I2V = "local-parallax-i2v"


def video(
    prompt: options.Prompt,
    model: options.ModelKey = None,
    image: options.Image = None,
    duration: options.Duration = None,
    aspect_ratio: options.AspectRatio = None,
    resolution: options.Resolution = None,
    seed: options.Seed = None,
    negative_prompt: options.NegativePrompt = None,
    end_image: options.EndImage = None,
    audio: options.Sound = None,
    webhook_url: options.WebhookUrl = None,
    option: options.Settings = None,
    tag: options.Tags = None,
    max_cost: options.MaxCost = None,
    idempotency_key: options.IdempotencyKey = None,
    output: options.Output = None,
    only_estimate: Annotated[bool, typer.Option("--estimate", help="Only say what it would cost.")] = False,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Submit, print the job's id, and leave.")
    ] = False,
    timeout: options.Timeout = None,
    test: options.Test = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a clip from a prompt, or from a prompt and an image."""
    key = model or (DEFAULT_I2V if image else DEFAULT_T2V)
    wishes: VideoOptions = {
        "image": image,
        "duration": options.plain_number(duration),
        "aspect_ratio": aspect_ratio,
        "resolution": resolution,
        "seed": seed,
        "negative_prompt": negative_prompt,
        "end_image": end_image,
        "audio": audio,
        "webhook_url": webhook_url,
        "options": options.json_values("option", option),
        "tags": options.named_values("tag", tag),
        "max_cost_micro": options.micros(max_cost),
    }
    with options.client_for(test=test) as client:
        if only_estimate:
            show_estimate(client, key, prompt, wishes, test=test, as_json=as_json)
            return
        job = _submit(client, key, prompt, wishes, idempotency_key, test=test)
        if no_wait:
            answer(job.json if as_json else job.id)
            note(f"Come back to it: {come_back_command(job.id, output, test=test)}")
        else:
            cost = price(job.estimated_cost, sandbox=options.is_sandbox(test=test))
            note(f"{job.id} {job.status}, {cost}")
            follow(job, output, timeout, test=test, as_json=as_json)


def estimate(
    prompt: options.Prompt = "estimate",
    model: options.ModelKey = None,
    image: options.Image = None,
    duration: options.Duration = None,
    aspect_ratio: options.AspectRatio = None,
    resolution: options.Resolution = None,
    end_image: options.EndImage = None,
    audio: options.Sound = None,
    option: options.Settings = None,
    test: options.Test = False,
    as_json: options.AsJson = False,
) -> None:
    """Say exactly what a clip would cost; nothing is made or charged."""
    key = model or (DEFAULT_I2V if image else DEFAULT_T2V)
    wishes: VideoOptions = {
        "image": image,
        "duration": options.plain_number(duration),
        "aspect_ratio": aspect_ratio,
        "resolution": resolution,
        "end_image": end_image,
        "audio": audio,
        "options": options.json_values("option", option),
    }
    with options.client_for(test=test) as client:
        show_estimate(client, key, prompt, wishes, test=test, as_json=as_json)


def show_estimate(
    client: FairStack, model: str, prompt: str, wishes: VideoOptions, *, test: bool, as_json: bool
) -> None:
    """Print the price, or the server's answer about it."""
    from fairstack import generate
    from fairstack.client import run

    if as_json:
        request = run(client, generate.estimate_request(model, prompt, wishes))
        answer(client.send(request).text)
    else:
        cost = client.estimate(model=model, prompt=prompt, **wishes)
        facts([("model", model), ("cost", price(cost, sandbox=options.is_sandbox(test=test)))])


def _submit(
    client: FairStack,
    model: str,
    prompt: str,
    wishes: VideoOptions,
    idempotency_key: str | None,
    *,
    test: bool,
) -> Job:
    try:
        return client.generate.video(model=model, prompt=prompt, idempotency_key=idempotency_key, **wishes)
    except ModelUnavailable as error:
        if not options.is_sandbox(test=test):
            error.message += " On this command line: add --test."
        raise
    except KeyboardInterrupt:
        note("\nWhether the job was submitted is not known; see: fairstack jobs" + " --test" * test)
        raise typer.Exit(EXIT_INTERRUPTED) from None
