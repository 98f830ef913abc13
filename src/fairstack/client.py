"""The sync client: `FairStack`, its jobs and results. `aio.py` is the same on an event loop."""

from __future__ import annotations

import builtins
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

from fairstack import api_keys, credits, files, generate, jobs, models, webhooks
from fairstack.call import call
from fairstack.clock import Clock
from fairstack.connection import connect
from fairstack.errors import BadArgument, FairStackError
from fairstack.flow import Flow, Manners, Reply, Request
from fairstack.many import DEFAULT_CONCURRENCY, Batch
from fairstack.result import ResultFacts
from fairstack.runner import Runner
from fairstack.save import SavedFile, save
from fairstack.types import ApiKey, Cost, Credits, File, JobEvent, JobRecord, LedgerEntry, Model, Usage

if TYPE_CHECKING:
    import httpx

DEFAULT_TIMEOUT_SECONDS = 60.0
DEFAULT_MAX_RETRIES = 4


def manners_of(base_url: str, timeout: float, max_retries: int) -> Manners:
    """The manners of a client with these settings; raises BadArgument for impossible ones."""
    if not 0 < timeout < float("inf"):
        raise BadArgument("timeout must be more than 0 seconds, and not endless", param="timeout")
    if max_retries < 0:
        raise BadArgument("max_retries must be 0 or more", param="max_retries")
    return Manners(base_url, timeout, max_retries, draw=random.random)


class FairStack:
    """A client of one FairStack server, for one API key. Safe to share between threads.

    The key is `api_key`, else `FAIRSTACK_API_KEY`, else what the server's first start on this machine
    wrote; the server is `base_url`, else `FAIRSTACK_BASE_URL`, else the local one. `timeout` is the
    seconds that one request may be silent; `max_retries` how often one is sent again where that is safe.
    `mode="test"` takes the stored test key: the sandbox. A `clock` of your own lets tests pass the time.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = DEFAULT_TIMEOUT_SECONDS,
        max_retries: int = DEFAULT_MAX_RETRIES,
        http_client: httpx.Client | None = None,
        *,
        clock: Clock | None = None,
        mode: Literal["live", "test"] = "live",
    ) -> None:
        connection = connect(api_key, base_url, mode=mode)
        self._runner = Runner(
            connection, manners_of(connection.base_url, timeout, max_retries), http_client, clock
        )
        self.generate = Generate(self._runner)
        self.jobs = Jobs(self._runner)
        self.models = Models(self._runner)
        self.credits = CreditsCalls(self._runner)
        self.ledger = Ledger(self._runner)
        self.files = Files(self._runner)
        self.api_keys = ApiKeys(self._runner)
        self.webhooks = webhooks

    def __repr__(self) -> str:
        return f"<FairStack {self.base_url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """Address of the server."""
        return self._runner.connection.base_url

    def estimate(self, *, model: str, prompt: str, **options: Unpack[generate.VideoOptions]) -> Cost:
        """The exact price of this request; nothing is made, held or charged."""
        return self.generate.estimate(model=model, prompt=prompt, **options)

    def usage(
        self,
        group_by: credits.GroupBy = "day",
        since: date | str | None = None,
        until: date | str | None = None,
    ) -> Usage:
        """What was charged, grouped by day, model, key or tag; by default in the last 30 days."""
        return self._runner.run(credits.usage(group_by, since, until))

    def send(self, request: Request) -> Reply:
        """Any call of the API, with this client's manners; raises FairStackError unless it succeeds."""
        return self._runner.run(call(request))

    def close(self) -> None:
        """Close the connections that this client opened."""
        self._runner.close()


class _Calls:
    def __init__(self, runner: Runner) -> None:
        self._runner = runner


class Generate(_Calls):
    """`client.generate`: ask for clips."""

    def video(
        self,
        *,
        model: str,
        prompt: str,
        idempotency_key: str | None = None,
        **options: Unpack[generate.VideoOptions],
    ) -> Job:
        """Submit a job; returns at once with its id and its price.

        However often the request has to be sent, one job is made: each call carries an Idempotency-Key
        (yours, if you give one, also makes your own repeats safe). Paths, bytes and open files given as
        pictures, video or sound are uploaded first.
        """
        return Job(self._runner, self._runner.run(generate.submit(model, prompt, options, idempotency_key)))

    def estimate(self, *, model: str, prompt: str, **options: Unpack[generate.VideoOptions]) -> Cost:
        """The exact price of this request; nothing is made, held or charged."""
        return self._runner.run(generate.estimate(model, prompt, options))

    def many(
        self,
        requests: Iterable[generate.VideoRequest],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        timeout: float | None = None,
        on_progress: Callable[[Job, int], object] | None = None,
        progress_bar: bool = True,
    ) -> list[Result | FairStackError]:
        """Make many clips, `concurrency` jobs at a time, and wait for them all.

        For each request its result or its error, in their order: one that fails does not lose the others.
        `timeout` is how long each job is waited for, as in `job.wait()`; `on_progress(job, index)` is called
        at each look at one of them. A terminal or a notebook shows one bar, unless told not to.
        Ctrl-C leaves the jobs running and names them in notes of the exception.
        """
        batch = Batch(
            requests,
            lambda record: Job(self._runner, record),
            lambda record: Result(self._runner, record),
            timeout,
            on_progress,
        )
        return self._runner.run(batch.make(concurrency, progress_bar=progress_bar))


class Jobs(_Calls):
    """`client.jobs`: look at jobs and cancel them."""

    def get(self, job_id: str, wait: float | None = None) -> Job:
        """The job now; with `wait`, held by the server up to so many seconds (<= 60) for its end."""
        return Job(self._runner, self._runner.run(jobs.fetch(job_id, wait)))

    def list(
        self,
        *,
        status: str | None = None,
        model: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        page_size: int = 20,
    ) -> Iterator[Job]:
        """All jobs that fit, newest first; pages are fetched as you go."""
        query = jobs.list_query(status, model, created_after, created_before, page_size)
        for record in self._runner.iterate(jobs.fetch_all(query)):
            yield Job(self._runner, record)

    def cancel(self, job_id: str) -> Job:
        """Cancel the job; `cancellation` says what came of it. Raises JobNotCancellable if it has ended."""
        return Job(self._runner, self._runner.run(jobs.cancel(job_id)))


class Models(_Calls):
    """`client.models`: the catalog."""

    def list(
        self,
        *,
        type: str | None = None,
        tier: str | None = None,
        provider: str | None = None,
        status: str | None = None,
        q: str | None = None,
    ) -> builtins.list[Model]:
        """The video models that fit; `type` is t2v, i2v, flf, r2v, v2v, extend, lipsync or upscale."""
        return self._runner.run(models.fetch_all(models.list_request(type, tier, provider, status, q)))

    def get(self, key: str) -> Model:
        """One model, by key or alias."""
        return self._runner.run(models.fetch(key))


class CreditsCalls(_Calls):
    """`client.credits`: the wallet."""

    def get(self) -> Credits:
        """What can be spent, what is held, and the caps."""
        return self._runner.run(credits.fetch())


class Ledger(_Calls):
    """`client.ledger`: every movement of money."""

    def list(self, *, page_size: int = 100) -> Iterator[LedgerEntry]:
        """All entries; pages are fetched as you go."""
        yield from self._runner.iterate(credits.ledger(page_size))


class Files(_Calls):
    """`client.files`: uploads."""

    def upload(self, source: files.Source) -> File:
        """Upload a picture, clip or sound: a path, bytes or an open file; its id stands where a URL can."""
        return self._runner.run(files.upload(source))

    def get(self, file_id: str) -> File:
        """What is known of an uploaded file."""
        return self._runner.run(files.fetch(file_id))

    def delete(self, file_id: str) -> None:
        """Delete an uploaded file."""
        self._runner.run(files.delete(file_id))


class ApiKeys(_Calls):
    """`client.api_keys`: keys of the account."""

    def list(self) -> builtins.list[ApiKey]:
        """The account's keys, without their secrets."""
        return self._runner.run(api_keys.fetch_all())

    def create(
        self,
        name: str,
        scopes: Sequence[str] | None = None,
        mode: Literal["live", "test"] | None = None,
        cap_micro: int | None = None,
        expires_at: datetime | str | None = None,
    ) -> ApiKey:
        """Make a key; `.key` of the answer is the secret, shown this once.

        What is left out is as in the key that asks; `cap_micro` is what it may spend in a month.
        """
        return self._runner.run(api_keys.create(name, scopes, mode, cap_micro, expires_at))

    def update(
        self,
        key_id: str,
        *,
        name: str | None = None,
        scopes: Sequence[str] | None = None,
        cap_micro: int | None = None,
        remove_cap: bool = False,
    ) -> ApiKey:
        """Change what is given; `remove_cap` takes the monthly cap away."""
        return self._runner.run(api_keys.update(key_id, name, scopes, cap_micro, remove_cap=remove_cap))

    def revoke(self, key_id: str) -> None:
        """Revoke the key; it is refused from now on."""
        self._runner.run(api_keys.revoke(key_id))


class Job(jobs.JobFacts):
    """A job, as last heard of; `wait()` for its result."""

    def __init__(self, runner: Runner, record: JobRecord) -> None:
        super().__init__(record)
        self._runner = runner

    @property
    def result(self) -> Result | None:
        """The result, if the job has completed."""
        return Result(self._runner, self._record) if self.status == "completed" else None

    def wait(
        self, timeout: float | None = None, on_progress: Callable[[Job], object] | None = None
    ) -> Result:
        """Block until the clip is there; `on_progress(job)` is called at each look.

        Waits `timeout` seconds, by default as long as the model's longest job. Raises GenerationFailed,
        GenerationCancelled, or WaitTimeout, which leaves the job running and says how to wait again.
        """
        return Result(self._runner, self._runner.run(jobs.wait(self, timeout, on_progress)))

    def refresh(self) -> Self:
        """Ask how the job is now; returns itself, brought up to date."""
        self._hear(self._runner.run(jobs.fetch(self.id)))
        return self

    def cancel(self) -> Self:
        """Cancel the job; `cancellation` says what came of it. Raises JobNotCancellable if it has ended."""
        self._hear(self._runner.run(jobs.cancel(self.id)))
        return self

    def events(self, last_event_id: str | None = None) -> Iterator[JobEvent]:
        """The job's events until it ends, resumed where the stream breaks."""
        return self._runner.iterate(jobs.events(self.id, last_event_id))


class Result(ResultFacts):
    """A finished clip: where it is, what it cost, what it is."""

    def __init__(self, runner: Runner, record: JobRecord) -> None:
        super().__init__(record)
        self._runner = runner

    def save(self, path: str | os.PathLike[str] = ".") -> SavedFile:
        """Copy the clip to `path` (a folder takes it as `<id>.mp4`), checked before it is put in place."""
        return self._runner.run(save(self.record, path))


def run(client: FairStack, flow: Flow[Any]) -> Any:
    """Run a flow of this package on a client; for the command line."""
    return client._runner.run(flow)
