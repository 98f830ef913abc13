"""Calls without I/O: a flow yields what it needs done and is sent what came of it.

Every call of this package is one generator of effects, written once. `runner.py` performs the effects,
once in the calling thread and once on an event loop, so the sync and async clients cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

#: safe: may be sent again at any time. keyed: only with the Idempotency-Key it carries. once: only if it
#: certainly did not arrive.
Replay = Literal["safe", "keyed", "once"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request; `path` begins with a slash and is joined to the base URL."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    replay: Replay = "safe"
    read_timeout_seconds: float | None = None
    retry_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Broken:
    """No whole answer came; `sent` is False if the request certainly did not arrive."""

    sent: bool
    reason: str


class Sink(Protocol):
    """Where a download goes; `begin` is called before the bytes of every attempt."""

    def begin(self) -> None:
        """Start anew, forgetting what was written."""

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a client behaves: its patience and its politeness."""

    base_url: str
    timeout_seconds: float = 60.0
    max_retries: int = 4
    retry_seconds: float = 120.0
    draw: Callable[[], float] = field(default=lambda: 1.0)


# The effects are named tuples, which take less time to define than dataclasses: imports should be quick.


class Send(NamedTuple):
    """Send the request; answered by Reply or Broken."""

    request: Request


class Download(NamedTuple):
    """GET this address, without the key, into the sink if it answers 200; answered by Reply or Broken."""

    url: str
    sink: Sink


class OpenStream(NamedTuple):
    """Send the request and keep its answer open; answered by Reply (body empty if 200) or Broken."""

    request: Request


class ReadLine(NamedTuple):
    """The next line of the open stream; answered by str, None at its end, or Broken."""


class Sleep(NamedTuple):
    """Let this time pass."""

    seconds: float


class Now(NamedTuple):
    """Seconds of a clock that never goes back."""


class AskManners(NamedTuple):
    """The client's Manners."""


class Do(NamedTuple):
    """Run this blocking function (a file read, a rename); answered by its value."""

    work: Callable[[], Any]


class Tell(NamedTuple):
    """Call the user's callback; the async client awaits what it returns, if it can be awaited."""

    callback: Callable[[Any], Any]
    value: Any


class Together(NamedTuple):
    """Run these flows, so many at a time; answered by the list of their values, in their order."""

    flows: Sequence[Generator[Any, Any, Any]]
    limit: int


class Emit(NamedTuple):
    """Hand the next item to whoever iterates."""

    item: Any


Effect: TypeAlias = (
    Send | Download | OpenStream | ReadLine | Sleep | Now | AskManners | Do | Tell | Together | Emit
)
Flow: TypeAlias = Generator[Effect, Any, T]


def send(request: Request) -> Flow[Reply | Broken]:
    """Send the request once."""
    outcome: Reply | Broken = yield Send(request)
    return outcome


def download(url: str, sink: Sink) -> Flow[Reply | Broken]:
    """Fetch the address once."""
    outcome: Reply | Broken = yield Download(url, sink)
    return outcome


def now() -> Flow[float]:
    """Read the clock."""
    seconds: float = yield Now()
    return seconds


def sleep(seconds: float) -> Flow[None]:
    """Wait, if there is something to wait for."""
    if seconds > 0:
        yield Sleep(seconds)


def manners() -> Flow[Manners]:
    """Ask how this client behaves."""
    answer: Manners = yield AskManners()
    return answer


def do(work: Callable[[], T]) -> Flow[T]:
    """Run blocking work off the event loop."""
    value: T = yield Do(work)
    return value
