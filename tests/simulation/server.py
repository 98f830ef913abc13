"""One process of the gateway, wired of the real parts, on the simulated world."""

from __future__ import annotations

import asyncio
import contextvars
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from fairstack_server.accounts.store import Caller
from fairstack_server.api.routes import callbacks
from fairstack_server.api.wire import ended_job
from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.model import Route
from fairstack_server.db.connections import OwnConnection, Pool
from fairstack_server.db.notices import Notices
from fairstack_server.db.outage import DATABASE_DOWN
from fairstack_server.egress import PostAnswer, TransferFailed
from fairstack_server.jobs.cancel import Cancellation, Cancelling
from fairstack_server.jobs.gates import Gates
from fairstack_server.jobs.job import Attempt, Completion, Job
from fairstack_server.jobs.late import LateResults
from fairstack_server.jobs.lifecycle import Lifecycle, Pace
from fairstack_server.jobs.orders import FindsInputs, Planner, Planning
from fairstack_server.jobs.placement import NewJob, Placement, PlacementOutcome
from fairstack_server.jobs.ports import NotAClip
from fairstack_server.jobs.reading import JobReader
from fairstack_server.jobs.reports import ProviderReports
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.store import JobStore
from fairstack_server.jobs.worker import Worker, WorkerLimits
from fairstack_server.pricing import UsableRoute
from fairstack_server.providers.base import ClipAt, ClipFacts
from fairstack_server.providers.limits import Limits
from fairstack_server.webhooks.deliver import Deliverer
from tests.simulation.database.queue import MemoryQueue
from tests.simulation.loop import HOST
from tests.simulation.providers import make_provider
from tests.simulation.world import Machine, World

WORKER_TIMEOUT_SECONDS = 30.0
LATE_SECONDS = 20.0
_LIMITS = WorkerLimits(jobs=4, timeout_seconds=WORKER_TIMEOUT_SECONDS, sweep_seconds=5.0, sandbox_in_flight=4)


@dataclass(frozen=True)
class Parts:
    """The classes that a server is built of; a planted bug puts others in their place."""

    lifecycle: type[Lifecycle] = Lifecycle
    settlement: type[Settlement] = Settlement
    store: type[JobStore] = JobStore
    placement: type[Placement] = Placement
    hears_callbacks: type[Callbacks] = field(default_factory=lambda: Callbacks)


class Callbacks:
    """The route that vendors call."""

    def __init__(self, server: Server) -> None:
        self._server = server
        gateway = SimpleNamespace(providers=server.providers, jobs=server.store)
        self._route = callbacks.routes(cast(Any, gateway))[0].fn

    async def hear(self, vendor: str, nonce: str, body: bytes) -> None:
        """A vendor calls. Raises what the route raises."""

        async def read() -> bytes:
            return body

        request = cast(Any, SimpleNamespace(headers={}, body=read))
        await self._route(request, provider_name=vendor, nonce=nonce)


class RoutesOfTheWorld(Planner):
    """The real planner over routes that the model's name spells: `vendor_a+vendor_c`."""

    def __init__(self, gone: set[tuple[str, str]]) -> None:
        planning = Planning(submit_attempts=3, allow_loss=False, callback_base="https://gateway.test")
        super().__init__(cast(Catalog, None), (), cast(FindsInputs, None), planning)
        self._gone = gone

    def _routes(self, job: Job, now: datetime) -> tuple[UsableRoute, ...]:
        names = [name for name in job.model.split("+") if (job.model, name) not in self._gone]
        return tuple(UsableRoute(Route(provider=name, endpoint="clip"), 700) for name in names)


class Gone:
    """Routes that their vendor no longer has, known to all at once."""

    def __init__(self, gone: set[tuple[str, str]]) -> None:
        self._gone = gone

    async def mark_gone(self, job: Job, attempt: Attempt, said: str) -> None:
        """No job of that model takes this route again."""
        self._gone.add((job.model, attempt.provider))


class Keeper:
    """Brings clips into the media store of the world, which outlives every process."""

    def __init__(self, world: World, machine: Machine) -> None:
        self._world = world
        self._machine = machine

    async def keep(self, job: Job, attempt: Attempt, clip: ClipAt, facts: ClipFacts) -> Completion:
        """Download and store. Raises NotAClip for a useless file, OSError for what may pass."""
        vendor_name, _, task_id = (clip.url or "").removeprefix("https://").partition("/")
        task = self._world.vendors[vendor_name].tasks[task_id]
        await self._world.request(self._machine, lambda: None)
        if self._world.faults.of_keep():
            raise OSError("the media store failed: ConnectionError")
        if task.stopped or self._world.loop.time() < task.ends_at:
            raise OSError("404: there is no such clip")
        if task.fate == "broken_file":
            raise NotAClip("it has no moov box")
        key = f"video/{attempt.nonce}/clip.mp4"
        self._world.media[key] = (vendor_name, task_id)
        self._world.note(f"{self._machine.name} stores {key}")
        return completion_at(key)


def completion_at(key: str) -> Completion:
    """A clip in the store."""
    return Completion(
        media_key=key,
        url=f"https://gateway.test/media/{key}",
        bytes=1000,
        sha256="0" * 64,
        width=640,
        height=360,
        duration_seconds=5.0,
        fps=24.0,
        audio=False,
        poster_url=None,
        provenance={"c2pa": False},
    )


class Server(Machine):
    """A gateway with its worker, its webhook sender and its faces."""

    def __init__(self, name: str, world: World, parts: Parts, gone: set[tuple[str, str]]) -> None:
        super().__init__(name, world)
        self.context.run(HOST.set, self)
        self.parts = parts
        pool = cast(Pool, self.pool)
        self.queue = MemoryQueue(pool, self)
        self.store = parts.store(pool, WORKER_TIMEOUT_SECONDS)
        self.settlement = parts.settlement(pool, ended_job)
        self.providers = {each.name: make_provider(each, world, self) for each in world.vendors.values()}
        self.notices = Notices(self.connect)
        self.reader = JobReader(pool)
        self.cancelling = Cancelling(pool, self.store, self.settlement, self)
        self.placement = parts.placement(pool, self.queue, lambda _job: None)
        self.callbacks = parts.hears_callbacks(self)
        self.deliverer = Deliverer(pool, self.post, self, connect=self.connect, dice=world.dice.random)
        self.worker = self._build_worker(pool, RoutesOfTheWorld(gone), Gone(gone))

    def _build_worker(self, pool: Pool, planner: Planner, gone: Gone) -> Worker:
        keeper, dice = Keeper(self.world, self), self.world.dice
        limits = {
            name: Limits(in_flight=dice.randint(1, 3)) for name in self.providers if dice.random() < 0.3
        }
        gates = Gates(self.providers, self, limits)
        lifecycle = self.parts.lifecycle(
            self.store,
            self.settlement,
            planner,
            keeper,
            self.providers,
            gates,
            gone,
            self.notices,
            self,
            Pace(),
        )
        late = LateResults(
            self.store, self.settlement, planner, keeper, self.providers, self, pause_seconds=LATE_SECONDS
        )
        reports = ProviderReports(pool, WORKER_TIMEOUT_SECONDS)
        return Worker(
            pool,
            self.connect,
            self.queue,
            self.store,
            lifecycle,
            late,
            gates,
            reports,
            self.notices,
            self,
            _LIMITS,
        )

    async def connect(self) -> OwnConnection:
        """A connection outside the pool."""
        return cast(OwnConnection, await self.pool.connect())

    # --- its life

    def run(self, what: Any) -> asyncio.Task[Any]:
        """Run something in this process."""
        context = self.context.run(contextvars.copy_context)
        return self.world.loop.create_task(what, context=context)

    async def live(self) -> None:
        """Start everything, and go on until stopped."""
        while True:
            try:
                await self.notices.start()
                break
            except DATABASE_DOWN:
                await asyncio.sleep(1.0)
        self.listening = asyncio.create_task(self._hear_wake_ups())
        await asyncio.gather(self.worker.run(), self.deliverer.run())

    async def _hear_wake_ups(self) -> None:
        while True:
            try:
                connection = await self.pool.connect()
                await connection.add_listener("queue", lambda *_: self.queue.heard())
                while not connection.is_closed():
                    await asyncio.sleep(5.0)
            except DATABASE_DOWN:
                await asyncio.sleep(5.0)

    async def stop_working(self) -> None:
        """SIGTERM for the worker: what it had goes back."""
        await self.worker.stop()

    # --- its faces

    async def place(self, job: NewJob) -> PlacementOutcome:
        """A request for a clip."""
        if job.idempotency_key is not None:
            replayed = await self.placement.replay(
                job.account_id, job.mode, job.idempotency_key, job.fingerprint
            )
            if replayed is not None:
                return replayed
        return await self.placement.place(job)

    async def cancel(self, account_id: str, job_id: str) -> Cancellation:
        """A wish to cancel. Raises Conflict."""
        caller = Caller(account_id, "key_1", "live", frozenset())
        return await self.cancelling.cancel(await self.reader.get(caller, job_id))

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, timeout_seconds: float
    ) -> PostAnswer:
        """A webhook goes out."""
        receiver = self.world.receivers[url.split("/")[2]]
        message_id = headers["webhook-id"]

        def arrive() -> int | None:
            status = receiver.answer(self.world.loop.time())
            self.world.note(f"{receiver.host} is told {message_id}, says {status}")
            if status is not None:
                receiver.got.setdefault(message_id, []).append((url, body))
            if status is not None and 200 <= status < 300:
                receiver.taken.add(message_id)
            return status

        try:
            status = await self.world.request(self, arrive)
        except ConnectionError as error:
            raise TransferFailed("broken", str(error)) from error
        if status is None:
            raise TransferFailed("connect", "nobody listens")
        return PostAnswer(status, {}, b"")


def callback_body(task_id: str, says: str) -> bytes:
    """What a vendor posts."""
    return json.dumps({"id": task_id, "status": says}).encode()


__all__: Sequence[str] = ("Callbacks", "Parts", "Server", "callback_body", "completion_at")
