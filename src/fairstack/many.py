"""Make many clips, a few at a time; the flow behind `client.generate.many()`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from fairstack import jobs
from fairstack.bar import Draw, bar_of
from fairstack.errors import BadArgument, FairStackError
from fairstack.flow import Flow, Tell, Together
from fairstack.generate import VideoRequest, check_names, submit
from fairstack.types import JobRecord

DEFAULT_CONCURRENCY = 4
J = TypeVar("J", bound=jobs.JobFacts)
R = TypeVar("R")


class Batch(Generic[J, R]):
    """Orders that are made together, and what is known of their jobs.

    `job_of` and `result_of` make the client's own jobs and results of what the server tells.
    """

    def __init__(
        self,
        requests: Iterable[VideoRequest],
        job_of: Callable[[JobRecord], J],
        result_of: Callable[[JobRecord], R],
        timeout: float | None,
        on_progress: Callable[[J, int], Any] | None,
    ) -> None:
        self._orders = [_checked(request) for request in requests]
        self._job_of = job_of
        self._result_of = result_of
        self._timeout = timeout
        self._on_progress = on_progress
        self._draw: Draw | None = None
        self._begun = 0
        self._sending: set[int] = set()
        self._jobs: list[J] = []
        self._made = self._failed = 0

    def make(self, concurrency: int, *, progress_bar: bool) -> Flow[list[R | FairStackError]]:
        """For each order its result or its error, in their order; one that fails does not lose the others.

        Whatever else is raised, Ctrl-C too, has notes that name the jobs that go on.
        """
        if concurrency < 1:
            raise BadArgument("concurrency must be 1 or more", param="concurrency")
        if not progress_bar:
            return (yield from self._together(concurrency))
        with bar_of(len(self._orders)) as self._draw:
            self._show()
            return (yield from self._together(concurrency))

    def _together(self, concurrency: int) -> Flow[list[R | FairStackError]]:
        flows = [self._clip(index, order) for index, order in enumerate(self._orders)]
        try:
            outcomes: list[R | FairStackError] = yield Together(flows, concurrency)
        except BaseException as error:
            for fact in self._what_goes_on():
                error.add_note(fact)
            raise
        return outcomes

    def _clip(self, index: int, order: Mapping[str, Any]) -> Flow[R | FairStackError]:
        try:
            job = yield from self._submitted(index, dict(order))
            watched = self._draw is not None or self._on_progress is not None
            record = yield from jobs.wait(job, self._timeout, self._looked(index) if watched else None)
            result = self._result_of(record)
        except FairStackError as error:
            self._failed += 1
            yield from self._redraw()
            return error
        self._made += 1
        yield from self._redraw()
        return result

    def _submitted(self, index: int, order: dict[str, Any]) -> Flow[J]:
        self._begun += 1
        self._sending.add(index)
        model, prompt, key = order.pop("model"), order.pop("prompt"), order.pop("idempotency_key", None)
        try:
            record = yield from submit(model, prompt, order, key)
        except FairStackError:
            self._sending.discard(index)
            raise
        job = self._job_of(record)
        self._jobs.append(job)
        self._sending.discard(index)
        return job

    def _looked(self, index: int) -> Callable[[J], Any]:
        def looked(job: J) -> Any:
            self._show()
            return self._on_progress(job, index) if self._on_progress is not None else None

        return looked

    def _redraw(self) -> Flow[None]:
        if self._draw is not None:
            yield Tell(lambda _: self._show(), None)

    def _show(self) -> None:
        if self._draw is None:
            return
        ended = self._made + self._failed
        under_way = sum(job.progress or 0.0 for job in self._jobs if not job.record.ended)
        words = f"{self._made} of {len(self._orders)} clips" + f", {self._failed} failed" * bool(self._failed)
        self._draw(min(ended + under_way, len(self._orders)), words)

    def _what_goes_on(self) -> Iterator[str]:
        going = [job.id for job in self._jobs if not job.record.ended]
        if going:
            yield f"These jobs go on, and their clips will be paid for: {', '.join(going)}"
            yield f'Wait again: client.jobs.get("{going[0]}").wait()'
        if self._sending:
            yield f"Orders on their way: {len(self._sending)}; client.jobs.list() shows which arrived"
        yield f"Orders not sent: {len(self._orders) - self._begun}"


def _checked(request: VideoRequest) -> Mapping[str, Any]:
    """The request, refused as a wrong call of `video()` would be, before any other is sent."""
    for name in ("model", "prompt"):
        if name not in request:
            raise TypeError(f"many() got a request without {name!r}")
    check_names(set(request) - {"model", "prompt", "idempotency_key"}, "many()")
    return request
