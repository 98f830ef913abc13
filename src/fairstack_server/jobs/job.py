"""What a job is, the states it can be in and the moves between them. Pure: no clock, no SQL, no HTTP."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from fairstack_server.ids import Mode
from fairstack_server.jsonvalue import JSON, JSONObject


class State(enum.StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """Accepted and paid for by a hold; nobody was asked to render yet."""
    SUBMITTING = "submitting"
    """An intent is committed: from here on a provider may know of the order."""
    SUBMIT_UNKNOWN = "submit_unknown"
    """The order left and no answer came: it is looked for, never sent to anybody else."""
    RUNNING = "running"
    """A receipt is there; the provider is being followed."""
    STORING = "storing"
    """The provider has the clip; it is being brought into our store."""
    COMPLETED = "completed"
    """The clip is in our store, checked and charged."""
    FAILED = "failed"
    """No clip; charged nothing."""
    CANCELLED = "cancelled"
    """Stopped at the user's wish before a clip existed; charged nothing."""


ENDED = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED})

#: Every move a job may make. An ended job makes none (a trigger in the database refuses it too).
MOVES: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.SUBMITTING, State.FAILED, State.CANCELLED}),
    State.SUBMITTING: frozenset(
        {State.QUEUED, State.SUBMIT_UNKNOWN, State.RUNNING, State.STORING, State.FAILED, State.CANCELLED}
    ),
    State.SUBMIT_UNKNOWN: frozenset({State.RUNNING, State.STORING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.STORING, State.FAILED, State.CANCELLED}),
    State.STORING: frozenset({State.COMPLETED, State.FAILED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}

PublicStatus = Literal["queued", "processing", "completed", "failed", "cancelled"]

#: Why a job failed, as the user is told.
FailureCode = Literal["content_filtered", "generation_failed", "provider_unavailable"]


def public_status(state: State) -> PublicStatus:
    """The word that users see for a state."""
    match state:
        case State.QUEUED:
            return "queued"
        case State.SUBMITTING | State.SUBMIT_UNKNOWN | State.RUNNING | State.STORING:
            return "processing"
        case State.COMPLETED:
            return "completed"
        case State.FAILED:
            return "failed"
        case State.CANCELLED:
            return "cancelled"


class IllegalMove(Exception):
    """A bug of ours: the table of moves does not know this one."""


def check_move(before: State, after: State) -> None:
    """Raise IllegalMove unless a job may go from `before` to `after`."""
    if after not in MOVES[before]:
        raise IllegalMove(f"a job cannot go from {before} to {after}")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write: whoever holds an older fence can change neither state nor money."""

    worker_id: int
    fence: int


@dataclass(frozen=True, slots=True)
class Job:
    """One job as a worker sees it."""

    id: str
    account_id: str
    key_id: str
    mode: Mode
    state: State
    model: str
    ask: JSONObject
    settled: JSONObject
    inputs: Mapping[str, JSON]
    quote_micros: int
    tags: Mapping[str, str]
    webhook_url: str | None
    lease: Lease
    created_at: datetime
    deadline_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    cancel_after_at: datetime | None = None
    clip: JSONObject | None = None

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in ENDED

    def cancel_wanted(self, now: datetime) -> bool:
        """The user asked to stop it, or its own `cancel_after` has passed."""
        if self.cancel_requested_at is not None:
            return True
        return self.cancel_after_at is not None and now >= self.cancel_after_at


#: `refused`: the provider did not want this order. `unusable`: it wants none of ours (an unknown key).
#: `gone`: it no longer has what the route names.
AttemptOutcome = Literal[
    "not_sent", "refused", "unusable", "gone", "rate_limited", "submitted", "unknown", "given_up"
]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to submit; its nonce names it to the provider and in the callback URL."""

    nonce: str
    job_id: str
    number: int
    provider: str
    endpoint: str
    order: JSONObject = field(repr=False)
    cost_micros: int | None
    created_at: datetime
    outcome: AttemptOutcome | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A clip of a job that is in our store and was measured there."""

    media_key: str
    url: str
    bytes: int
    sha256: str
    width: int
    height: int
    duration_seconds: float
    fps: float
    audio: bool
    poster_url: str | None
    provenance: JSONObject
    substitutions: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no clip; `message` is shown to the user as it stands."""

    code: FailureCode
    message: str


@dataclass(frozen=True, slots=True)
class EndedJob:
    """All that the public answer of an ended job is written from."""

    id: str
    state: State
    model: str
    mode: Mode
    created_at: datetime
    ended_at: datetime
    charge_micros: int
    tags: Mapping[str, str]
    completion: Completion | None = None
    failure: Failure | None = None
    late_result: bool = False
