"""Questions to a provider about a task of ours: they only read, or ask to stop, and never break a job."""

from __future__ import annotations

import structlog

from fairstack_server.jobs.job import Job
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import (
    CanCancel,
    CancelOutcome,
    Failed,
    Pending,
    Provider,
    ProviderError,
    Succeeded,
)

log = structlog.get_logger()


async def look(job: Job, provider: Provider, ref: JSONObject) -> Pending | Succeeded | Failed | None:
    """Look at the task once; None when no answer came."""
    try:
        return await provider.poll(ref)
    except Exception as error:
        # A look only reads. Whatever broke, a bug of ours included, the deadline must still come.
        said = str(error) if isinstance(error, ProviderError) else type(error).__name__
        log.warning("job.poll_broke", job=job.id, provider=provider.name, error=said)
        return None


async def stop(job: Job, provider: Provider, ref: JSONObject) -> bool:
    """Ask the provider to stop; True only when it confirms, for only then is nothing billed."""
    if not isinstance(provider, CanCancel):
        return False
    try:
        outcome = await provider.cancel(ref)
    except ProviderError as error:
        log.warning("job.cancel_broke", job=job.id, provider=provider.name, error=str(error))
        return False
    log.info("job.cancel_asked", job=job.id, provider=provider.name, outcome=outcome.value)
    return outcome is CancelOutcome.STOPPED
