"""Stay with a job to its end, then show and save what came of it."""

from __future__ import annotations

import typer

from fairstack.cli.options import is_sandbox
from fairstack.cli.progress import progress_of
from fairstack.cli.say import EXIT_INTERRUPTED, answer, facts, note, price
from fairstack.client import Job, Result
from fairstack.errors import GenerationCancelled, GenerationFailed, WaitTimeout
from fairstack.save import SavedFile


def follow(job: Job, output: str | None, timeout: float | None, *, test: bool, as_json: bool) -> None:
    """Wait with a progress bar, save, print. Ctrl-C leaves the job running and says how to come back."""
    come_back = come_back_command(job.id, output, test=test)
    try:
        with progress_of(job) as show:
            result = job.wait(timeout=timeout, on_progress=show)
        saved = result.save(output) if output is not None else None
    except KeyboardInterrupt:
        note(f"\n{job.id} goes on. Come back to it: {come_back}")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except WaitTimeout as error:
        error.message = f"{job.id} is still {job.status}. It goes on; come back to it: {come_back}"
        raise
    except (GenerationFailed, GenerationCancelled) as error:
        if as_json:
            answer(job.json)
        if "charged nothing" not in error.message:
            error.message = f"{error.message.rstrip('.')}. You were charged nothing."
        raise
    if as_json:
        answer(result.json)
    else:
        show_result(result, saved, sandbox=is_sandbox(test=test))


def show_result(result: Result, saved: SavedFile | None, *, sandbox: bool) -> None:
    """Print where the clip is, what it is and what it cost."""
    clip = result.metadata
    pairs = [("url", result.url)]
    if saved is not None:
        pairs.append(("file", f"{saved} ({saved.size})"))
    pairs += [
        ("clip", f"{clip.width}x{clip.height}, {clip.duration:g} s, {clip.fps:g} fps"),
        ("cost", price(result.cost, sandbox=sandbox)),
    ]
    if clip.substitutions:
        pairs.append(("changed", "; ".join(str(substitution) for substitution in clip.substitutions)))
    facts(pairs)


def come_back_command(job_id: str, output: str | None, *, test: bool) -> str:
    """The command that takes up the wait for this job."""
    import shlex

    words = ["fairstack", "status", job_id, "--wait"]
    words += ["-o", output] if output is not None else []
    words += ["--test"] if test else []
    return shlex.join(words)
