"""The list of faults in spec/faults, as the tests of the server and of the Python client read it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

FOLDER = Path(__file__).parents[1] / "spec" / "faults"
SUBMIT = ("POST", "/v1/generations/video")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meets:
    """The requests that a fault happens to."""

    method: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What the client meets."""

    kind: Literal["close", "answer", "half", "pieces", "restart"]
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    then: Literal["reset", "close", "silence", "end", ""] = ""
    count: int = 1
    pause_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """How the client is set; None: as it is by itself."""

    timeout_seconds: float | None = None
    max_retries: int | None = None
    wait_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What must come of it."""

    with_: Literal["clip", "error"]
    jobs: int
    submits: int
    error: str = ""
    tells: tuple[str, ...] = ()
    pause_seconds: float = 0.0
    resume: Literal["submit", "wait", ""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One file of the list; spec/faults/README.md says what its fields mean."""

    name: str
    about: str
    meets: Meets
    times: int | Literal["always"]
    reaches_server: bool
    act: Act
    ends: Ends
    order: Mapping[str, Any] = field(default_factory=dict)
    client: ClientSettings = field(default_factory=ClientSettings)

    @property
    def loses_the_answer(self) -> bool:
        """Whether the server takes the order and its client does not hear so."""
        return self.reaches_server and self.times != 0 and (self.meets.method, self.meets.path) == SUBMIT


def read_faults() -> list[Fault]:
    """Every fault there is, by name; a field that is not described is a TypeError."""
    return [_fault(json.loads(path.read_text(encoding="utf-8"))) for path in sorted(FOLDER.glob("*.json"))]


def _fault(told: dict[str, Any]) -> Fault:
    ends = dict(told["ends"])
    tells = tuple(ends.pop("tells", ()))
    parts = {
        "meets": Meets(**told["meets"]),
        "act": Act(**told["act"]),
        "ends": Ends(with_=ends.pop("with"), tells=tells, **ends),
        "client": ClientSettings(**told.get("client", {})),
    }
    return Fault(**{**told, **parts})
