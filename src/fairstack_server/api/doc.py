"""What the OpenAPI page says of a route, declared beside the route itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fairstack_server.errors import ErrorCode

#: Here a query parameter that there is not is refused; elsewhere (media, callbacks) others add their own.
STRICT_PATHS = "/v1/"

Where = Literal["query", "path", "header"]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter outside the body."""

    name: str
    where: Where
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})

    @property
    def required(self) -> bool:
        """Only path parameters are."""
        return self.where == "path"


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: its shape and what it means. `shape` None = no body, or not JSON (see `media_type`)."""

    meaning: str
    shape: Any = None
    media_type: str = "application/json"
    other_types: tuple[str, ...] = ()
    """What it may be besides `media_type`."""
    events: tuple[Any, ...] = ()
    """Of a stream of events: the shapes that the JSON in an event's `data` may have."""
    headers: tuple[str, ...] = ()
    """Headers that it always has, besides those of every answer: names of openapi.py's `HEADERS`."""


@dataclass(frozen=True, slots=True)
class Doc:
    """One operation."""

    summary: str
    tag: str
    answers: Mapping[int, Answer]
    scope: str | None = None
    """Scope that the key must have; None = public."""
    params: tuple[Param, ...] = ()
    body: Any = None
    body_media_types: tuple[str, ...] = ("application/json",)
    body_required: bool = True
    errors: tuple[ErrorCode, ...] = ()
    description: str = ""

    @property
    def query_names(self) -> list[str]:
        """The query parameters that the operation takes."""
        return [param.name for param in self.params if param.where == "query"]

    def opt(self) -> dict[str, Any]:
        """As Litestar carries it with the handler."""
        return {"doc": self}
