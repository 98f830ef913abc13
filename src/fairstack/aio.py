"""The async client: `AsyncFairStack`. Its calls are the flows of `client.py`, awaited."""

from __future__ import annotations

import builtins
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Literal, Self, Unpack

from fairstack import api_keys, credits, files, generate, jobs, models, webhooks
from fairstack.call import call
from fairstack.client import DEFAULT_MAX_RETRIES, DEFAULT_TIMEOUT_SECONDS, manners_of
from fairstack.clock import AsyncClock
from fairstack.connection import connect
from fairstack.errors import FairStackError
from fairstack.flow import Reply, Request
from fairstack.many import DEFAULT_CONCURRENCY, Batch
from fairstack.result import ResultFacts
from fairstack.runner import AsyncRunner
from fairstack.save import SavedFile, save
from fairstack.types import ApiKey, Cost, Credits, File, JobEvent, JobRecord, LedgerEntry, Model, Usage

if TYPE_CHECKING:
    import httpx


class AsyncFairStack:
    """A client of one FairStack server, for one API key. For one event loop.

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
        http_client: httpx.AsyncClient | None = None,
        *,
        clock: AsyncClock | None = None,
        mode: Literal["live", "test"] = "live",
    ) -> None:
        connection = connect(api_key, base_url, mode=mode)
        self._runner = AsyncRunner(
            connection, manners_of(connection.base_url, timeout, max_retries), http_client, clock
        )
        self.generate = AsyncGenerate(self._runner)
        self.jobs = AsyncJobs(self._runner)
        self.models = AsyncModels(self._runner)
        self.credits = AsyncCreditsCalls(self._runner)
        self.ledger = AsyncLedger(self._runner)
        self.files = AsyncFiles(self._runner)
        self.api_keys = AsyncApiKeys(self._runner)
        self.webhooks = webhooks

    def __repr__(self) -> str:
        return f"<AsyncFairStack {self.base_url}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def base_url(self) -> str:
        """Address of the server."""
        return self._runner.connection.base_url

    async def estimate(self, *, model: str, prompt: str, **options: Unpack[generate.VideoOptions]) -> Cost:
        """The exact price of this request; nothing is made, held or charged."""
        return await self.generate.estimate(model=model, prompt=prompt, **options)

    async def usage(
        self,
        group_by: credits.GroupBy = "day",
        since: date | str | None = None,
        until: date | str | None = None,
    ) -> Usage:
        """What was charged, grouped by day, model, key or tag; by default in the last 30 days."""
        return await self._runner.run(credits.usage(group_by, since, until))

    async def send(self, request: Request) -> Reply:
        """Any call of the API, with this client's manners; raises FairStackError unless it succeeds."""
        return await self._runner.run(call(request))

    async def aclose(self) -> None:
        """Close the connections that this client opened."""
        await self._runner.aclose()


class _AsyncCalls:
    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner


class AsyncGenerate(_AsyncCalls):
    """`client.generate`: ask for clips; every call as in `client.py`, awaited."""

    async def video(
        self,
        *,
        model: str,
        prompt: str,
        idempotency_key: str | None = None,
        **options: Unpack[generate.VideoOptions],
    ) -> AsyncJob:
        """Submit a job; returns at once with its id and its price.

        However often the request has to be sent, one job is made: each call carries an Idempotency-Key
        (yours, if you give one, also makes your own repeats safe). Paths, bytes and open files given as
        pictures, video or sound are uploaded first.
        """
        return AsyncJob(
            self._runner, await self._runner.run(generate.submit(model, prompt, options, idempotency_key))
        )

    async def estimate(self, *, model: str, prompt: str, **options: Unpack[generate.VideoOptions]) -> Cost:
        """The exact price of this request; nothing is made, held or charged."""
        return await self._runner.run(generate.estimate(model, prompt, options))

    async def many(
        self,
        requests: Iterable[generate.VideoRequest],
        *,
        concurrency: int = DEFAULT_CONCURRENCY,
        timeout: float | None = None,
        on_progress: Callable[[AsyncJob, int], object] | None = None,
        progress_bar: bool = True,
    ) -> list[AsyncResult | FairStackError]:
        """Make many clips, `concurrency` jobs at a time, and wait for them all.

        For each request its result or its error, in their order: one that fails does not lose the others.
        `timeout` is how long each job is waited for, as in `job.wait()`; `on_progress(job, index)` is called,
        and awaited if it can be, at each look at one of them. A terminal or a notebook shows one bar, unless
        told not to. Ctrl-C, as any cancellation, leaves the jobs running and names them in notes of the
        exception.
        """
        batch = Batch(
            requests,
            lambda record: AsyncJob(self._runner, record),
            lambda record: AsyncResult(self._runner, record),
            timeout,
            on_progress,
        )
        return await self._runner.run(batch.make(concurrency, progress_bar=progress_bar))


class AsyncJobs(_AsyncCalls):
    """`client.jobs`: look at jobs and cancel them."""

    async def get(self, job_id: str, wait: float | None = None) -> AsyncJob:
        """The job now; with `wait`, held by the server up to so many seconds (<= 60) for its end."""
        return AsyncJob(self._runner, await self._runner.run(jobs.fetch(job_id, wait)))

    async def list(
        self,
        *,
        status: str | None = None,
        model: str | None = None,
        created_after: datetime | str | None = None,
        created_before: datetime | str | None = None,
        page_size: int = 20,
    ) -> AsyncIterator[AsyncJob]:
        """All jobs that fit, newest first; pages are fetched as you go."""
        query = jobs.list_query(status, model, created_after, created_before, page_size)
        async for record in self._runner.iterate(jobs.fetch_all(query)):
            yield AsyncJob(self._runner, record)

    async def cancel(self, job_id: str) -> AsyncJob:
        """Cancel the job; `cancellation` says what came of it. Raises JobNotCancellable if it has ended."""
        return AsyncJob(self._runner, await self._runner.run(jobs.cancel(job_id)))


class AsyncModels(_AsyncCalls):
    """`client.models`: the catalog."""

    async def list(
        self,
        *,
        type: str | None = None,
        tier: str | None = None,
        provider: str | None = None,
        status: str | None = None,
        q: str | None = None,
    ) -> builtins.list[Model]:
        """The video models that fit; `type` is t2v, i2v, flf, r2v, v2v, extend, lipsync or upscale."""
        return await self._runner.run(models.fetch_all(models.list_request(type, tier, provider, status, q)))

    async def get(self, key: str) -> Model:
        """One model, by key or alias."""
        return await self._runner.run(models.fetch(key))


class AsyncCreditsCalls(_AsyncCalls):
    """`client.credits`: the wallet."""

    async def get(self) -> Credits:
        """What can be spent, what is held, and the caps."""
        return await self._runner.run(credits.fetch())


class AsyncLedger(_AsyncCalls):
    """`client.ledger`: every movement of money."""

    async def list(self, *, page_size: int = 100) -> AsyncIterator[LedgerEntry]:
        """All entries; pages are fetched as you go."""
        async for entry in self._runner.iterate(credits.ledger(page_size)):
            yield entry


class AsyncFiles(_AsyncCalls):
    """`client.files`: uploads."""

    async def upload(self, source: files.Source) -> File:
        """Upload a picture, clip or sound: a path, bytes or an open file; its id stands where a URL can."""
        return await self._runner.run(files.upload(source))

    async def get(self, file_id: str) -> File:
        """What is known of an uploaded file."""
        return await self._runner.run(files.fetch(file_id))

    async def delete(self, file_id: str) -> None:
        """Delete an uploaded file."""
        await self._runner.run(files.delete(file_id))


class AsyncApiKeys(_AsyncCalls):
    """`client.api_keys`: keys of the account."""

    async def list(self) -> builtins.list[ApiKey]:
        """The account's keys, without their secrets."""
        return await self._runner.run(api_keys.fetch_all())

    async def create(
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
        return await self._runner.run(api_keys.create(name, scopes, mode, cap_micro, expires_at))

    async def update(
        self,
        key_id: str,
        *,
        name: str | None = None,
        scopes: Sequence[str] | None = None,
        cap_micro: int | None = None,
        remove_cap: bool = False,
    ) -> ApiKey:
        """Change what is given; `remove_cap` takes the monthly cap away."""
        return await self._runner.run(api_keys.update(key_id, name, scopes, cap_micro, remove_cap=remove_cap))

    async def revoke(self, key_id: str) -> None:
        """Revoke the key; it is refused from now on."""
        await self._runner.run(api_keys.revoke(key_id))


class AsyncJob(jobs.JobFacts):
    """A job, as last heard of; `wait()` for its result."""

    def __init__(self, runner: AsyncRunner, record: JobRecord) -> None:
        super().__init__(record)
        self._runner = runner

    @property
    def result(self) -> AsyncResult | None:
        """The result, if the job has completed."""
        return AsyncResult(self._runner, self._record) if self.status == "completed" else None

    async def wait(
        self, timeout: float | None = None, on_progress: Callable[[AsyncJob], object] | None = None
    ) -> AsyncResult:
        """Wait until the clip is there; `on_progress(job)` is called, and awaited if it can be, at each look.

        Waits `timeout` seconds, by default as long as the model's longest job. Raises GenerationFailed,
        GenerationCancelled, or WaitTimeout, which leaves the job running and says how to wait again.
        """
        return AsyncResult(self._runner, await self._runner.run(jobs.wait(self, timeout, on_progress)))

    async def refresh(self) -> Self:
        """Ask how the job is now; returns itself, brought up to date."""
        self._hear(await self._runner.run(jobs.fetch(self.id)))
        return self

    async def cancel(self) -> Self:
        """Cancel the job; `cancellation` says what came of it. Raises JobNotCancellable if it has ended."""
        self._hear(await self._runner.run(jobs.cancel(self.id)))
        return self

    def events(self, last_event_id: str | None = None) -> AsyncIterator[JobEvent]:
        """The job's events until it ends, resumed where the stream breaks."""
        return self._runner.iterate(jobs.events(self.id, last_event_id))


class AsyncResult(ResultFacts):
    """A finished clip: where it is, what it cost, what it is."""

    def __init__(self, runner: AsyncRunner, record: JobRecord) -> None:
        super().__init__(record)
        self._runner = runner

    async def save(self, path: str | os.PathLike[str] = ".") -> SavedFile:
        """Copy the clip to `path` (a folder takes it as `<id>.mp4`), checked before it is put in place."""
        return await self._runner.run(save(self.record, path))
