"""Show how a job gets on: a bar on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fairstack.cli.say import note
from fairstack.jobs import JobFacts

_LINE_EVERY_PERCENT = 10
ShowProgress = Callable[[JobFacts], None]


@contextmanager
def progress_of(job: JobFacts) -> Iterator[ShowProgress]:
    """What to call with the job at each look at it."""
    if sys.stderr.isatty():
        with _bar(job) as show:
            yield show
    else:
        yield _lines()


@contextmanager
def _bar(job: JobFacts) -> Iterator[ShowProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{job.id} {job.status}", total=None)

        def show(seen: JobFacts) -> None:
            # A finished job tells no progress of its own any more.
            done = 1.0 if seen.status == "completed" else seen.progress
            text = f"{seen.id} {seen.status}"
            progress.update(
                task, description=text, total=None if done is None else 1.0, completed=done or 0.0
            )

        yield show


def _lines() -> ShowProgress:
    said: tuple[str, int] | None = None

    def show(seen: JobFacts) -> None:
        nonlocal said
        percent = int((seen.progress or 0) * 100)
        news = (seen.status, percent // _LINE_EVERY_PERCENT)
        if news != said and not seen.record.ended:
            note(f"{seen.id} {seen.status}" + (f" {percent} %" if seen.progress is not None else ""))
            said = news

    return show
