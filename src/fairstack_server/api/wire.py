"""Every public JSON shape, and nothing else knows them. Key order is part of the contract.

Structs are the shapes as the OpenAPI page shows them; the functions below them write our values into them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from fairstack_server.clock import timestamp
from fairstack_server.ids import Mode
from fairstack_server.jobs.job import Completion, EndedJob, State, public_status
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.money import display

Micro = Annotated[int, Meta(description="Microdollars: 1 USD = 1,000,000.", examples=[48000])]
Display = Annotated[str, Meta(description="The amount for people.", examples=["$0.048"])]
Timestamp = Annotated[str, Meta(description="ISO 8601, UTC.", examples=["2026-11-22T09:30:00.000Z"])]
JobId = Annotated[str, Meta(pattern="^job_[0-9A-Za-z]{24}$", examples=["job_4Zb9pXw2Lk7Qe1TnVd3RsYuM"])]
Status = Literal["queued", "processing", "completed", "failed", "cancelled"]


class Estimate(Struct):
    """A price that is promised: exactly what will be charged."""

    micro: Micro
    display: Display


class Cost(Struct):
    """What was charged."""

    micro: Micro
    display: Display
    currency: Literal["USD"] = "USD"


class VideoRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A clip to make. Which values a model takes is in its `parameters` (GET /v1/models/{key})."""

    model: Annotated[str, Meta(description="Model key or alias.", examples=["wan-2-1-t2v"])]
    prompt: Annotated[str, Meta(description="What the clip shows.", min_length=1, max_length=20_000)]
    image: (
        Annotated[str, Meta(description="https URL, data: URL or file id; image-to-video models.")] | None
    ) = None
    duration: Annotated[float, Meta(description="Seconds.")] | None = None
    aspect_ratio: Annotated[str, Meta(examples=["16:9", "9:16", "1:1"])] | None = None
    resolution: Annotated[str, Meta(description="Default: 720p where the model has it.")] | None = None
    webhook_url: Annotated[str, Meta(description="Gets one signed POST when the job ends.")] | None = None
    confirm: Annotated[bool, Meta(description="false: only the exact price.")] | None = None
    negative_prompt: str | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None
    end_image: Annotated[str, Meta(description="Last frame; first-last-frame models.")] | None = None
    images: Annotated[list[str], Meta(description="Reference images; reference models.")] | None = None
    audio_url: Annotated[str, Meta(description="Sound, given as `image` is; lip-sync models.")] | None = None
    video: Annotated[str, Meta(description="Clip, given as `image` is; video-to-video models.")] | None = None
    audio: Annotated[bool, Meta(description="Make sound, where the model can.")] | None = None
    options: Annotated[dict[str, Any], Meta(description="The model's own further settings.")] | None = None
    tags: (
        Annotated[dict[str, str], Meta(description="Up to 20 labels of your own.", max_length=20)] | None
    ) = None
    max_cost_micro: Annotated[int, Meta(description="Refuse with 402 when it costs more.", ge=0)] | None = (
        None
    )
    cancel_after: Annotated[float, Meta(description="Cancel after that many seconds.", gt=0)] | None = None


class Submitted(Struct):
    """The job is accepted and its price is held."""

    id: JobId
    status: Literal["queued"]
    estimated_cost: Estimate


class Estimated(Struct):
    """The exact price; no clip, no charge, nothing stored."""

    estimated_cost: Estimate


class JobError(Struct):
    """Why there is no clip."""

    code: Literal["content_filtered", "generation_failed", "provider_unavailable"]
    message: str


class Metadata(Struct, kw_only=True):
    """Facts of the stored clip, measured on the file itself."""

    width: int
    height: int
    duration: Annotated[float, Meta(description="Seconds.")]
    fps: float
    audio: bool
    bytes: int
    sha256: str
    poster_url: str | None
    provenance: dict[str, Any]
    seed: int | UnsetType = UNSET
    substitutions: (
        Annotated[list[str], Meta(description="What was asked for and could not be honoured.")] | UnsetType
    ) = UNSET
    late_result: bool | UnsetType = UNSET
    test: bool | UnsetType = UNSET


class JobView(Struct, kw_only=True):
    """A job; which keys are there depends on its status."""

    id: JobId
    status: Status
    url: Annotated[str, Meta(description="The clip; does not expire.")] | UnsetType = UNSET
    model: str
    modality: Literal["video"] = "video"
    cost: Cost | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    error: JobError | UnsetType = UNSET
    estimated_cost: Estimate | UnsetType = UNSET
    progress: Annotated[float, Meta(ge=0, le=1)] | UnsetType | None = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    created_at: Timestamp
    completed_at: Timestamp | UnsetType = UNSET
    cancellation: Literal["stopped", "requested", "too_late"] | UnsetType = UNSET


class PastStatus(Struct, forbid_unknown_fields=True):
    """An event `status` that is not the newest."""

    id: JobId
    status: Status
    created_at: Timestamp


class Progress(Struct, forbid_unknown_fields=True):
    """An event `progress`."""

    progress: Annotated[float, Meta(ge=0, le=1)]


class JobList(Struct):
    """A page of jobs, newest first."""

    items: list[JobView]
    has_more: bool
    next_cursor: str | None


class ErrorBody(Struct, kw_only=True):
    """What went wrong and what to do."""

    code: str
    message: str
    status: int
    request_id: str
    param: str | UnsetType = UNSET
    allowed: Any | UnsetType = UNSET
    details: dict[str, Any] | UnsetType = UNSET


class ErrorAnswer(Struct):
    """Every error has this shape."""

    error: ErrorBody


# --- writing


def estimate(micros: int) -> Estimate:
    """A promised price."""
    return Estimate(micros, display(micros))


def cost(micros: int) -> Cost:
    """A charge or a balance."""
    return Cost(micros, display(micros))


def plain_number(value: float) -> float:
    """5 rather than 5.0 where a number is whole."""
    return int(value) if value == int(value) else round(value, 3)


def unfinished_job(
    job_id: str,
    state: State,
    model: str,
    quote_micros: int,
    tags: Mapping[str, str],
    created_at: datetime,
    progress: float | None,
) -> JobView:
    """A job that is queued or processing."""
    return JobView(
        id=job_id,
        status=public_status(state),
        model=model,
        estimated_cost=estimate(quote_micros),
        progress=None if progress is None else round(progress, 3),
        tags=dict(tags) or UNSET,
        created_at=timestamp(created_at),
    )


def ended_job(job: EndedJob) -> bytes:
    """The exact bytes that GET /v1/jobs/{id}, the webhook and every face serve from now on."""
    view = JobView(
        id=job.id,
        status=public_status(job.state),
        model=job.model,
        cost=cost(job.charge_micros),
        tags=dict(job.tags) or UNSET,
        created_at=timestamp(job.created_at),
        completed_at=timestamp(job.ended_at),
    )
    if job.completion is not None:
        view.url = job.completion.url
        view.metadata = _metadata(job.completion, job.mode, late=job.late_result)
    if job.failure is not None:
        view.error = JobError(job.failure.code, job.failure.message)
    return msgspec.json.encode(view)


def _metadata(done: Completion, mode: Mode, *, late: bool) -> Metadata:
    return Metadata(
        width=done.width,
        height=done.height,
        duration=plain_number(done.duration_seconds),
        fps=plain_number(done.fps),
        audio=done.audio,
        bytes=done.bytes,
        sha256=done.sha256,
        poster_url=done.poster_url,
        provenance=dict(done.provenance),
        seed=UNSET if done.seed is None else done.seed,
        substitutions=list(done.substitutions) or UNSET,
        late_result=late or UNSET,
        test=mode == "test" or UNSET,
    )


def with_cancellation(body: bytes, cancellation: str) -> bytes:
    """A job's answer with what came of the wish to cancel it."""
    answer: JSONObject = msgspec.json.decode(body)
    answer["cancellation"] = cancellation
    return msgspec.json.encode(answer)
