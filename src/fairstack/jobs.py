"""Look at jobs, wait for them, cancel them; the flows behind `client.jobs` and `job.wait()`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from fairstack.call import call, error_of, get, json_of, query_of
from fairstack.errors import (
    BadArgument,
    Conflict,
    FairStackError,
    GenerationCancelled,
    GenerationFailed,
    InternalError,
    NotFound,
    RateLimited,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimeout,
)
from fairstack.files import path_part
from fairstack.flow import (
    Broken,
    Emit,
    Flow,
    OpenStream,
    ReadLine,
    Reply,
    Request,
    Tell,
    manners,
    now,
    sleep,
)
from fairstack.retry import RETRY_AFTER_MAX_SECONDS, retry_after_seconds
from fairstack.sse import EventReader
from fairstack.types import Cost, JobError, JobRecord, JobStatus, Metadata, Model, read

#: The longest that the server is asked to hold an answer.
HOLD_MAX_SECONDS = 60
#: With a progress callback the answer is held shorter, so that there is news to tell.
HOLD_WITH_PROGRESS_SECONDS = 2
#: Two looks at a job are at least so far apart, whatever the server says.
LOOK_GAP_SECONDS = 0.5
#: The wait of a job whose model does not say how long it may take.
LONGEST_JOB_SECONDS = 3600.0
#: A wait or an event stream outlives a server that is away for so long, such as during its restart.
OUTAGE_PATIENCE_SECONDS = 60.0
OUTAGE_GAP_SECONDS = 1.0
#: An event stream that is silent for so long is taken for dead and opened again.
STREAM_SILENCE_SECONDS = 75.0
ENDED = ("completed", "failed", "cancelled")
_MENDS_ITSELF = (Unreachable, Unavailable, InternalError, RateLimited)
_T = TypeVar("_T")


class JobFacts:
    """What was last heard of a job."""

    def __init__(self, record: JobRecord) -> None:
        self._record = record
        self._estimated_cost = record.estimated_cost

    def __repr__(self) -> str:
        progress = f", progress={self.progress}" if self.progress is not None else ""
        return f"<{type(self).__name__} {self.id} {self.status} model={self.model}{progress}>"

    def _hear(self, record: JobRecord) -> None:
        """Take in the server's latest answer about this job."""
        self._record = record
        # A finished job's answer has the charge instead; what was promised stays known.
        self._estimated_cost = record.estimated_cost or self._estimated_cost

    @property
    def record(self) -> JobRecord:
        """All of it, as one frozen record."""
        return self._record

    @property
    def id(self) -> str:
        """The job's id, `job_…`."""
        return self._record.id

    @property
    def status(self) -> JobStatus:
        """queued, processing, completed, failed or cancelled."""
        return self._record.status

    @property
    def model(self) -> str | None:
        """Key of the model."""
        return self._record.model

    @property
    def estimated_cost(self) -> Cost | None:
        """The price promised at submit, where this job was seen before it ended."""
        return self._estimated_cost

    @property
    def progress(self) -> float | None:
        """From 0 to 1, or None if the provider does not tell."""
        return self._record.progress

    @property
    def created_at(self) -> datetime | None:
        """When the job was submitted."""
        return self._record.created_at

    @property
    def completed_at(self) -> datetime | None:
        """When the job ended."""
        return self._record.completed_at

    @property
    def url(self) -> str | None:
        """Address of the clip, once completed."""
        return self._record.url

    @property
    def cost(self) -> Cost | None:
        """What was charged, once completed."""
        return self._record.cost

    @property
    def metadata(self) -> Metadata | None:
        """Facts of the clip, once completed."""
        return self._record.metadata

    @property
    def error(self) -> JobError | None:
        """Why the job failed, if it did."""
        return self._record.error

    @property
    def cancellation(self) -> str | None:
        """What a cancel achieved: stopped, requested or too_late."""
        return self._record.cancellation

    @property
    def json(self) -> str:
        """The server's last answer about this job, exactly as it came."""
        return self._record.text


def fetch(job_id: str, wait: float | None = None) -> Flow[JobRecord]:
    """The job now; with `wait`, held by the server up to so many whole seconds (<= 60) for its end."""
    if wait is not None and not 0 <= wait <= HOLD_MAX_SECONDS:
        raise BadArgument(f"wait must be 0 to {HOLD_MAX_SECONDS} seconds, not {wait:g}", param="wait")
    return (yield from _read_job((yield from call(_look(job_id, wait)))))


def _look(
    job_id: str,
    hold_seconds: float | None = None,
    read_timeout_seconds: float | None = None,
) -> Request:
    return Request(
        method="GET",
        path=f"/v1/jobs/{path_part(job_id)}",
        query=query_of({"wait": math.ceil(hold_seconds) if hold_seconds else None}),
        read_timeout_seconds=read_timeout_seconds,
    )


def _read_job(reply: Reply) -> Flow[JobRecord]:
    answer = yield from json_of(reply)
    return read(JobRecord, {**answer, "text": reply.text} if isinstance(answer, dict) else answer)


def cancel(job_id: str) -> Flow[JobRecord]:
    """Cancel the job; a job that is cancelled already is simply returned.

    Raises JobNotCancellable if it has ended otherwise.
    """
    try:
        reply = yield from call(Request(method="POST", path=f"/v1/jobs/{path_part(job_id)}/cancel"))
    except Conflict:
        # Our own first try may have done it, its answer lost.
        record = yield from fetch(job_id)
        if record.status != "cancelled":
            raise
        return record
    return (yield from _read_job(reply))


def listing(path: str, query: dict[str, object], convert: Callable[[Any], _T]) -> Flow[None]:
    """Emit every item of a cursor list, asking for a page only when it is needed."""
    cursor: str | None = None
    while True:
        page = yield from json_of((yield from call(get(path, {**query, "cursor": cursor}))))
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise UnexpectedAnswer(f"{path} did not answer with a page of items")
        for item in page["items"]:
            yield Emit(convert(item))
        following = page.get("next_cursor")
        if not page.get("has_more") or not following or following == cursor:
            return
        cursor = following


def list_query(
    status: str | None,
    model: str | None,
    created_after: datetime | str | None,
    created_before: datetime | str | None,
    page_size: int,
) -> dict[str, object]:
    """The query of a list of jobs."""
    return {
        "status": status,
        "model": model,
        "created_after": created_after,
        "created_before": created_before,
        "limit": page_size,
    }


def fetch_all(query: dict[str, object]) -> Flow[None]:
    """Emit the record of every job that fits."""
    yield from listing("/v1/jobs", query, lambda item: read(JobRecord, item))


def wait(job: JobFacts, timeout: float | None, on_progress: Callable[[Any], Any] | None) -> Flow[JobRecord]:
    """Wait until the job has completed, keeping `job` up to date.

    Raises GenerationFailed, GenerationCancelled, or WaitTimeout after `timeout` seconds (None: the model's
    longest job time); a server that is away for less than a minute does not end the wait.
    """
    if timeout is not None and timeout < 0:
        raise BadArgument("timeout must be 0 or more seconds", param="timeout")
    started = yield from now()
    while not job.record.ended:
        asked_at = yield from now()
        # The model is asked for its longest time only when the job was not quick.
        if timeout is None and asked_at > started:
            timeout = yield from _longest_seconds(job.model)
        left = (timeout if timeout is not None else LONGEST_JOB_SECONDS) - (asked_at - started)
        pause = yield from _look_once(job, max(left, 0.0), held_short=on_progress is not None)
        if on_progress is not None:
            yield Tell(on_progress, job)
        if job.record.ended:
            break
        current = yield from now()
        limit = started + timeout if timeout is not None else None
        if limit is not None and current >= limit:
            raise WaitTimeout(job, timeout or 0.0)
        due = current + pause if limit is None else min(current + pause, limit)
        yield from sleep(max(due, asked_at + LOOK_GAP_SECONDS) - current)
    return _ended(job)


def _look_once(job: JobFacts, left_seconds: float, *, held_short: bool) -> Flow[float]:
    """Take one look at the job; answers how long the server wants us to stay away."""
    ours = yield from manners()
    # The deadline also bounds the request in flight; the hold ends before the read timeout does.
    left = max(left_seconds, 1.0)
    read_timeout = min(ours.timeout_seconds, left)
    hold = int(min(HOLD_WITH_PROGRESS_SECONDS if held_short else HOLD_MAX_SECONDS, read_timeout * 0.8))
    asked_at = yield from now()
    reply = yield from _patiently(job.id, _look(job.id, hold, read_timeout), left)
    job._hear((yield from _read_job(reply)))
    if (yield from now()) - asked_at >= hold > 0:
        # The server held the answer for its full time: asking again to be held costs nobody anything.
        return 0.0
    return min(retry_after_seconds(reply.headers) or 0.0, RETRY_AFTER_MAX_SECONDS)


def _patiently(job_id: str, request: Request, left_seconds: float) -> Flow[Reply]:
    """Call, outliving an outage of the server; errors carry the job's id and how to resume."""
    patience = min(OUTAGE_PATIENCE_SECONDS, left_seconds)
    started = yield from now()
    away = 0.0
    while True:
        try:
            return (yield from call(replace(request, retry_seconds=max(patience - away, 0.0))))
        except FairStackError as error:
            error.job_id = job_id
            away = (yield from now()) - started
            if not isinstance(error, _MENDS_ITSELF) or away >= patience:
                if not isinstance(error, NotFound):
                    error.message += f' The job goes on; wait again: client.jobs.get("{job_id}").wait()'
                raise
            pause = max(OUTAGE_GAP_SECONDS, error.retry_after_seconds or 0.0)
        yield from sleep(min(pause, max(patience - away, OUTAGE_GAP_SECONDS)))


def _longest_seconds(model_key: str | None) -> Flow[float]:
    if model_key is None:
        return LONGEST_JOB_SECONDS
    try:
        answer = yield from json_of((yield from call(get(f"/v1/models/{path_part(model_key)}"))))
        longest = read(Model, answer).longest_seconds
    except FairStackError:
        # A limit is all that is wanted here; the wait itself tells of a server that is away.
        return LONGEST_JOB_SECONDS
    return float(longest) if isinstance(longest, int | float) and longest > 0 else LONGEST_JOB_SECONDS


def _ended(job: JobFacts) -> JobRecord:
    if job.status == "failed":
        raise GenerationFailed(job)
    if job.status == "cancelled":
        raise GenerationCancelled(job)
    return job.record


def events(job_id: str, last_event_id: str | None) -> Flow[None]:
    """Emit the job's events until it has ended, resuming a broken stream where it broke."""
    reader = EventReader(last_event_id)
    heard_at = yield from now()
    while True:
        opened_at = yield from now()
        outcome = yield from _open(job_id, reader.last_id)
        line: str | Broken | None = None
        told = False
        while isinstance(outcome, Reply):
            line = yield ReadLine()
            if not isinstance(line, str):
                break
            heard_at = yield from now()
            event = reader.feed(line)
            if event is not None:
                told = True
                yield Emit(event)
                if event.status in ENDED:
                    return
        reader.forget()
        ended_in_silence = isinstance(outcome, Reply) and line is None and not told
        if ended_in_silence and (yield from fetch(job_id)).ended:
            return  # asked to resume after the last event
        current = yield from now()
        if current - heard_at > OUTAGE_PATIENCE_SECONDS + STREAM_SILENCE_SECONDS:
            raise Unreachable(f"The events of {job_id} broke off and did not come back.", job_id=job_id)
        gap = max(LOOK_GAP_SECONDS, reader.retry_seconds or 1.0)
        yield from sleep(max(0.0, opened_at + gap - current))


def _open(job_id: str, last_event_id: str | None) -> Flow[Reply | Broken]:
    headers = {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    request = Request(
        method="GET",
        path=f"/v1/jobs/{path_part(job_id)}/events",
        headers=headers,
        read_timeout_seconds=STREAM_SILENCE_SECONDS,
    )
    outcome: Reply | Broken = yield OpenStream(request)
    if isinstance(outcome, Broken) or outcome.status == 200:
        return outcome
    error = error_of((yield from manners()), request, outcome)
    error.job_id = job_id
    if not isinstance(error, _MENDS_ITSELF):
        raise error
    yield from sleep(min(error.retry_after_seconds or 0.0, RETRY_AFTER_MAX_SECONDS))
    return Broken(sent=True, reason=str(outcome.status))
