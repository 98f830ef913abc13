"""What every stand-in shares: a loopback server that logs, acts out faults, runs tasks, and takes orders."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from aiohttp import web

from tests.upstreams.faults import Faults, Operation, act_out

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Outcome = Literal["ok", "moderated", "invalid", "crashed", "expired"]

DEFAULT_KEY = "upstream-secret-key"


@dataclass(frozen=True)
class Script:
    """How a task goes: so many status calls and at least so many seconds in each phase, then its outcome."""

    queue_polls: int = 0
    render_polls: int = 0
    queue_seconds: float = 0.0
    render_seconds: float = 0.0
    outcome: Outcome = "ok"
    latency_seconds: float = 0.0
    """Time before any call about it is answered."""
    list_lag_seconds: float = 0.0
    """Time until the list shows it."""


@dataclass
class Task:
    """One task that was taken."""

    id: str
    body: Mapping[str, Any]
    script: Script
    callback_url: str | None = None
    endpoint: str = ""
    created_at: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)
    polls: int = 0
    cancelled: bool = False
    forgotten: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def phase(self) -> Literal["queued", "rendering", "ended"]:
        """Where the task stands now."""
        elapsed = time.monotonic() - self.began
        queue, script = self.script.queue_seconds, self.script
        if self.cancelled:
            return "ended"
        if self.polls < script.queue_polls or elapsed < queue:
            return "queued"
        if self.polls < script.queue_polls + script.render_polls or elapsed < queue + script.render_seconds:
            return "rendering"
        return "ended"

    @property
    def progress(self) -> float:
        """From 0 to 1, by status calls where the script counts them, else by time."""
        if self.phase == "ended":
            return 1.0
        polls = self.script.queue_polls + self.script.render_polls
        seconds = self.script.queue_seconds + self.script.render_seconds
        if polls:
            return min(self.polls / (polls + 1), 0.99)
        return min((time.monotonic() - self.began) / seconds, 0.99) if seconds else 0.0


@dataclass(frozen=True)
class Seen:
    """One call that arrived: header names in lower case, the body as it was read."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None
    task_id: str | None = None


@dataclass
class Log:
    """What a stand-in was asked, in order of arrival, and what it would bill."""

    seen: list[Seen] = field(default_factory=list)
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def submits(self) -> list[Seen]:
        """Every submit that arrived, those that were refused or cut off before any work included."""
        return [call for call in self.seen if call.operation == "submit"]

    def of(self, operation: str) -> list[Seen]:
        """Every call of one kind."""
        return [call for call in self.seen if call.operation == operation]

    @property
    def billed(self) -> dict[str, int]:
        """Task id -> generations billed: one for every task that was taken, rendered and not cancelled."""
        return {
            task.id: 1 for task in self.tasks.values() if task.script.outcome == "ok" and not task.cancelled
        }


class Upstream:
    """A stand-in on 127.0.0.1; subclasses add their protocol with `routes`."""

    def __init__(self, key: str = DEFAULT_KEY, port: int = 0) -> None:
        self.key = key
        self.port = port
        self.log = Log()
        self.faults = Faults()
        self.script = Script()
        self.next_scripts: list[Script] = []
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()
        self._background: set[asyncio.Task[None]] = set()

    @property
    def base_url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def last_task(self) -> Task:
        """The task that was taken last."""
        return next(reversed(self.log.tasks.values()))

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.refuse()

    async def accept(self) -> None:
        """Listen (again), on the same port as before."""
        if self._runner is not None:
            return
        self._stopping = asyncio.Event()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_get("/_control", self._report)
        app.router.add_post("/_control", self._control)
        self.routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def refuse(self) -> None:
        """Close every connection and refuse new ones until `accept`; tasks and log stay."""
        if self._runner is None:
            return
        self._stopping.set()
        runner, self._runner = self._runner, None
        await runner.cleanup()

    def routes(self, app: web.Application) -> None:
        """Add the protocol's paths."""
        raise NotImplementedError

    def serve(self, operation: Operation, handler: Handler) -> Handler:
        """Wrap a handler: log the call, then let planned faults have their way before or after its work."""

        async def answer(request: web.Request) -> web.StreamResponse:
            fault = self.faults.take(operation)
            if fault is not None and not fault.after:
                await self.note(operation, request)
                return await act_out(fault, request, None, self._stopping)
            whole = await handler(request)
            if fault is None:
                return whole
            return await act_out(
                fault, request, whole if isinstance(whole, web.Response) else None, self._stopping
            )

        return answer

    async def note(
        self, operation: Operation, request: web.Request, body: Any = None, task_id: str | None = None
    ) -> None:
        """Write this call into the log."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = Seen(operation, request.method, request.path, dict(request.query), headers, body, task_id)
        self.log.seen.append(call)

    def take(self, body: Mapping[str, Any], *, task_id: str | None = None, **told: Any) -> Task:
        """Take an order: from here on the task exists and will be billed if it succeeds."""
        script = self.next_scripts.pop(0) if self.next_scripts else self.script
        task = Task(id=task_id or str(uuid.uuid4()), body=body, script=script, **told)
        self.log.tasks[task.id] = task
        return task

    def start(self, work: Awaitable[None]) -> None:
        """Run something beside the answers until the server stops."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _report(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "submits": len(self.log.submits),
                "billed": self.log.billed,
                "tasks": {task.id: task.phase for task in self.log.tasks.values()},
                "seen": [[call.operation, call.method, call.path] for call in self.log.seen],
            }
        )

    async def _control(self, request: web.Request) -> web.Response:
        """`{"script": {…}, "next_scripts": [{…}], "faults": [{"kind", "on", "after", "times"}]}`."""
        told = await request.json()
        if "script" in told:
            self.script = replace(Script(), **told["script"])
        self.next_scripts += [replace(Script(), **script) for script in told.get("next_scripts", [])]
        for fault in told.get("faults", []):
            self.faults.add(fault.pop("kind"), **fault)
        return web.json_response({"ok": True})
