"""The stories that a prompt with a test key can act out, as data: docs and tests are made from this table."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Literal

from fairstack_server.providers.base import CancelOutcome, FailureReason

QUICK_SECONDS = 1.0
SLOW_SECONDS = 120.0
LONGEST_SECONDS = 3600.0
SHORT_JOB_SECONDS = 10.0
GRACE_SECONDS = 60.0


class Submitting(enum.Enum):
    """How the submit of a story goes."""

    TAKEN = "the provider takes the order"
    REFUSED = "the provider refuses the order"
    RATE_LIMITED = "the provider has no room now, every time"
    UNREACHABLE = "the connection fails before anything is sent, every time"
    ANSWER_LOST = "the provider takes the order, its answer is lost, a look at its list finds the task"
    FATE_UNKNOWN = "the provider's answer is lost, and its list shows the task only much later, or never"


class Ending(enum.Enum):
    """How the render of a story ends."""

    CLIP = "a clip"
    SHORT_CLIP = "a clip one second shorter than asked (at least one second)"
    BROKEN_CLIP = "a file that is no MP4"
    FAILS = "no clip"
    NEVER = "nothing, ever"


@dataclass(frozen=True, slots=True)
class Story:
    """One story: `test:<name>` at the beginning of a prompt."""

    name: str
    what_happens: str
    """One plain sentence for the docs."""
    job_ends: Literal["completed", "failed"]
    reason: FailureReason | Literal["provider_unavailable"] | None = None
    """Why the job fails: a reason of `Failed`, or that the provider could not be used."""
    submitting: Submitting = Submitting.TAKEN
    ending: Ending = Ending.CLIP
    seconds: float = QUICK_SECONDS
    """Length of the acted render; a number after the name overrides it."""
    fails_at: float = 1.0
    """Progress at which a failing render fails."""
    cancel: CancelOutcome = CancelOutcome.STOPPED
    poll_breaks_until: float = 0.0
    """Progress up to which every status call breaks."""
    job_seconds: float | None = None
    """The job's longest time in this story, so that nobody waits for the model's; None = the model's own."""
    late_after_seconds: float | None = None
    """With FATE_UNKNOWN: how long after the attempt its list shows the task after all; None = never."""


PLAIN = Story("", "Any other prompt: a TEST card of the asked size and length.", "completed")

STORIES: tuple[Story, ...] = (
    Story(
        "fail",
        "The render begins and fails half way; nothing is charged.",
        "failed",
        "render_failed",
        ending=Ending.FAILS,
        fails_at=0.5,
    ),
    Story(
        "render_failed",
        "The render runs to its end and then fails; nothing is charged.",
        "failed",
        "render_failed",
        ending=Ending.FAILS,
    ),
    Story(
        "refused",
        "The provider refuses the order at once.",
        "failed",
        "refused",
        submitting=Submitting.REFUSED,
    ),
    Story(
        "content_filtered",
        "Moderation refuses the prompt at once; nothing is charged.",
        "failed",
        "content_filtered",
        submitting=Submitting.REFUSED,
    ),
    Story(
        "content_filtered_late",
        "Moderation refuses the finished clip; nothing is charged.",
        "failed",
        "content_filtered",
        ending=Ending.FAILS,
    ),
    Story("slow", "The render takes that many seconds (`test:slow 30`).", "completed", seconds=SLOW_SECONDS),
    Story(
        "never",
        "The render never ends; the job fails when its longest time is over.",
        "failed",
        "provider_unavailable",
        ending=Ending.NEVER,
        seconds=SLOW_SECONDS,
        job_seconds=SHORT_JOB_SECONDS,
    ),
    Story(
        "expired",
        "The provider drops the task from its queue before it starts.",
        "failed",
        "expired",
        ending=Ending.FAILS,
        fails_at=0.0,
    ),
    Story(
        "provider_unavailable",
        "The provider cannot be reached; every attempt fails before anything is sent.",
        "failed",
        "provider_unavailable",
        submitting=Submitting.UNREACHABLE,
        job_seconds=SHORT_JOB_SECONDS,
    ),
    Story(
        "rate_limited",
        "The provider has no room, however often it is asked.",
        "failed",
        "provider_unavailable",
        submitting=Submitting.RATE_LIMITED,
        job_seconds=SHORT_JOB_SECONDS,
    ),
    Story(
        "lost_answer",
        "The answer to the submit is lost; the task is found and the job completes, charged once.",
        "completed",
        submitting=Submitting.ANSWER_LOST,
    ),
    Story(
        "unknown",
        "The fate of the submit stays unknown; the job fails and nothing is charged.",
        "failed",
        "provider_unavailable",
        submitting=Submitting.FATE_UNKNOWN,
        job_seconds=SHORT_JOB_SECONDS,
    ),
    Story(
        "late",
        "As `unknown`, but the clip turns up after the job has failed: it is given away as a late result.",
        "failed",
        "provider_unavailable",
        submitting=Submitting.FATE_UNKNOWN,
        job_seconds=SHORT_JOB_SECONDS,
        late_after_seconds=SHORT_JOB_SECONDS + 5.0,
    ),
    Story(
        "flaky",
        "Status calls break for the first half of the render; the job completes all the same.",
        "completed",
        seconds=4.0,
        poll_breaks_until=0.5,
    ),
    Story(
        "short_clip",
        "The clip is one second shorter than asked; the charge is the quote.",
        "completed",
        ending=Ending.SHORT_CLIP,
    ),
    Story(
        "broken_clip",
        "The provider announces a clip, but the file is no MP4; nothing is charged.",
        "failed",
        "render_failed",
        ending=Ending.BROKEN_CLIP,
    ),
    Story(
        "cancel_too_late",
        "The render takes a while and cannot be cancelled; the job completes.",
        "completed",
        seconds=20.0,
        cancel=CancelOutcome.TOO_LATE,
    ),
    Story(
        "cancel_requested",
        "The provider takes note of a cancel, and finishes the render before it gets to it.",
        "completed",
        seconds=20.0,
        cancel=CancelOutcome.REQUESTED,
    ),
)

_BY_NAME = {story.name: story for story in STORIES}
_PROMPT = re.compile(r"test:([a-z_]+)(?:\s+(\d+(?:\.\d+)?))?")


@dataclass(frozen=True, slots=True)
class Told:
    """What a prompt asks the sandbox to act out; `story` is None for a name that is not in the table."""

    story: Story | None
    name: str
    seconds: float


def read_story(prompt: str) -> Told:
    """The story of this prompt, and its length: the number after the name, else the story's own."""
    match = _PROMPT.match(prompt)
    if match is None:
        return Told(PLAIN, "", PLAIN.seconds)
    name, number = match.groups()
    story = _BY_NAME.get(name)
    own = story.seconds if story else 0.0
    return Told(story, name, min(float(number), LONGEST_SECONDS) if number else own)


def job_seconds(prompt: str, longest_seconds: float) -> float:
    """The longest time of a job with this prompt, given its model's; a slow story gets what it needs."""
    told = read_story(prompt)
    if told.story is not None and told.story.job_seconds is not None:
        return told.story.job_seconds
    return max(longest_seconds, told.seconds + GRACE_SECONDS)


def story_named(name: str) -> Story:
    """The story of a receipt. Raises KeyError for a name that is not in the table."""
    return PLAIN if name == PLAIN.name else _BY_NAME[name]
