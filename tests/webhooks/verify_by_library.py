"""One library of others as receiver: `python -m tests.webhooks.verify_by_library svix < trials.json`.

Runs in whichever environment has that library, so it needs nothing else but Python; `verified_by.py` starts
it. Reads a list of trials and prints, as a list of booleans, which of them the library takes for genuine.
The messages are of virtual time, so the library's clock is set to the moment that each trial names.
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from importlib.metadata import version
from typing import Any, TypedDict

_TOLERANCE_SECONDS = 300


class Trial(TypedDict):
    """A message as a receiver gets it, at one moment."""

    secret: str
    body: str
    headers: dict[str, str]
    now: int


@dataclass
class SetClock:
    """The clock of the libraries: `time.time` and the `datetime.now` of the standard's own one."""

    at: float = 0.0

    def install(self) -> None:
        """From now on the libraries see this time."""
        clock = self

        class Then(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Then:
                return cls.fromtimestamp(clock.at, tz)

        vars(time)["time"] = lambda: clock.at
        vars(importlib.import_module("standardwebhooks.webhooks"))["datetime"] = Then


def _standardwebhooks(trial: Trial) -> None:
    webhook: Any = importlib.import_module("standardwebhooks").Webhook(trial["secret"])
    webhook.verify(trial["body"], trial["headers"])


def _svix(trial: Trial) -> None:
    webhook: Any = importlib.import_module("svix.webhooks").Webhook(trial["secret"])
    webhook.verify(trial["body"], trial["headers"])


@functools.cache
def _openai_client() -> Any:
    return importlib.import_module("openai").OpenAI(api_key="key")


def _openai(trial: Trial) -> None:
    _openai_client().webhooks.verify_signature(trial["body"], trial["headers"], secret=trial["secret"])


def _replicate(trial: Trial) -> None:
    library: Any = importlib.import_module("replicate.webhook")
    library.Webhooks.validate(
        headers=trial["headers"],
        body=trial["body"],
        secret=library.WebhookSigningSecret(key=trial["secret"]),
        tolerance=_TOLERANCE_SECONDS,  # it looks at no time stamp unless it is told one
    )


#: The package -> one verification with it; it raises for what it does not take.
LIBRARIES: Mapping[str, Callable[[Trial], None]] = {
    "standardwebhooks": _standardwebhooks,
    "svix": _svix,
    "openai": _openai,
    "replicate": _replicate,
}


def takes(verify: Callable[[Trial], None], trial: Trial) -> bool:
    """Whether the library takes the message; an error that is no refusal of it ends the process."""
    try:
        verify(trial)
    except Exception as error:
        if type(error).__module__.split(".")[0] not in LIBRARIES:
            raise
        return False
    return True


def main() -> int:
    """Try every message."""
    name = sys.argv[1]
    trials: list[Trial] = json.load(sys.stdin)
    clock = SetClock()
    clock.install()
    taken = []
    for trial in trials:
        clock.at = trial["now"]
        taken.append(takes(LIBRARIES[name], trial))
    json.dump({"version": version(name), "taken": taken}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
