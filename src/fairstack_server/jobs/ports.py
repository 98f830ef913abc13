"""What the lifecycle asks of others: plans for attempts, a place for the clip, a mark at a dead end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from fairstack_server.jobs.job import Attempt, Completion, Failure, Job
from fairstack_server.pricing import UsableRoute
from fairstack_server.providers.base import ClipAt, ClipFacts, Order


@dataclass(frozen=True, slots=True)
class PlannedAttempt:
    """A route that was chosen for a job, with the order as that route wants it."""

    attempt: Attempt
    order: Order


class PlansAttempts(Protocol):
    """Chooses routes and writes orders (`orders.py`)."""

    def choose(
        self, job: Job, earlier: list[Attempt], now: datetime, shut: Collection[str]
    ) -> UsableRoute | Failure:
        """The route to try next, or why there is none; `shut`: providers that take no orders now."""
        ...

    async def plan(
        self, job: Job, route: UsableRoute, earlier: list[Attempt], now: datetime
    ) -> PlannedAttempt:
        """The next attempt of a job, on this route."""
        ...

    async def order_of(self, job: Job, attempt: Attempt) -> Order:
        """The order of an attempt again, after a restart."""
        ...


class NotAClip(Exception):
    """What the provider delivered cannot be used as a clip; trying again will bring the same."""

    #: Nothing is wrong with it, so its provider is owed what it costs.
    is_billed = False


class ClipFiltered(NotAClip):
    """It is a clip, and the operator's moderation refuses it; `message` is for the user alone."""

    is_billed = True

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"moderation refused it: {code}")
        self.message = message


class KeepsClips(Protocol):
    """Brings a provider's clip into our store (`media/`)."""

    async def keep(self, job: Job, attempt: Attempt, clip: ClipAt, facts: ClipFacts) -> Completion:
        """Download, check, sign, store, have it judged.

        Raises NotAClip for a useless file, ClipFiltered for a refused one, OSError for what may pass.
        """
        ...


class MarksGone(Protocol):
    """Remembers routes that their provider no longer has (`standing.py`)."""

    async def mark_gone(self, job: Job, attempt: Attempt, said: str) -> None:
        """No job takes this route again until an operator clears the mark."""
        ...
