"""Finding the task of an order whose answer was lost, at a provider that can be asked for it."""

from __future__ import annotations

from fairstack_server.jobs.job import Attempt, Job
from fairstack_server.jobs.ports import PlansAttempts
from fairstack_server.jobs.store import JobStore
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.providers.base import FIND_SLACK, CanFind, Provider


async def find_task(
    store: JobStore, planner: PlansAttempts, provider: Provider, job: Job, attempt: Attempt
) -> JSONObject | None:
    """The ref of the attempt's task, kept as its receipt; None when it is not seen or somebody else's.

    Raises ProviderError when the look broke; safe to repeat.
    """
    if not isinstance(provider, CanFind):
        return None
    ref = await provider.find(await planner.order_of(job, attempt), attempt.created_at - FIND_SLACK)
    return ref if ref is not None and await store.write_found(attempt, ref) else None
