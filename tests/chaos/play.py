"""Playing a case: a user orders, gateways live and are struck down, time passes, and the judge is asked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from tests.chaos.cases import Blow, Case
from tests.chaos.judge import Standing, faults, has_queue_row, standing, tasks_of
from tests.chaos.stage import Stage
from tests.chaos.zygote import Process

_LOOK_SECONDS = 0.04
_REST_SECONDS = 2.0
_LAST_POINTS_SECONDS = 0.1
#: By then a successor has begun with the job, if it will.
_TAKE_OVER_SECONDS = 1.5
#: After so long without an end a case is stuck. Every wait of a life is a tenth of what it says.
STUCK_SECONDS = 45.0
_LONGEST_JOB_SECONDS = 600.0
#: A life searches and waits at its own pace for so long (3 s to it) before time is helped on.
_PATIENCE_SECONDS = 0.3
_NO_DATABASE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass
class Played:
    """What came of a case."""

    case: Case
    kills: int = 0
    missed: int = 0
    """Blows at a point that the life did not come to."""
    struck: list[str] = field(default_factory=list)
    """The points at which a life was ended or stopped."""
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Scene:
    """One case on a stage."""

    def __init__(
        self, stage: Stage, case: Case, number: int, kill_postgres: Callable[[], Awaitable[None]]
    ) -> None:
        self.stage = stage
        self.case = case
        self.prompt = f"Order {number}"
        self.hook = f"hook-{number}"
        self.played = Played(case)
        self._kill_postgres = kill_postgres
        self._order: asyncio.Task[dict[str, Any]] | None = None
        self._zombies: list[Process] = []
        self._waits: tuple[str, float] | None = None
        """What the order seems to wait for, and since when."""

    async def play(self, record: str | None = None) -> Played:
        """Play it to its end and judge it; the last life writes its points to `record`."""
        began = time.monotonic()
        self.stage.dial.ahead_seconds = 0.0
        vendor = self.stage.vendors.by_class[self.case.klass]
        vendor.next_scripts = [self.case.script()]
        self._order = asyncio.create_task(self.stage.order(self.case.klass, self.prompt, self.hook))
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                await self._live_through(record)
                await self._rest()
                answer = await self._order
                self.played.faults += await faults(self.stage, self.case, self.prompt, self.hook, answer)
        except TimeoutError:
            now = await standing(self.stage, self.prompt)
            self.played.faults.append(f"stuck: {now}")
        except Exception as error:  # whatever it is, it is this case's fault
            self.played.faults.append(f"{type(error).__name__}: {error}")
        finally:
            self._order.cancel()
            await asyncio.gather(self._order, return_exceptions=True)
            await self.stage.end_lives()
        self.played.seconds = time.monotonic() - began
        return self.played

    async def _live_through(self, record: str | None) -> None:
        """Blow after blow, as long as anything is left to do; then a life that nobody strikes."""
        for blow in self.case.blows:
            await self._strike(blow)
            if self.stage.lives[-1].status is None:
                return
        life = await self.stage.begin(**({} if record is None else {"record": record}))
        await self._live(life)
        if life.status is not None:
            raise RuntimeError(f"the last life ended with status {life.status}")

    async def _rest(self) -> None:
        """Let the last life put away what it has in hand; the judge sees what it leaves."""
        until = time.monotonic() + _REST_SECONDS
        while time.monotonic() < until and await has_queue_row(self.stage, self.prompt):
            await asyncio.sleep(_LOOK_SECONDS)

    # --- blows

    async def _strike(self, blow: Blow) -> None:
        told: dict[str, Any] = {}
        if blow.kind in ("kill", "freeze"):
            told[blow.kind] = blow.point
        if blow.kind == "disk":
            told["disk"] = {"kind": blow.point, "times": int(blow.amount)}
            if blow.point == "short":
                told["log"] = os.devnull  # the log would be cut short as well
        life = await self.stage.begin(**told)
        match blow.kind:
            case "kill":
                await self._live(life)
                # Its last points come after the order is settled, while it puts away what it had in hand.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(life.ended.wait(), _LAST_POINTS_SECONDS)
            case "freeze":
                await self._freeze(life, blow.point)
                return
            case "term":
                await self._terminate(life, blow.seconds)
            case _:
                await self._later(life, blow)
        if life.status is None:
            self.played.missed += 1  # the order was settled first
            return
        self.played.kills += life.status == -signal.SIGKILL
        if blow.kind == "kill" and life.status == -signal.SIGKILL:
            self.played.struck.append(blow.point)
        # A SIGTERM that comes before the server listens to it ends it at once.
        right = (0, -signal.SIGTERM) if blow.kind == "term" else (-signal.SIGKILL,)
        if life.status not in right:
            self.played.faults.append(f"a life ended with status {life.status} after {blow}")

    async def _later(self, life: Process, blow: Blow) -> None:
        """SIGKILL after a while, with something before it."""
        if blow.kind in ("postmaster", "hog"):
            # A server whose database goes away while it starts ends by itself, and may.
            while life.status is None and not await self.stage.pool.fetchval("select count(*) from workers"):
                await asyncio.sleep(_LOOK_SECONDS)
        await self._live(life, blow.seconds)
        if life.status is not None:
            return
        match blow.kind:
            case "rows":
                await self.stage.pool.execute("delete from pgqueuer")
            case "clock":
                self.stage.dial.ahead_seconds += blow.amount
                await self._live(life, blow.seconds)
            case "postmaster":
                await self._kill_postgres()
                await self._live(life, blow.seconds * 4)
            case "hog":
                await self._hog(life, blow.seconds)
            case _:
                pass
        await life.end()

    async def _terminate(self, life: Process, seconds: float) -> None:
        """SIGTERM: everything stops in order, or not at all well."""
        await self._live(life, seconds)
        life.signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(life.ended.wait(), 20)
        if life.status is None:
            self.played.faults.append("SIGTERM does not stop it")

    async def _freeze(self, life: Process, point: str) -> None:
        """It stops at its point and counts as dead; a second life takes over; then it wakes up."""
        stopped = asyncio.ensure_future(life.stopped.wait())
        living = asyncio.ensure_future(self._live(life))
        await asyncio.wait({stopped, living}, return_when=asyncio.FIRST_COMPLETED)
        for each in (stopped, living):
            each.cancel()
        await asyncio.gather(stopped, living, return_exceptions=True)
        if not life.stopped.is_set():
            self.played.missed += 1
            return
        await self.stage.pool.execute("update workers set seen_at = seen_at - interval '60 seconds'")
        self.played.struck.append(point)
        self._zombies.append(life)
        second = await self.stage.begin()
        until = time.monotonic() + _TAKE_OVER_SECONDS
        while time.monotonic() < until:
            if (await standing(self.stage, self.prompt)).state not in (None, "queued"):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        await self._live(second, self.case.seed % 5 / 10)
        life.signal(signal.SIGCONT)
        self._zombies.clear()
        await self._live(second, 0.3)
        if second.status is None:
            self.played.kills += 1
            await second.end()

    async def _hog(self, life: Process, seconds: float) -> None:
        """Take every connection that PostgreSQL has left, for a while."""
        taken = []
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            while True:
                taken.append(await asyncpg.connect(self.stage.dsn.url))
        await self._live(life, seconds)
        for connection in taken:
            connection.terminate()

    # --- living

    async def _live(self, life: Process, seconds: float | None = None) -> None:
        """Until this life or its order has ended, or so many seconds are over; time passes as needed."""
        until = None if seconds is None else time.monotonic() + seconds
        while life.status is None and (until is None or time.monotonic() < until):
            if self._order is not None and self._order.done() and await self._is_settled():
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(life.ended.wait(), _LOOK_SECONDS)

    async def _is_settled(self) -> bool:
        """Whether nothing more is to come; what can only be waited for is helped on."""
        with contextlib.suppress(*_NO_DATABASE):
            now = await standing(self.stage, self.prompt)
            if now.is_settled:
                return True
            await self._pass_time(now)
        return False

    async def _pass_time(self, now: Standing) -> None:
        """What is only waited for comes: a job's longest time, a dead sender's lease, a dead queue row."""
        ahead = self.stage.dial.ahead_seconds
        if not now.has_receipt and not self._zombies and self._is_in_the_dark(now.state):
            wait, seconds = "an answer", _LONGEST_JOB_SECONDS + 1
        elif now.has_ended and (now.waiting_seconds or 0) > ahead:
            wait, seconds = "a webhook", (now.waiting_seconds or 0) - ahead + 1
        elif now.is_picked and not now.has_ended:
            wait, seconds = "a wake-up", 0.0
        else:
            self._waits = None
            return
        if self._waits is None or self._waits[0] != wait:
            self._waits = (wait, time.monotonic())
        elif time.monotonic() - self._waits[1] > _PATIENCE_SECONDS:
            self._waits = None
            await self.stage.pass_time(seconds)

    def _is_in_the_dark(self, state: str | None) -> bool:
        """Without a receipt, nothing will ever show what became of the order."""
        if state == "running":
            return True
        if state != "submit_unknown" or self.case.klass == "A":
            return False
        return self.case.klass == "D" or not tasks_of(self.stage, self.case, self.prompt)
