"""The gate of each provider: when may a job send its order there? Health, limits and pauses in one place.

A job lines up and is called when there is room; waiting spends no attempt. What holds it back: too many tasks
in flight, too many orders in a time, a vendor that said 429 (everybody waits then, not only whose order it
was), or an open breaker (`providers/health.py`). Gates guard orders only: polls, cancels and searches go on.

Limits and breakers are those of one worker process; a fleet of three workers has three times the room.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jobs.line import Line, Turn
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import CanCheckKey, Fault, KeyCheck, Provider, ProviderError
from fairstack_server.providers.health import Breaker, BreakerRules
from fairstack_server.providers.limits import Limits

log = structlog.get_logger()

#: A provider that asks for more patience than this is passed over where there is another route.
LONG_PAUSE_SECONDS = 30.0
_UNTOLD_PAUSE_SECONDS = 5.0
_PROBE_SECONDS = 15.0
_SHORTEST_TIMER_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class _Told:
    """Something that was said, and when."""

    what: str
    at: datetime

    def as_json(self) -> JSONObject:
        return {"message": self.what, "at": timestamp(self.at)}


class Gate:
    """The gate of one provider in this process."""

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        limits: Limits,
        rules: BreakerRules,
        on_change: Callable[[Gate], None],
        *,
        is_stage: bool = False,
    ) -> None:
        self.provider = provider
        self.limits = limits
        self.is_stage = is_stage
        """It acts out stories, each for one job: what came of one order is nobody else's business."""
        self._clock = clock
        self._breaker = Breaker(rules)
        self._on_change = on_change
        self._line = Line()
        self._in_flight: set[str] = set()
        self._sent: deque[float] = deque()
        self._paused_until = 0.0
        self._trial: str | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._last_success_at: datetime | None = None
        self._last_error: _Told | None = None
        self._key: tuple[KeyCheck, datetime] | None = None

    # --- the way in and out

    def line_up(self, job_id: str, account_id: str) -> Turn:
        """Ask for a turn; it may have come at once."""
        turn = Turn(job_id, account_id)
        self._line.join(turn)
        self.admit()
        return turn

    def withdraw(self, turn: Turn) -> None:
        """Give the turn up, whether it has come or not."""
        self._line.quit(turn)
        if turn.has_come:
            self.leave(turn.job_id)

    def occupy(self, job_id: str) -> None:
        """A task of this job is at the provider already; it counts, however many there are."""
        self._in_flight.add(job_id)

    def holds(self, job_id: str) -> bool:
        """Whether this job has a place here."""
        return job_id in self._in_flight

    def leave(self, job_id: str) -> None:
        """This job has nothing at the provider (any more)."""
        if self._trial == job_id:
            self._trial = None
            self._breaker.abandon_try()
        self._in_flight.discard(job_id)
        self.admit()

    def admit(self) -> None:
        """Call everybody whose turn it is by now, and come back when time alone will bring the next."""
        while len(self._line) and self._has_room():
            turn = self._line.next()
            if turn.called.done():
                continue
            self._in_flight.add(turn.job_id)
            self._sent.append(self._clock.monotonic())
            if self._breaker.state != "closed":
                self._breaker.begin_try()
                self._trial = turn.job_id
            turn.call("go")
        self._set_timer()

    # --- what came of orders

    def answered(self, *, took: bool) -> None:
        """The provider took an order, or looked at one and refused it: either way it is well."""
        if took:
            self._last_success_at = self._clock.now()
        self._told(self._breaker.answered)

    def broke(self, error: ProviderError) -> None:
        """An order's call broke."""
        if self.is_stage:
            return
        self._last_error = _Told(str(error), self._clock.now())
        self._told(lambda at: self._breaker.failed(error.fault, str(error), at))

    def pause(self, seconds: float | None) -> None:
        """The vendor asked for patience: nobody sends before that time is over."""
        if self.is_stage:
            return
        seconds = seconds or _UNTOLD_PAUSE_SECONDS
        was_shut = self.is_shut
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)
        self._last_error = _Told(f"It asked us to wait {seconds:g} s (429).", self._clock.now())
        self._settle(was_shut)

    async def probe(self) -> None:
        """Make the free call that says for all how the provider is, if it is time for it."""
        provider = self.provider
        if not isinstance(provider, CanCheckKey) or not self._breaker.may_try(self._clock.monotonic()):
            return
        self._breaker.begin_try()
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                check = await provider.check_key()
        except Exception as error:
            # Whatever broke, the try is over: an open breaker must not stay in it for good.
            said = str(error) if isinstance(error, ProviderError) else type(error).__name__
            self._last_error = _Told(said, self._clock.now())
            self._told(lambda at: self._breaker.failed(Fault.PROVIDER, said, at))
            return
        self.checked(check)

    def checked(self, check: KeyCheck) -> None:
        """A free call told how our key stands."""
        self._key = (check, self._clock.now())
        if check.accepted:
            self._told(self._breaker.answered)
        else:
            self._told(lambda at: self._breaker.failed(Fault.KEY, check.message, at))

    # --- how it stands

    @property
    def is_shut(self) -> bool:
        """Another route is better than waiting here."""
        if self._breaker.state == "closed":
            return self._paused_until > self._clock.monotonic() + LONG_PAUSE_SECONDS
        return not self._takes_a_trial()

    @property
    def why_wait(self) -> str:
        """What a job that waits here waits for, for the log."""
        if self._breaker.state != "closed":
            return "breaker"
        return "pause" if self._paused_until > self._clock.monotonic() else "room"

    def report(self) -> JSONObject:
        """All that the operator wants to know; no key, nothing of any order."""
        opened = self._breaker.opened
        check, checked_at = self._key or (None, None)
        return {
            "state": self._breaker.state,
            "permanent": opened is not None and opened.is_permanent,
            "why": None if opened is None else opened.why,
            "since": None if opened is None else self._wall(opened.since),
            "next_probe_at": None if opened is None else self._wall(opened.next_try),
            "paused_until": None if self._pause_left() <= 0 else self._wall(self._paused_until),
            "in_flight": len(self._in_flight),
            "waiting": len(self._line),
            "last_success_at": None if self._last_success_at is None else timestamp(self._last_success_at),
            "last_error": None if self._last_error is None else self._last_error.as_json(),
            "key": None
            if check is None or checked_at is None
            else {"accepted": check.accepted, "message": check.message, "checked_at": timestamp(checked_at)},
        }

    def dismiss(self) -> None:
        """Let everybody who waits here look whether another route is better."""
        self._line.dismiss()

    def close(self) -> None:
        """Call nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    # --- within

    def _has_room(self) -> bool:
        at = self._clock.monotonic()
        limit = self.limits.in_flight
        if limit is not None and len(self._in_flight) >= limit:
            return False
        return self._opens_at() <= at and (self._breaker.state == "closed" or self._takes_a_trial())

    def _takes_a_trial(self) -> bool:
        """A vendor without a free call is tried by one order, when the pause is over."""
        at = self._clock.monotonic()
        return self._breaker.may_try(at) and not isinstance(self.provider, CanCheckKey)

    def _opens_at(self) -> float:
        """When pause and limit of orders allow the next order; a time that is past when they do already."""
        at, limits = self._clock.monotonic(), self.limits
        while self._sent and (limits.orders is None or self._sent[0] <= at - limits.per_seconds):
            self._sent.popleft()
        if limits.orders is None or len(self._sent) < limits.orders:
            return self._paused_until
        return max(self._paused_until, self._sent[0] + limits.per_seconds)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not len(self._line) and not self.is_shut:
            return
        at, due = self._clock.monotonic(), self._opens_at()
        if self._breaker.opened is not None:
            due = max(due, self._breaker.opened.next_try)
        if due > at:
            wait = max(_SHORTEST_TIMER_SECONDS, due - at)
            self._timer = asyncio.get_running_loop().call_later(wait, self._time_has_come)

    def _time_has_come(self) -> None:
        self._timer = None
        if not self.is_shut:
            # A pause is over, or an order may be the trial: who waits at another shut gate may come here.
            self._on_change(self)
        self.admit()

    def _told(self, tell: Callable[[float], None]) -> None:
        was_shut = self.is_shut
        tell(self._clock.monotonic())
        self._settle(was_shut)

    def _settle(self, was_shut: bool) -> None:
        if self.is_shut != was_shut:
            opened = self._breaker.opened
            event = log.warning if self.is_shut else log.info
            why = opened.why if opened is not None else self.why_wait
            name = self.provider.name
            event("provider.shut" if self.is_shut else "provider.open", provider=name, why=why)
            self._on_change(self)
        self.admit()

    def _pause_left(self) -> float:
        return self._paused_until - self._clock.monotonic()

    def _wall(self, at: float) -> str:
        return timestamp(self._clock.now() + timedelta(seconds=at - self._clock.monotonic()))


class Gates:
    """The gates of all providers of this process."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        clock: Clock,
        limits: Mapping[str, Limits] | None = None,
        rules: BreakerRules | None = None,
        *,
        stages: Collection[str] = (),
    ) -> None:
        """`stages`: providers that act out stories, each for one job."""
        limits, rules = limits or {}, rules or BreakerRules()
        self._gates = {
            name: Gate(
                provider, clock, limits.get(name, Limits()), rules, self._changed, is_stage=name in stages
            )
            for name, provider in providers.items()
        }

    def of(self, provider: str) -> Gate:
        """The gate of this provider, which is configured."""
        return self._gates[provider]

    def limits_of(self, provider: str) -> Limits:
        """The limits of this provider; none where it is not configured."""
        return self._gates[provider].limits if provider in self._gates else Limits()

    def occupy(self, provider: str, job_id: str) -> None:
        """A task of this job may be at the provider already; nothing when that is not configured any more."""
        if provider in self._gates:
            self._gates[provider].occupy(job_id)

    @property
    def shut(self) -> frozenset[str]:
        """Providers that are passed over where there is another route."""
        return frozenset(name for name, gate in self._gates.items() if gate.is_shut)

    async def probe(self) -> None:
        """Ask every provider whose breaker is open and whose pause is over, by its free call."""
        await asyncio.gather(*(gate.probe() for gate in self._gates.values()))

    def reports(self) -> Mapping[str, JSONObject]:
        """How each stands."""
        return {name: gate.report() for name, gate in self._gates.items()}

    def leave(self, job_id: str) -> None:
        """This job has nothing at any provider (any more)."""
        for gate in self._gates.values():
            if gate.holds(job_id):
                gate.leave(job_id)

    def close(self) -> None:
        """Call nobody any more."""
        for gate in self._gates.values():
            gate.close()

    def _changed(self, changed: Gate) -> None:
        """A gate shut: who waits there looks elsewhere. It opened: who waits at a shut one may come here."""
        if changed.is_shut:
            changed.dismiss()
            return
        for gate in self._gates.values():
            if gate is not changed and gate.is_shut:
                gate.dismiss()
