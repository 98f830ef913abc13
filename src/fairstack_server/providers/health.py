"""Whether a provider is given orders: a circuit breaker. Pure: it is told the time and what came of calls.

    closed ──(failures that speak of the provider)──> open ──(pause over)──> trying
      ^                                                ^                       │
      └──────────(an answer, or an accepted key)───────┴──(it failed again)────┘

Closed, orders go out. Open, none does. Trying, one free call asks for all (`check_key`), or, where the vendor
has none, one order does. A vendor's refusal of an order is an answer: it never opens anything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from fairstack_server.providers.base import Fault

BreakerState = Literal["closed", "open", "trying"]

#: Faults that only the operator can mend: one is enough, and no new job is taken in for the provider.
PERMANENT = frozenset({Fault.KEY, Fault.CREDIT})


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens, and for how long."""

    failures_in_a_row: int = 5
    window_seconds: float = 60.0
    window_calls: int = 20
    """Fewer calls than that in the window say nothing of a ratio."""
    failed_ratio: float = 0.5
    first_pause_seconds: float = 5.0
    longest_pause_seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class Opened:
    """Why and since when a breaker is open, in the seconds of whoever tells it the time."""

    fault: Fault
    why: str
    since: float
    next_try: float

    @property
    def is_permanent(self) -> bool:
        """Time does not mend it: a key, an empty account."""
        return self.fault in PERMANENT


class Breaker:
    """The circuit breaker of one provider; `at` is a time in seconds that never goes back."""

    def __init__(self, rules: BreakerRules | None = None) -> None:
        self._rules = rules or BreakerRules()
        self._in_a_row = 0
        self._window: deque[tuple[float, bool]] = deque()
        self._pauses = 0
        self._opened: Opened | None = None
        self._trying = False

    @property
    def state(self) -> BreakerState:
        """Where it stands."""
        if self._opened is None:
            return "closed"
        return "trying" if self._trying else "open"

    @property
    def opened(self) -> Opened | None:
        """Why it is not closed; None while it is."""
        return self._opened

    def may_try(self, at: float) -> bool:
        """Whether it is open, its pause is over, and nobody is trying yet."""
        return self._opened is not None and not self._trying and at >= self._opened.next_try

    def begin_try(self) -> None:
        """One call is under way that will say for all how the provider is."""
        self._trying = True

    def abandon_try(self) -> None:
        """The try came to nothing that says anything: somebody else may try."""
        self._trying = False

    def answered(self, at: float) -> None:
        """The provider took an order, refused one or accepted our key: whatever was, is over."""
        self._in_a_row, self._pauses = 0, 0
        self._note(at, failed=False)
        if self._opened is not None:
            self._opened, self._trying = None, False
            self._window.clear()

    def failed(self, fault: Fault, why: str, at: float) -> None:
        """A call broke. Faults that do not speak of the provider change nothing."""
        if fault in (Fault.CALL, Fault.ROUTE):
            return
        self._in_a_row += 1
        self._note(at, failed=True)
        if self._opened is not None:
            if self._trying or fault in PERMANENT:
                self._open(fault, why, at)
        elif fault in PERMANENT or self._is_too_much():
            self._open(fault, why, at)

    def _open(self, fault: Fault, why: str, at: float) -> None:
        rules, before = self._rules, self._opened
        pause = min(rules.longest_pause_seconds, rules.first_pause_seconds * 2.0**self._pauses)
        if before is None and fault in PERMANENT:
            pause = 0.0  # A free call says at once whether it is the key, or only what one order asked for.
        self._opened = Opened(fault, why, at if before is None else before.since, at + pause)
        self._pauses += pause > 0
        self._trying = False

    def _note(self, at: float, *, failed: bool) -> None:
        self._window.append((at, failed))
        while self._window[0][0] < at - self._rules.window_seconds:
            self._window.popleft()

    def _is_too_much(self) -> bool:
        if self._in_a_row >= self._rules.failures_in_a_row:
            return True
        calls = len(self._window)
        failures = sum(failed for _, failed in self._window)
        return calls >= self._rules.window_calls and failures >= calls * self._rules.failed_ratio
