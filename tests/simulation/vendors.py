"""Vendors of the simulated world: what they take, render, bill and say, whatever becomes of who asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fairstack_server.providers.base import SubmitClass

Fate = Literal["ok", "fails", "filtered", "broken_file"]


@dataclass(slots=True)
class Task:
    """One render at a vendor; it is billed unless it fails or is stopped."""

    id: str
    nonce: str
    wish: str
    created_at: float
    ends_at: float
    seen_at: float
    """From then on the vendor's list or look-up shows it."""
    fate: Fate
    stopped: bool = False

    @property
    def is_billed(self) -> bool:
        """The vendor wants money for it."""
        return not self.stopped and self.fate in ("ok", "broken_file")


@dataclass(slots=True)
class Vendor:
    """One vendor, with its own log of what it was asked: the judge of double submits."""

    name: str
    submit_class: SubmitClass
    can_cancel: bool = False
    calls_back: bool = False
    tells_key: bool = False
    at_once: bool = False
    """It answers an order with the clip itself: there is no task to look at."""
    tasks: dict[str, Task] = field(default_factory=dict)
    of_nonce: dict[str, Task] = field(default_factory=dict)

    def knows(self, nonce: str) -> bool:
        """Whether it honours the nonce as a key (class A) and has its task: sending again only asks."""
        return self.submit_class is SubmitClass.A and nonce in self.of_nonce

    def find(self, wish: str, nonce: str, since: float, now: float) -> Sequence[Task]:
        """What the look-up by client id (B) or the list of recent tasks (C) shows."""
        seen = [task for task in self.tasks.values() if task.created_at >= since and task.seen_at <= now]
        if self.submit_class is SubmitClass.B:
            return [task for task in seen if task.nonce == nonce]
        return [task for task in seen if task.wish == wish]

    def stop(self, task_id: str, now: float) -> bool:
        """Stop a task that still renders; nothing is billed then."""
        task = self.tasks.get(task_id)
        if task is None or task.stopped or now >= task.ends_at:
            return task is not None and task.stopped
        task.stopped = True
        return True


@dataclass(slots=True)
class Receiver:
    """Who is told of ends of jobs: down at times, and slow at times."""

    host: str
    down: list[tuple[float, float, int | None]] = field(default_factory=list)
    """(from, until, what is answered then; None = no connection)."""
    got: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    """webhook-id -> (URL, body) of every POST that arrived."""
    taken: set[str] = field(default_factory=set)
    """Ids that were answered with 2xx."""

    def answer(self, at: float) -> int | None:
        """The status at that time; None for no connection."""
        for begin, end, status in self.down:
            if begin <= at < end:
                return status
        return 204
