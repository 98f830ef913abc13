"""What the API answers, as frozen records; fields this version does not know are kept in `extra`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Literal, TypeVar

from fairstack.errors import UnexpectedAnswer

JobStatus = Literal["queued", "processing", "completed", "failed", "cancelled"]
R = TypeVar("R", bound="Record")


def read(kind: type[R], data: object) -> R:
    """Build a record from a JSON object.

    Missing optional fields take their default; an optional field of an unforeseen form is left at its
    default and kept in `extra`. Raises UnexpectedAnswer for a missing required field.
    """
    if not isinstance(data, Mapping):
        raise UnexpectedAnswer(f"The answer should hold a {kind.__name__} object, and holds {data!r:.80}")
    values: dict[str, Any] = {}
    extra = dict(data)
    for known in dataclasses.fields(kind):
        if known.name == "extra" or known.name not in data:
            continue
        try:
            values[known.name] = _value(known.metadata.get("of"), data[known.name])
        except (UnexpectedAnswer, TypeError, ValueError):
            continue
        del extra[known.name]
    try:
        return kind(**values, extra=extra)
    except TypeError as error:
        raise UnexpectedAnswer(f"The answer is not a {kind.__name__}: {error}") from error


def _value(of: Any, raw: Any) -> Any:
    if raw is None or of is None:
        return tuple(raw) if isinstance(raw, list) else raw
    convert = partial(read, of) if isinstance(of, type) else of
    return tuple(convert(item) for item in raw) if isinstance(raw, list) else convert(raw)


_TIME: Mapping[str, Any] = {"of": datetime.fromisoformat}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One JSON object of the API; `extra` has the fields that this version does not know."""

    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money(Record):
    """An amount: whole microdollars, and the same as people read it; `str()` is the display."""

    micro: int
    display: str
    currency: str = "USD"

    def __str__(self) -> str:
        return self.display


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost(Money):
    """What a clip costs (an estimate is a promise: it is what will be charged)."""

    __str__ = Money.__str__


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata(Record):
    """Facts of a clip: pixels, seconds, frames per second, bytes."""

    width: int | None = None
    height: int | None = None
    duration: float | None = None
    fps: float | None = None
    audio: bool | None = None
    bytes: int | None = None
    sha256: str | None = None
    poster_url: str | None = None
    provenance: Any = None
    seed: int | None = None
    #: True for the stand-in clip of a test key.
    test: bool = False
    #: What was asked for and could not be honoured.
    substitutions: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError(Record):
    """Why a job failed."""

    code: str
    message: str = "no reason was given"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord(Record):
    """A job as the server told of it at one moment."""

    id: str
    status: JobStatus
    model: str | None = None
    modality: str = "video"
    created_at: datetime | None = field(default=None, metadata=_TIME)
    completed_at: datetime | None = field(default=None, metadata=_TIME)
    expires_at: datetime | None = field(default=None, metadata=_TIME)
    estimated_cost: Cost | None = field(default=None, metadata={"of": Cost})
    progress: float | None = None
    url: str | None = None
    cost: Cost | None = field(default=None, metadata={"of": Cost})
    metadata: Metadata | None = field(default=None, metadata={"of": Metadata})
    tags: Mapping[str, str] = field(default_factory=dict)
    error: JobError | None = field(default=None, metadata={"of": JobError})
    cancellation: Literal["stopped", "requested", "too_late"] | None = None
    #: The answer exactly as it came, for programs that want the server's own JSON.
    text: str = field(default="", repr=False, compare=False)

    @property
    def ended(self) -> bool:
        """Whether the job will not change any more."""
        return self.status in ("completed", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One server-sent event of a job; `id` is where to resume."""

    id: str | None
    event: str
    data: Mapping[str, Any]

    @property
    def status(self) -> str | None:
        """The job's status, where the event tells it."""
        return self.data.get("status")

    @property
    def progress(self) -> float | None:
        """The job's progress from 0 to 1, where the event tells it."""
        return self.data.get("progress")


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities(Record):
    """What a model can do."""

    durations: Any = None
    aspect_ratios: tuple[str, ...] = ()
    resolutions: tuple[str, ...] = ()
    fps: float | None = None
    audio: bool = False
    #: Whether an input is taken: none, optional or required.
    image: str = "none"
    end_image: str = "none"
    video: str = "none"
    seed: bool = False
    negative_prompt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Record):
    """A model of the catalog; `price` is that of its default clip."""

    key: str
    name: str = ""
    provider: str = ""
    modality: str = "video"
    type: str = ""
    tier: str = ""
    status: str = ""
    description: str = ""
    price: Cost | None = field(default=None, metadata={"of": Cost})
    pricing: tuple[Any, ...] = ()
    capabilities: Capabilities | None = field(default=None, metadata={"of": Capabilities})
    parameters: Mapping[str, Any] | None = field(default=None, repr=False)
    quality_rank: int | None = None
    typical_seconds: float | None = None
    longest_seconds: float | None = None
    available: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits(Record):
    """The wallet: what can be spent, what is held by unfinished jobs, and the caps."""

    balance: Money = field(metadata={"of": Money})
    held: Money | None = field(default=None, metadata={"of": Money})
    caps: Mapping[str, Any] = field(default_factory=dict)
    #: live or test: each has a wallet of its own.
    mode: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry(Record):
    """One entry of the ledger; entries are never changed."""

    id: str
    kind: str | None = None
    amount: Money | None = field(default=None, metadata={"of": Money})
    available_change_micro: int | None = None
    held_change_micro: int | None = None
    job_id: str | None = None
    memo: str = ""
    created_at: datetime | None = field(default=None, metadata=_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow(Record):
    """What one day, model, key or tag used."""

    name: str | None = None
    jobs: int = 0
    cost: Money | None = field(default=None, metadata={"of": Money})


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Record):
    """What was charged between two times, by group."""

    items: tuple[UsageRow, ...] = field(default=(), metadata={"of": UsageRow})
    total: Money | None = field(default=None, metadata={"of": Money})
    group_by: str | None = None
    since: datetime | None = field(default=None, metadata=_TIME)
    until: datetime | None = field(default=None, metadata=_TIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey(Record):
    """An API key; `key` is the secret itself, there only in the answer that made it."""

    id: str
    name: str | None = None
    prefix: str | None = None
    mode: str | None = None
    scopes: tuple[str, ...] = ()
    #: What it may spend in a month; None: no cap of its own.
    cap: Money | None = field(default=None, metadata={"of": Money})
    created_at: datetime | None = field(default=None, metadata=_TIME)
    expires_at: datetime | None = field(default=None, metadata=_TIME)
    revoked_at: datetime | None = field(default=None, metadata=_TIME)
    last_used_at: datetime | None = field(default=None, metadata=_TIME)
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class File(Record):
    """An uploaded file; its `id` can stand where an image URL can."""

    id: str
    content_type: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    url: str | None = None
    width: int | None = None
    height: int | None = None
    created_at: datetime | None = field(default=None, metadata=_TIME)
