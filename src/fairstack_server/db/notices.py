"""What happens to jobs, told between processes by LISTEN/NOTIFY: hints only, any of them may be lost.

Whoever waits re-reads the truth from the tables when it is woken, and when nothing woke it for a while.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal

import msgspec
import structlog

from fairstack_server.db.connections import OwnConnection
from fairstack_server.db.outage import DATABASE_DOWN

log = structlog.get_logger()

CHANNEL = "fairstack_jobs"
_PROGRESS_KEPT = 50_000
_RECONNECT_SECONDS = 1.0

NoticeKind = Literal["moved", "ended", "progress", "cancel", "callback"]


class Notice(msgspec.Struct, frozen=True):
    """One thing that happened to a job."""

    job_id: str
    kind: NoticeKind
    progress: float | None = None


def notice_text(notice: Notice) -> str:
    """The payload of a NOTIFY."""
    return msgspec.json.encode(notice).decode()


class Notices:
    """One listening connection of this process, and who waits for which job.

    Progress is kept here and nowhere else: polls never touch the database.
    """

    def __init__(self, connect: Callable[[], Awaitable[OwnConnection]]) -> None:
        self._connect = connect
        self._waiting: dict[str, set[asyncio.Queue[Notice]]] = {}
        self._progress: OrderedDict[str, float] = OrderedDict()
        self._connection: OwnConnection | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen from now on; a lost connection is made anew."""
        await self._listen()
        self._task = asyncio.create_task(self._stay_connected(), name="notices")

    async def stop(self) -> None:
        """Stop listening and close the connection."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._connection is not None and not self._connection.is_closed():
            await self._connection.close()

    def progress(self, job_id: str) -> float | None:
        """Last progress (0-1) that was told of a job; None when nothing was."""
        return self._progress.get(job_id)

    @asynccontextmanager
    async def of_job(self, job_id: str) -> AsyncIterator[asyncio.Queue[Notice]]:
        """A queue of what happens to this job from now on; subscribe first, then read the truth."""
        inbox: asyncio.Queue[Notice] = asyncio.Queue(maxsize=1000)
        waiting = self._waiting.setdefault(job_id, set())
        waiting.add(inbox)
        try:
            yield inbox
        finally:
            waiting.discard(inbox)
            if not waiting:
                self._waiting.pop(job_id, None)

    def tell(self, notice: Notice) -> None:
        """Hand a notice to those who wait in this process."""
        if notice.progress is not None:
            self._progress[notice.job_id] = notice.progress
            self._progress.move_to_end(notice.job_id)
            while len(self._progress) > _PROGRESS_KEPT:
                self._progress.popitem(last=False)
        if notice.kind == "ended":
            self._progress.pop(notice.job_id, None)
        for inbox in self._waiting.get(notice.job_id, ()):
            with suppress(asyncio.QueueFull):
                inbox.put_nowait(notice)

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        with suppress(msgspec.DecodeError):
            self.tell(msgspec.json.decode(str(payload), type=Notice))

    async def _listen(self) -> None:
        self._connection = await self._connect()
        await self._connection.add_listener(CHANNEL, self._heard)

    async def _stay_connected(self) -> None:
        while True:
            await asyncio.sleep(_RECONNECT_SECONDS)
            connection = self._connection
            if connection is not None and not connection.is_closed():
                continue
            try:
                await self._listen()
            except DATABASE_DOWN as error:
                log.warning("notices.reconnect_failed", error=type(error).__name__)
                continue
            self._wake_everybody()

    def _wake_everybody(self) -> None:
        """Something may have been missed: let everybody read the truth."""
        for job_id in list(self._waiting):
            self.tell(Notice(job_id, "moved"))
