"""Hosts that do not answer are left alone for a while, pure: a pause spends no attempt of any delivery.

What counts is what speaks of the host: no connection, no answer in time, 502, 503, 504. After five of these
in a row nothing is sent there for 30 s; then one delivery that is due tries, and each further failure doubles
the pause, up to 5 minutes. An answer of any other kind closes the circuit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

FAILURES_TO_OPEN = 5
FIRST_PAUSE_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 300.0
_HOST_IS_DOWN = frozenset({502, 503, 504})


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    pause_seconds: float = 0.0
    open_until: datetime | None = None


@dataclass(slots=True)
class Circuits:
    """The circuits of all hosts that failed lately; a host that answers is forgotten."""

    _of_host: dict[str, _Circuit] = field(default_factory=dict)

    def room(self, host: str, now: datetime, per_host: int) -> int:
        """How many deliveries at a time the host may get: none while paused, then one, else `per_host`."""
        circuit = self._of_host.get(host)
        if circuit is None or circuit.open_until is None:
            return per_host
        return 0 if now < circuit.open_until else 1

    def taken(self, sending: Mapping[str, int], now: datetime, per_host: int) -> dict[str, int]:
        """Host -> how much of `per_host` is taken: by what is being sent there, and by its circuit."""
        hosts = {host for host, circuit in self._of_host.items() if circuit.open_until is not None}
        return {
            host: sending.get(host, 0) + per_host - self.room(host, now, per_host)
            for host in hosts | sending.keys()
        }

    def told(self, host: str, status: int | None, now: datetime) -> float | None:
        """Note an answer, or None for none; the seconds of the pause that begins with it, if one does."""
        if status is not None and status not in _HOST_IS_DOWN:
            self._of_host.pop(host, None)
            return None
        circuit = self._of_host.setdefault(host, _Circuit())
        circuit.failures += 1
        if circuit.failures < FAILURES_TO_OPEN or (
            circuit.open_until is not None and now < circuit.open_until
        ):
            return None  # an attempt that was under way when the pause began says nothing new
        circuit.pause_seconds = min(LONGEST_PAUSE_SECONDS, 2 * circuit.pause_seconds or FIRST_PAUSE_SECONDS)
        circuit.open_until = now + timedelta(seconds=circuit.pause_seconds)
        return circuit.pause_seconds

    def next_end(self, now: datetime) -> datetime | None:
        """When the next pause ends; None when no host is paused."""
        ends = [
            c.open_until for c in self._of_host.values() if c.open_until is not None and c.open_until > now
        ]
        return min(ends, default=None)
