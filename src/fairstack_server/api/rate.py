"""How many requests a key may make in a minute: an exact moving window, in memory, of this process."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass

WINDOW_SECONDS = 60
_KEPT_KEYS = 10_000


@dataclass(frozen=True, slots=True)
class RateState:
    """Where a key stands in the current minute."""

    limit: int
    remaining: int
    reset_seconds: int
    """Seconds until the oldest counted request leaves the window."""
    allowed: bool = True

    def headers(self) -> list[tuple[str, str]]:
        """The usual X- headers and the IETF pair."""
        return [
            ("x-ratelimit-limit", str(self.limit)),
            ("x-ratelimit-remaining", str(self.remaining)),
            ("x-ratelimit-reset", str(self.reset_seconds)),
            ("ratelimit-policy", f'"default";q={self.limit};w={WINDOW_SECONDS}'),
            ("ratelimit", f'"default";r={self.remaining};t={self.reset_seconds}'),
        ]


class RateWindows:
    """The windows of all keys that were seen lately; the longest unseen are forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._windows: OrderedDict[str, deque[float]] = OrderedDict()

    def count(self, key_id: str, now: float) -> RateState:
        """Count one request made at `now` (monotonic seconds); a refused one does not count."""
        window = self._windows.setdefault(key_id, deque())
        self._windows.move_to_end(key_id)
        if len(self._windows) > _KEPT_KEYS:
            self._windows.popitem(last=False)
        while window and window[0] <= now - WINDOW_SECONDS:
            window.popleft()
        allowed = len(window) < self._limit
        if allowed:
            window.append(now)
        reset = math.ceil(window[0] + WINDOW_SECONDS - now) if window else WINDOW_SECONDS
        return RateState(self._limit, self._limit - len(window), max(1, reset), allowed)
