"""`fairstack status`, `fairstack jobs` and `fairstack cancel`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from fairstack.cli import options
from fairstack.cli.follow import follow
from fairstack.cli.say import answer, facts, note, price, table
from fairstack.errors import NotFound
from fairstack.jobs import JobFacts

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", show_default=False)]


def status(
    job_id: JobId,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until the job ends.")] = False,
    output: options.Output = None,
    timeout: options.Timeout = None,
    test: options.Test = False,
    as_json: options.AsJson = False,
) -> None:
    """Show a job; with --wait or -o, stay to its end."""
    with options.client_for(test=test) as client, _hinting_at_the_other_mode(test):
        job = client.jobs.get(job_id)
        if wait or output is not None:
            follow(job, output, timeout, test=test, as_json=as_json)
        elif as_json:
            answer(job.json)
        else:
            _show(job, sandbox=options.is_sandbox(test=test))


def jobs(
    status: Annotated[
        str | None,
        typer.Option("--status", help="Only these: queued, processing, completed, failed or cancelled."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="Only jobs of this model.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, max=100, help="How many at most.")] = 20,
    test: options.Test = False,
    as_json: options.AsJson = False,
) -> None:
    """List your latest jobs, newest first; those of the sandbox with --test."""
    from itertools import islice

    from fairstack.call import get
    from fairstack.jobs import list_query

    with options.client_for(test=test) as client:
        if as_json:
            answer(client.send(get("/v1/jobs", list_query(status, model, None, None, limit))).text)
            return
        found = client.jobs.list(status=status, model=model, page_size=limit)
        rows = [
            (job.id, job.status, job.model or "", _money(job), _made_at(job)) for job in islice(found, limit)
        ]
    if rows:
        cost = "TEST MONEY" if options.is_sandbox(test=test) else "COST"
        table([("JOB", "STATUS", "MODEL", cost, "SUBMITTED"), *rows])
        if len(rows) == limit:
            note(f"The latest {limit}. More: -n {min(100, limit * 5)}; fewer: --status, --model.")
    else:
        note('No jobs. Make one: fairstack video "a dog on a beach"')


def cancel(job_id: JobId, test: options.Test = False, as_json: options.AsJson = False) -> None:
    """Cancel a job."""
    with options.client_for(test=test) as client, _hinting_at_the_other_mode(test):
        job = client.jobs.cancel(job_id)
    if as_json:
        answer(job.json)
    else:
        _show(job, sandbox=options.is_sandbox(test=test))


@contextmanager
def _hinting_at_the_other_mode(test: bool) -> Iterator[None]:
    """Where a job is not found, say that live and test keys do not see each other's jobs."""
    try:
        yield
    except NotFound as error:
        if options.is_sandbox(test=test):
            error.message += " This is a test key, which sees jobs of the sandbox only: try the live key."
        else:
            error.message += " A job of the sandbox is seen with --test."
        raise


def _show(job: JobFacts, *, sandbox: bool) -> None:
    pairs = [("job", job.id), ("status", job.status), ("model", job.model or "")]
    if job.progress is not None:
        pairs.append(("progress", f"{job.progress:.0%}"))
    if job.cancellation is not None:
        pairs.append(("cancellation", job.cancellation))
    if job.error is not None:
        pairs.append(("error", f"{job.error.code}: {job.error.message}"))
    if job.url is not None:
        pairs.append(("url", job.url))
    cost = price(_money(job), sandbox=sandbox)
    if job.status in ("failed", "cancelled"):
        cost = "nothing was charged"
    facts([*pairs, ("cost", cost), ("submitted", _made_at(job))])


def _money(job: JobFacts) -> str:
    return str(job.cost or job.estimated_cost or "")


def _made_at(job: JobFacts) -> str:
    return job.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if job.created_at else ""
