"""What a completed job gives."""

from __future__ import annotations

from datetime import datetime

from fairstack.errors import UnexpectedAnswer
from fairstack.types import Cost, JobRecord, Metadata

_NOTEBOOK_WIDTH = 640


class ResultFacts:
    """The facts of a finished clip."""

    def __init__(self, record: JobRecord) -> None:
        if record.url is None or record.cost is None or record.metadata is None:
            raise UnexpectedAnswer(
                f"{record.id} is completed, and the answer lacks url, cost or metadata", job_id=record.id
            )
        self.record = record
        #: Where the clip is; durable.
        self.url: str = record.url
        #: What was charged; prints as `$0.048`.
        self.cost: Cost = record.cost
        #: Width, height, duration, fps and more.
        self.metadata: Metadata = record.metadata

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.url} {self.cost}>"

    @property
    def id(self) -> str:
        """The job's id."""
        return self.record.id

    @property
    def status(self) -> str:
        """completed."""
        return self.record.status

    @property
    def model(self) -> str | None:
        """Key of the model."""
        return self.record.model

    @property
    def modality(self) -> str:
        """video."""
        return self.record.modality

    @property
    def completed_at(self) -> datetime | None:
        """When the clip was ready."""
        return self.record.completed_at

    @property
    def expires_at(self) -> datetime | None:
        """When the clip will be deleted; None: never."""
        return self.record.expires_at

    @property
    def json(self) -> str:
        """The server's answer, exactly as it came."""
        return self.record.text

    def _repr_html_(self) -> str:
        """The clip itself, where a notebook shows this result."""
        import html

        width = min(self.metadata.width or _NOTEBOOK_WIDTH, _NOTEBOOK_WIDTH)
        caption = html.escape(f"{self.id} · {self.model} · {self.cost}")
        if not self.url.startswith(("https://", "http://")):
            return f"<p>{caption}</p>"
        source = html.escape(self.url, quote=True)
        return f'<video src="{source}" width="{width}" controls loop muted></video><p>{caption}</p>'
