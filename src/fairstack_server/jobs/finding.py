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

    A list shows the tasks of equal orders alike. Those that another attempt holds are not ours; of the rest
    any will do, as long as there are no more of them than equal orders whose answers were lost: with more,
    one of them is somebody's who is not us. Raises ProviderError when the look broke; safe to repeat.
    """
    if not isinstance(provider, CanFind):
        return None
    seen = await provider.find(await planner.order_of(job, attempt), attempt.created_at - FIND_SLACK)
    held = await store.held_by_others(attempt, [str(ref.get("id")) for ref in seen]) if seen else set()
    free = [ref for ref in seen if str(ref.get("id")) not in held]
    if not free or (len(free) > 1 and len(free) > await store.count_lost_equals(attempt)):
        return None
    return free[0] if await store.write_found(attempt, free[0]) else None
