"""/v1/jobs: read, wait, list, cancel, follow"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from fairstack_server.api import query, wire
from fairstack_server.api.answers import HttpRequest, caller_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.bootstrap import Gateway
from fairstack_server.clock import timestamp
from fairstack_server.errors import BadRequest
from fairstack_server.jobs.cancel import came_of
from fairstack_server.jobs.job import State, public_status
from fairstack_server.jobs.reading import JobEvent, JobFilter, JobRecord

WAIT_MAX_SECONDS = 60
_RECHECK_SECONDS = 15.0
_ASK_AGAIN_SECONDS = 2
_STATUSES = ("queued", "processing", "completed", "failed", "cancelled")

_JOB_ID = Param("job_id", "path", "The job's id.", {"type": "string"})
_EVENT_ID_DIGITS = 18
_EVENT_ID = {"type": "string", "pattern": f"^[0-9]{{1,{_EVENT_ID_DIGITS}}}$"}
_JOB = {200: Answer("The job.", wire.JobView)}

GET_JOB = Doc(
    summary="Get a job; `wait` holds the answer until it ends",
    tag="Jobs",
    scope="jobs:read",
    params=(
        _JOB_ID,
        Param(
            "wait",
            "query",
            "Seconds to wait for the end, at most 60. `Prefer: wait=N` says the same.",
            {"type": "integer", "minimum": 0, "maximum": WAIT_MAX_SECONDS},
        ),
    ),
    answers=_JOB,
    errors=("validation_error", "not_found"),
)
LIST_JOBS = Doc(
    summary="List jobs, newest first",
    tag="Jobs",
    scope="jobs:read",
    params=(
        Param("status", "query", "Only jobs of this status.", {"type": "string", "enum": list(_STATUSES)}),
        Param("model", "query", "Only jobs of this model."),
        Param("created_after", "query", "ISO 8601.", {"type": "string", "format": "date-time"}),
        Param("created_before", "query", "ISO 8601.", {"type": "string", "format": "date-time"}),
        Param("limit", "query", "Jobs on a page.", {"type": "integer", "minimum": 1, "maximum": 100}),
        Param("cursor", "query", "`next_cursor` of the page before."),
    ),
    answers={200: Answer("A page of jobs.", wire.JobList)},
    errors=("validation_error",),
)
CANCEL_JOB = Doc(
    summary="Cancel a job that has not ended",
    tag="Jobs",
    scope="generate",
    params=(_JOB_ID,),
    answers={200: Answer("The job, with `cancellation`.", wire.JobView)},
    errors=("not_found", "job_not_cancellable"),
)
JOB_EVENTS = Doc(
    summary="Follow a job by server-sent events",
    tag="Jobs",
    scope="jobs:read",
    params=(_JOB_ID, Param("Last-Event-ID", "header", "Resume after this event.", _EVENT_ID)),
    answers={
        200: Answer(
            "Events `status` and `progress`; the newest `status` carries the job.",
            media_type="text/event-stream",
            events=(wire.JobView, wire.PastStatus, wire.Progress),
        )
    },
    errors=("validation_error", "not_found"),
)
LATE_RESULT = Doc(
    summary="The clip of a job that had been given up, if it came after all; never charged",
    tag="Jobs",
    scope="jobs:read",
    params=(_JOB_ID,),
    answers=_JOB,
    errors=("not_found",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The job routes."""

    @get("/v1/jobs/{job_id:str}", opt=GET_JOB.opt())
    async def get_job(request: HttpRequest, job_id: FromPath[str]) -> Response[bytes]:
        seconds = _wait_seconds(request)
        record = await gateway.reader.get(caller_of(request), job_id)
        if seconds and record.terminal is None:
            record = await _until_ended(gateway, request, record, seconds)
        return _job_answer(gateway, record)

    @get("/v1/jobs", opt=LIST_JOBS.opt())
    async def list_jobs(request: HttpRequest) -> Response[bytes]:
        limit = query.page_limit(request)
        wanted = JobFilter(
            states=_states(query.text(request, "status", _STATUSES)),
            model=_model_key(gateway, query.text(request, "model")),
            created_after=query.moment(request, "created_after"),
            created_before=query.moment(request, "created_before"),
        )
        found = await gateway.reader.page(caller_of(request), wanted, limit + 1, query.cursor(request))
        shown = found[:limit]
        more = len(found) > limit
        after = query.cursor_text(shown[-1].created_at, shown[-1].id) if more else None
        items = b",".join(_job_body(gateway, record) for record in shown)
        page = msgspec.json.encode({"has_more": more, "next_cursor": after})
        return json_answer(b'{"items":[' + items + b"]," + page[1:])

    @post("/v1/jobs/{job_id:str}/cancel", opt=CANCEL_JOB.opt(), status_code=200)
    async def cancel_job(request: HttpRequest, job_id: FromPath[str]) -> Response[bytes]:
        return await _cancel(gateway, request, job_id)

    @delete("/v1/jobs/{job_id:str}", opt=CANCEL_JOB.opt(), status_code=200)
    async def delete_job(request: HttpRequest, job_id: FromPath[str]) -> Response[bytes]:
        return await _cancel(gateway, request, job_id)

    @get("/v1/jobs/{job_id:str}/late_result", opt=LATE_RESULT.opt())
    async def late_result(request: HttpRequest, job_id: FromPath[str]) -> Response[bytes]:
        return json_answer(await gateway.reader.late_result(caller_of(request), job_id))

    @get("/v1/jobs/{job_id:str}/events", opt=JOB_EVENTS.opt())
    async def job_events(request: HttpRequest, job_id: FromPath[str]) -> Stream:
        record = await gateway.reader.get(caller_of(request), job_id)
        stream = _events(gateway, request, record, _last_event(request))
        return Stream(
            stream,
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return [get_job, list_jobs, cancel_job, delete_job, late_result, job_events]


def _job_body(gateway: Gateway, record: JobRecord) -> bytes:
    if record.terminal is not None:
        return record.terminal
    return msgspec.json.encode(
        wire.unfinished_job(
            record.id,
            record.state,
            record.model,
            record.quote_micros,
            record.tags,
            record.created_at,
            gateway.notices.progress(record.id),
        )
    )


def _job_answer(gateway: Gateway, record: JobRecord) -> Response[bytes]:
    headers = {} if record.terminal is not None else {"retry-after": str(_ASK_AGAIN_SECONDS)}
    return json_answer(_job_body(gateway, record), headers=headers)


def _wait_seconds(request: HttpRequest) -> int:
    if "wait" in request.query_params:
        return query.whole(request, "wait", 0, WAIT_MAX_SECONDS, 0)
    for preference in request.headers.get("prefer", "").split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdigit():
            return min(int(value[:6]), WAIT_MAX_SECONDS)
    return 0


async def _until_ended(
    gateway: Gateway, request: HttpRequest, record: JobRecord, seconds: float
) -> JobRecord:
    """The job once it has ended, or as it stands when the time is up."""
    until = gateway.clock.monotonic() + seconds
    async with gateway.notices.of_job(record.id) as inbox:
        record = await gateway.reader.get(caller_of(request), record.id)
        while record.terminal is None and (left := until - gateway.clock.monotonic()) > 0:
            try:
                async with asyncio.timeout(min(left, _RECHECK_SECONDS)):
                    notice = await inbox.get()
            except TimeoutError:
                notice = None
            # Progress is read from memory at the end; only changes are worth a query. Notices may be lost,
            # so the truth is read now and then all the same.
            if notice is None or notice.kind in ("moved", "ended"):
                record = await gateway.reader.get(caller_of(request), record.id)
    return record


def _model_key(gateway: Gateway, named: str | None) -> str | None:
    """The key that jobs are kept under; a model that is not known any more is looked for as it was named."""
    if named is None:
        return None
    try:
        return gateway.catalog.get(named).key
    except BadRequest:
        return named


async def _cancel(gateway: Gateway, request: HttpRequest, job_id: str) -> Response[bytes]:
    caller = caller_of(request)
    cancellation = await gateway.cancelling.cancel(await gateway.reader.get(caller, job_id))
    record = await gateway.reader.get(caller, job_id)
    return json_answer(wire.with_cancellation(_job_body(gateway, record), came_of(cancellation, record)))


def _states(status: str | None) -> tuple[State, ...] | None:
    if status is None:
        return None
    return tuple(state for state in State if public_status(state) == status)


def _last_event(request: HttpRequest) -> int:
    value = request.headers.get("last-event-id", "0")
    if not value.isascii() or not value.isdigit() or len(value) > _EVENT_ID_DIGITS:
        raise BadRequest("Last-Event-ID must be the id of an earlier event.", param="Last-Event-ID")
    return int(value)


async def _events(
    gateway: Gateway, request: HttpRequest, record: JobRecord, last: int
) -> AsyncIterator[bytes]:
    """Every change of status since `last`, progress as it comes; ends with the job."""
    caller = caller_of(request)
    async with gateway.notices.of_job(record.id) as inbox:
        while True:
            # Read before the events, so that none of an ended job can be missing when the stream closes.
            ended = record.terminal is not None
            for event in await gateway.reader.events(record.id, last):
                last = event.seq
                record = await gateway.reader.get(caller, record.id)
                yield _status_event(gateway, record, event)
            if ended:
                return
            if record.terminal is not None:
                continue
            try:
                async with asyncio.timeout(_RECHECK_SECONDS):
                    notice = await inbox.get()
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if notice.kind == "progress" and notice.progress is not None:
                yield _progress_event(wire.Progress(round(notice.progress, 3)))


def _status_event(gateway: Gateway, record: JobRecord, event: JobEvent) -> bytes:
    """An event of the past has only its status; the newest carries the job as GET shows it."""
    if event.status != public_status(record.state):
        data = msgspec.json.encode(wire.PastStatus(record.id, event.status, timestamp(event.created_at)))
    else:
        data = _job_body(gateway, record)
    return b"id: %d\nevent: status\ndata: %s\n\n" % (event.seq, data)


def _progress_event(progress: wire.Progress) -> bytes:
    return b"event: progress\ndata: %s\n\n" % msgspec.json.encode(progress)
