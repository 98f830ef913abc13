"""Why a job has no clip, in the words that its user reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from fairstack_server.jobs.job import Attempt, Failure, Job
from fairstack_server.jobs.ports import ClipFiltered, NotAClip
from fairstack_server.providers.base import Failed

NO_TIME_LEFT = Failure(
    "provider_unavailable", "No provider took the order in time. You were charged nothing."
)

_UNKNOWN_FATE = Failure(
    "provider_unavailable",
    "The provider gave no sure answer in the longest time this model may take. You were charged nothing; "
    "if the clip arrives after all, it will be given to you under /v1/jobs/{id}/late_result.",
)
_NOT_FOR_US = Failure(
    "provider_unavailable",
    "The provider does not take orders of this server; its operator must look at the provider's key. "
    "You were charged nothing.",
)
_GONE = Failure(
    "provider_unavailable",
    "The provider no longer has this model, and no other route is left. You were charged nothing.",
)
_NO_ROUTE = Failure("provider_unavailable", "No provider is configured for this model any more.")


def unknown_fate(job: Job) -> Failure:
    """The longest time is over and nobody knows what became of the order."""
    return replace(_UNKNOWN_FATE, message=_UNKNOWN_FATE.message.format(id=job.id))


def not_a_clip(why: NotAClip) -> Failure:
    """The provider's file is useless, or may not be given out, and that will not change."""
    if isinstance(why, ClipFiltered):
        said = f"The clip was refused: {why.message} You were charged nothing."
        return Failure("content_filtered", said)
    message = f"The provider's file is not a usable clip ({why}). You were charged nothing."
    return Failure("generation_failed", message)


def failure_of(failed: Failed) -> Failure:
    """What a provider's refusal or failed render is to the user."""
    match failed.reason:
        case "content_filtered":
            return Failure("content_filtered", failed.message)
        case "expired" | "not_found":
            return Failure("provider_unavailable", failed.message)
        case "refused" | "render_failed" | "cancelled":
            return Failure("generation_failed", failed.message)
        case _:
            assert_never(failed.reason)


def no_route_left(earlier: Sequence[Attempt]) -> Failure:
    """Every route refused the order, takes none of ours or is gone; or none is configured any more."""
    refusals = [attempt for attempt in earlier if attempt.outcome == "refused"]
    if refusals:
        said = f": {refusals[-1].message.rstrip('.')}" if refusals[-1].message else ""
        return Failure("generation_failed", f"The order was refused{said}. You were charged nothing.")
    outcomes = {attempt.outcome for attempt in earlier}
    if "unusable" in outcomes:
        return _NOT_FOR_US
    return _GONE if "gone" in outcomes else _NO_ROUTE
