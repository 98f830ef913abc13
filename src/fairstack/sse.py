"""Read server-sent events line by line; pure."""

from __future__ import annotations

import json

from fairstack.types import JobEvent


class EventReader:
    """Gathers lines into events; `last_id` is where to resume after a broken stream."""

    def __init__(self, last_id: str | None = None) -> None:
        self.last_id = last_id
        self.retry_seconds: float | None = None
        self._id = last_id
        self._event = ""
        self._data: list[str] = []

    def feed(self, line: str) -> JobEvent | None:
        """Take one line without its end; the event that it completes, if it does."""
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value or None
            case "retry" if value.isdigit():
                self.retry_seconds = int(value) / 1000
        return None

    def forget(self) -> None:
        """Drop a half-read event: the stream broke in the middle of it."""
        self._id, self._event, self._data = self.last_id, "", []

    def _complete(self) -> JobEvent | None:
        event, data = self._event or "message", "\n".join(self._data)
        # Only now: resuming after a half-read event must bring it again.
        self.last_id = self._id
        self.forget()
        try:
            facts = json.loads(data) if data else None
        except ValueError:
            return None
        return JobEvent(id=self.last_id, event=event, data=facts) if isinstance(facts, dict) else None
