"""The contract between the gateway and whoever renders.

A provider translates. It never loops, sleeps, retries or stores: `jobs/lifecycle.py` owns all of that.
`Failed` is a value (the vendor refused the order, or the render failed): the hold is released.
`ProviderError` is an exception (the call broke) and says the one thing that decides what may happen next:
whether the request may have reached the vendor.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol, runtime_checkable

import msgspec

from fairstack_server.jsonvalue import JSON, JSONObject

#: A vendor's receipt: plain JSON that survives the database and a restart. Its `id` is the vendor's own id of
#: the task, a string: two attempts whose refs have the same provider and `id` mean one and the same task.
Ref = JSONObject


class SubmitClass(enum.Enum):
    """What a vendor offers against a double submit; decides what may be done after an unknown outcome."""

    A = "honours an idempotency key: may be sent again with the same nonce, while the vendor remembers it"
    B = "takes a client id that can be looked up afterwards: reconcile by nonce"
    C = "lists recent tasks: reconcile by matching the list"
    D = "offers none of these: wait for its callback, never send again"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A clean file of ours that the order carries: our own re-encoded copy, never the user's URL."""

    content_type: str
    sha256: str
    path: str
    """Local path, readable now."""
    url: str | None = None
    """Public URL of our copy; None when the gateway cannot be reached from outside."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be rendered, in our words, after defaults were resolved and checked.

    `endpoint`, `field_map`, `fixed` and `formats` come from the route in the catalog entry; a provider builds
    the vendor's body from them and from nothing that depends on the model's name.
    """

    nonce: str
    """Unique to this attempt; the idempotency key (class A), client id (class B) or callback path (C, D)."""
    model: str
    endpoint: str
    prompt: str
    duration_seconds: float | None = None
    aspect_ratio: str | None = None
    resolution: str | None = None
    width: int | None = None
    height: int | None = None
    fps: int | None = None
    seed: int | None = None
    negative_prompt: str | None = None
    audio: bool | None = None
    image: InputFile | None = None
    end_image: InputFile | None = None
    images: tuple[InputFile, ...] = ()
    video: InputFile | None = None
    audio_track: InputFile | None = None
    options: Mapping[str, JSON] = field(default_factory=dict)
    field_map: Mapping[str, str] = field(default_factory=dict)
    """Our word, or `options.<name>` -> the vendor's field; what has no entry is not sent.

    Dots make nested objects, numbers in brackets places in a list: `instances[0].prompt`.
    """
    fixed: Mapping[str, JSON] = field(default_factory=dict)
    """Vendor fields with a constant value on this route."""
    formats: Mapping[str, str] = field(default_factory=dict)
    """Our word -> value form, one of `VALUE_FORMS` in `catalog/model.py`."""
    values: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict)
    """Our word -> our value as text -> the vendor's value, where no form describes the difference."""
    callback_url: str | None = None
    """Unguessable URL that carries the nonce; None when we cannot be called from outside."""


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a vendor says of its clip; hints only, the truth is measured on the stored file."""

    width: int | None = None
    height: int | None = None
    duration_seconds: float | None = None
    fps: float | None = None
    seed: int | None = None
    substitutions: tuple[str, ...] = ()
    """What was asked for and could not be honoured, one plain sentence each."""
    extra: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClipAt:
    """Where the finished clip is: a URL to download, or a local file that the local engine wrote.

    `headers` go only to the origin of `url` itself, never to a redirect's other host (they may hold a key).
    """

    url: str | None = None
    path: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Submission:
    """The vendor took the order; `ref` finds it again, also after a restart of ours."""

    ref: Ref


@dataclass(frozen=True, slots=True)
class Pending:
    """Not done yet. `progress` is 0-1 where the vendor tells it; `started` once out of the vendor's queue."""

    progress: float | None = None
    started: bool = True
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The clip exists at `clip`."""

    clip: ClipAt
    facts: ClipFacts = ClipFacts()


FailureReason = Literal["content_filtered", "refused", "render_failed", "cancelled", "expired", "not_found"]


@dataclass(frozen=True, slots=True)
class Failed:
    """The vendor refused the order or the render failed; nothing will come of this ref.

    `message` is safe to show to the user: no key, no vendor account, no HTML, at most 300 characters.
    """

    reason: FailureReason
    message: str


@dataclass(frozen=True, slots=True)
class RateLimitedUpstream:
    """The vendor refused for now and no task exists; the same order may be sent after that time."""

    retry_after_seconds: float | None = None


class Fault(enum.Enum):
    """What a broken call speaks of; decides who is spared further orders (`health.py`, `jobs/gates.py`)."""

    CALL = "this one call, or something of ours"
    PROVIDER = "the vendor is not well: no connection, no whole answer, a 5xx"
    KEY = "the vendor does not accept our key"
    CREDIT = "our account at the vendor has no credit"
    ROUTE = "the vendor no longer has what the route names (404, 410)"


class ProviderError(Exception):
    """The call broke. `sent`: the request may have reached the vendor. `permanent`: trying again cannot help.

    The message names the provider and what happened; it never holds a key, a URL with a secret, or a prompt.
    """

    def __init__(
        self, message: str, *, sent: bool, permanent: bool = False, fault: Fault = Fault.CALL
    ) -> None:
        super().__init__(message)
        self.sent = sent
        self.permanent = permanent
        self.fault = fault


class Provider(Protocol):
    """Translates between our words and one vendor's. Never loops, sleeps, retries or stores."""

    name: str
    submit_class: SubmitClass

    async def submit(self, order: Order) -> Submission | Succeeded | Failed | RateLimitedUpstream:
        """Send the order once. Raises ProviderError when the call broke."""
        ...

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Look at the task once; always safe to repeat. Raises ProviderError when the call broke."""
        ...


class CancelOutcome(enum.Enum):
    """What came of asking a vendor to stop."""

    STOPPED = "stopped"
    REQUESTED = "requested"
    TOO_LATE = "too_late"


@runtime_checkable
class CanCancel(Protocol):
    """A provider that can be asked to stop a task."""

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """Ask once. Raises ProviderError when the call broke."""
        ...


@dataclass(frozen=True, slots=True)
class KeyCheck:
    """What a vendor says of our key: whether it would take orders, and in plain words what it told."""

    accepted: bool
    message: str
    """For the operator: no key, at most 200 characters, such as "the key works; 1,240 credits left"."""


@runtime_checkable
class CanCheckKey(Protocol):
    """A provider with a call that costs nothing and tells whether our key is good."""

    async def check_key(self) -> KeyCheck:
        """Make one free, authenticated call. Raises ProviderError when the vendor cannot be reached.

        Also the probe of the circuit breaker: it must never create a task and never cost anything.
        """
        ...


@runtime_checkable
class CanResend(Protocol):
    """A provider that may be sent an order again after an unknown outcome (class A)."""

    resend_within: timedelta
    """How long after an order was first sent its nonce surely makes no second task; later it is not sent."""


@runtime_checkable
class LimitsInputs(Protocol):
    """A provider that is given the bytes of clips and sounds, instead of fetching them from us."""

    def largest_input_bytes(self, *, has_url: bool) -> int | None:
        """The largest clip or sound of an order; None: any. `has_url`: it could be fetched from us."""
        ...


#: A list or look-up at the provider may lag and its clock may differ: a search begins this long before.
FIND_SLACK = timedelta(seconds=60)


@runtime_checkable
class CanFind(Protocol):
    """A provider that can say whether an order of ours reached it (classes B and C)."""

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """Every task created after `since` that may be this order's; empty when none is seen (yet).

        Class B finds one or none. Class C matches what a list shows, so tasks of equal orders of other
        attempts are among them: `jobs/finding.py` leaves out those that somebody holds.
        """
        ...


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """A vendor calling us: headers in lower case, the exact body bytes."""

    headers: Mapping[str, str]
    body: bytes
    nonce: str
    """What the callback's path carried: the nonce of the attempt that it is bound to."""

    def told(self) -> JSON:
        """The body as JSON; None when it is none."""
        try:
            value: JSON = msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return value


@runtime_checkable
class ReadsCallbacks(Protocol):
    """A provider that understands its vendor's callbacks."""

    async def read_callback(self, endpoint: str, request: CallbackRequest) -> Ref | None:
        """The ref that a genuine callback is about; None for a forged or meaningless one. Only a hint.

        `endpoint` is that of the attempt whose nonce the callback's path carries: from the two a lost receipt
        is made again. Raises ProviderError when the callback cannot be judged now (answer 503: the vendor
        calls again).
        """
        ...


@runtime_checkable
class AnswersChallenges(Protocol):
    """A provider whose vendor tries a callback's URL before it takes it, by a word that must come back."""

    def answer_challenge(self, request: CallbackRequest) -> JSONObject | None:
        """What to answer at once, without asking anybody; None when this call is no such try."""
        ...
