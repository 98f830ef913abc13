"""Whether a new job is taken in: not when every provider of its routes is known to take none of our orders.

A provider that is down is waited for, within the job's time. One that does not accept our key, or whose
account is empty, is mended by nobody but the operator: its jobs would only hold their users' money.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from fairstack_server.errors import Unavailable
from fairstack_server.jobs.placement import NewJob
from fairstack_server.pricing import UsableRoute

_RETRY_SECONDS = 60


#: The routes that may make a job's clip.
RoutesOf = Callable[[NewJob], Collection[UsableRoute]]


class Admission:
    """Turns jobs away that nobody would render."""

    def __init__(self, routes_of: RoutesOf, refusing: Callable[[], Collection[str]]) -> None:
        self._routes_of = routes_of
        self._refusing = refusing

    def judge(self, job: NewJob) -> None:
        """Raise Unavailable `provider_unavailable` for a job that nobody would render now."""
        refusing = self._refusing()
        if not refusing:
            return
        routes = self._routes_of(job)
        if routes and all(route.route.provider in refusing for route in routes):
            raise Unavailable(
                f"The provider of {job.model} takes no orders of this server at present; its operator was "
                "told. Nothing was held.",
                code="provider_unavailable",
                retry_after_seconds=_RETRY_SECONDS,
            )
