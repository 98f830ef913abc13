"""What a hook is told: enough to judge by, and nothing more. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fairstack_server.ids import Mode
from fairstack_server.jsonvalue import JSON, JSONObject


@dataclass(frozen=True, slots=True)
class FileShown:
    """A stored file of ours that the hook may look at."""

    role: str
    content_type: str
    bytes: int
    sha256: str
    url: str
    path: Path | None
    """Where it lies on this machine; None where the store is a bucket."""

    def as_json(self, shows: Literal["path", "url"]) -> JSONObject:
        """Its facts, and the one way in which this hook can reach it."""
        facts: JSONObject = {
            "role": self.role,
            "content_type": self.content_type,
            "bytes": self.bytes,
            "sha256": self.sha256,
        }
        if shows == "path" and self.path is not None:
            return {**facts, "path": str(self.path)}
        return {**facts, "url": self.url}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAsked:
    """A request before anything is held: may it be rendered?"""

    stage: Literal["request"] = "request"
    job: str
    """The id that the job will have."""
    account: str
    mode: Mode
    model: str
    prompt: str = field(repr=False)
    negative_prompt: str | None = field(repr=False)
    options: Mapping[str, JSON] = field(repr=False)
    """What is passed through to the provider; some models take words there, too."""
    files: Sequence[FileShown] = ()

    def as_json(self, shows: Literal["path", "url"]) -> JSONObject:
        """The question in JSON."""
        return {
            "stage": self.stage,
            "job": self.job,
            "account": self.account,
            "mode": self.mode,
            "model": self.model,
            "prompt": self.prompt,
            "negative_prompt": self.negative_prompt,
            "options": dict(self.options),
            "files": [file.as_json(shows) for file in self.files],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipAsked:
    """A clip that was rendered, before anybody is given it: may it be given out?

    Its prompt is not told again; the question about the request had the same `job`.
    """

    stage: Literal["result"] = "result"
    job: str
    account: str
    mode: Mode
    model: str
    clip: FileShown

    def as_json(self, shows: Literal["path", "url"]) -> JSONObject:
        """The question in JSON."""
        return {
            "stage": self.stage,
            "job": self.job,
            "account": self.account,
            "mode": self.mode,
            "model": self.model,
            "files": [self.clip.as_json(shows)],
        }
