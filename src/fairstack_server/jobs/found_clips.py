"""Where a provider's clip is, as a job remembers it: never with a key."""

from __future__ import annotations

from fairstack_server.jobs.job import Job
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import ClipAt, Succeeded


def where(found: Succeeded) -> JSONObject:
    """What is kept with the job."""
    return {"url": found.clip.url, "path": found.clip.path}


def remembered(job: Job) -> Succeeded | None:
    """The clip at the place that was kept; None when none was."""
    if job.clip is None:
        return None
    url, path = job.clip.get("url"), job.clip.get("path")
    return Succeeded(ClipAt(url if isinstance(url, str) else None, path if isinstance(path, str) else None))
