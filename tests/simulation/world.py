"""The simulated world: time, network, database server, vendors and receivers, and what strikes them."""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

import asyncpg

from fairstack_server.providers.base import SubmitClass
from tests.simulation.database.connection import MemoryConnection, MemoryPool, Statements
from tests.simulation.database.tables import Change, Database, Transaction
from tests.simulation.faults import TROUBLE_SECONDS, Faults, draw_mix
from tests.simulation.loop import Host, SimLoop
from tests.simulation.vendors import Fate, Receiver, Task, Vendor

T = TypeVar("T")

EPOCH = datetime(2026, 1, 31, 23, 58, tzinfo=UTC)
IDLE_IN_TRANSACTION_SECONDS = 30.0
RENDERS_SLOWLY_SECONDS = 320.0
_FATES: tuple[Fate, ...] = ("ok",) * 16 + ("fails", "filtered", "broken_file")


class Machine(Host):
    """A process of ours with its clock and its connections."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name)
        self.world = world
        self.skew_seconds = 0.0
        self.was_frozen = False
        self.was_stopped = False
        self.pool = MemoryPool(world.database, Wires(world, self), self, world.statements)
        self.context = contextvars.copy_context()

    # --- its clock

    def now(self) -> datetime:
        """Wall-clock time, as wrong as this machine's clock is."""
        return self.world.now() + timedelta(seconds=self.skew_seconds)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.world.loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait in virtual time."""
        await asyncio.sleep(seconds)


@dataclass(slots=True)
class Wires:
    """The way between one machine and the database; a fault may strike on it."""

    world: World
    machine: Machine

    async def there(self, connection: MemoryConnection, what: str) -> None:
        """A statement travels."""
        if await self.world.strike(self.machine):
            connection.cut()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        await asyncio.sleep(self.world.dice.uniform(0.0005, 0.01))
        if self.world.database_is_down:
            connection.cut()
            raise asyncpg.CannotConnectNowError("the database system is starting up")

    async def back(self, connection: MemoryConnection, what: str) -> None:
        """What was committed is told, or not."""
        if await self.world.strike(self.machine):
            connection.cut()
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")


@dataclass(slots=True)
class Trace:
    """What happened, as one hash and, where it is wanted, as lines."""

    lines: list[str] | None = None
    _digest: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    def note(self, at: float, text: str) -> None:
        """Something happened."""
        line = f"{at:10.4f}  {text}"
        self._digest.update(line.encode())
        if self.lines is not None:
            self.lines.append(line)

    @property
    def hash(self) -> str:
        """The same for the same events in the same order."""
        return str(self._digest.hexdigest())


class World:
    """Everything that is no process of ours, and the faults that hit those."""

    def __init__(self, seed: int, statements: Statements, *, keeps_lines: bool = False) -> None:
        self.seed = seed
        self.statements = statements
        self.dice = random.Random(seed)
        self.loop = SimLoop(self.dice)  # type: ignore[abstract]
        self.faults = Faults(self.dice, draw_mix(self.dice))
        self.database = Database(self.now)
        self.database.on_notify = self._notify
        self.database_is_down = False
        self.machines: dict[str, Machine] = {}
        self.vendors: dict[str, Vendor] = _draw_vendors(self.dice)
        self.receivers: dict[str, Receiver] = {}
        self.media: dict[str, tuple[str, str]] = {}
        """Key in the media store -> (vendor, id of the task whose clip it is)."""
        self.trace = Trace([] if keeps_lines else None)
        self.on_take: Callable[[Vendor, str, Machine, Task], None] = lambda *_: None
        self.on_answer: Callable[[Machine, str], None] = lambda _machine, _nonce: None
        self.on_death: Callable[[Machine], None] = lambda _machine: None
        self.on_callback: Callable[[Vendor, Task], None] = lambda _vendor, _task: None
        self._context = contextvars.copy_context()
        self._serial = 0

    # --- time and events

    def now(self) -> datetime:
        """True time."""
        return EPOCH + timedelta(seconds=self.loop.time())

    def note(self, text: str) -> None:
        """Write what happened into the trace."""
        self.trace.note(self.loop.time(), text)

    def serial(self, prefix: str) -> str:
        """A new name."""
        self._serial += 1
        return f"{prefix}{self._serial}"

    def later(self, seconds: float, what: Callable[..., object], *arguments: Any) -> None:
        """Do something in that many seconds, whoever is dead by then."""
        self.loop.call_later(seconds, what, *arguments, context=self._context)

    @property
    def alive(self) -> list[Machine]:
        """Machines that are up, frozen ones included."""
        return [machine for machine in self.machines.values() if not machine.dead]

    # --- the network

    async def request(self, machine: Machine, act: Callable[[], T]) -> T:
        """Have `act` done at the other side, also when the asker dies before it arrives or is answered.

        Raises what `act` raises, and ConnectionError when the asker's line is cut.
        """
        if await self.strike(machine):
            raise ConnectionError("the line was cut before the request")
        answer: asyncio.Future[T] = self.loop.create_future()
        self.later(self.dice.uniform(0.005, 0.2), self._arrive, act, answer)
        result = await answer
        if await self.strike(machine):
            raise ConnectionError("the line was cut before the answer")
        return result

    def _arrive(self, act: Callable[[], T], answer: asyncio.Future[T]) -> None:
        try:
            result = act()
        except Exception as error:
            self.later(self.dice.uniform(0.005, 0.2), _refuse, answer, error)
            return
        self.later(self.dice.uniform(0.005, 0.2), _answer, answer, result)

    def _notify(self, channel: str, text: str) -> None:
        for machine in self.alive:
            for session in list(machine.pool.sessions):
                if session.listens_to(channel):
                    session.hear(channel, text, self.dice.uniform(0.001, 0.05), machine.context)

    # --- vendors

    def take(self, vendor: Vendor, nonce: str, wish: str, machine: Machine) -> Task:
        """An order arrives at a vendor; one that honours the nonce as a key takes it once."""
        if vendor.knows(nonce):
            return vendor.of_nonce[nonce]
        at, slow = self.loop.time(), self.dice.random() < 0.04
        task = Task(
            id=self.serial("task"),
            nonce=nonce,
            wish=wish,
            created_at=at,
            ends_at=at
            if vendor.at_once
            else at + (RENDERS_SLOWLY_SECONDS if slow else self.dice.uniform(0.2, 25.0)),
            seen_at=at + (self.dice.uniform(0.0, 20.0) if self.dice.random() < 0.4 else 0.0),
            fate=self.dice.choice(_FATES),
        )
        self.note(f"{vendor.name} takes {nonce} as {task.id}, {task.fate} at {task.ends_at:.1f}")
        self.on_take(vendor, nonce, machine, task)
        vendor.tasks[task.id] = vendor.of_nonce[nonce] = task
        if vendor.calls_back:
            self.on_callback(vendor, task)
        return task

    # --- faults

    async def strike(self, machine: Machine) -> bool:
        """Where a machine does something that can go wrong: whether its line is cut. It may never return."""
        struck = self.faults.strike()
        if struck == "freeze":
            self.freeze(machine, self.dice.uniform(1.0, 100.0))
            await asyncio.sleep(0)
        elif struck == "crash":
            self.crash(machine)
            await self.never()
        elif struck == "cut":
            self.note(f"{machine.name} line cut")
        return struck == "cut"

    async def never(self) -> NoReturn:
        """Wait for what does not come."""
        while True:
            await self.loop.create_future()

    def crash(self, machine: Machine) -> None:
        """The process is gone between two steps; its sessions end now, or when the server notices."""
        if machine.dead:
            return
        machine.dead = True
        self.note(f"{machine.name} dies")
        lingers = self.dice.random() < 0.3
        for session in list(machine.pool.sessions):
            if lingers:
                self.later(self.dice.uniform(1.0, 40.0), session.cut)
            else:
                session.cut()
        self.on_death(machine)

    def freeze(self, machine: Machine, seconds: float) -> None:
        """SIGSTOP; the database gives up a transaction that is left open for too long."""
        if machine.dead or machine.frozen:
            return
        machine.frozen = machine.was_frozen = True
        self.note(f"{machine.name} freezes for {seconds:.1f}")
        for session in list(machine.pool.sessions):
            if session.tx is not None:
                self.later(
                    IDLE_IN_TRANSACTION_SECONDS, self._idle_in_transaction, machine, session, session.tx
                )
        self.later(seconds, self._thaw, machine)

    def _idle_in_transaction(self, machine: Machine, session: MemoryConnection, tx: Transaction) -> None:
        if machine.frozen and session.tx is tx:
            session.cut()

    def _thaw(self, machine: Machine) -> None:
        if machine.frozen and not machine.dead:
            self.note(f"{machine.name} thaws")
            self.loop.thaw(machine)

    def stop_database(self, seconds: float) -> None:
        """Every session is cut, and none can be opened for a while."""
        self.note(f"database down for {seconds:.1f}")
        self.database_is_down = True
        for machine in self.machines.values():
            for session in list(machine.pool.sessions):
                session.cut()
        self.later(seconds, self._start_database)

    def _start_database(self) -> None:
        self.note("database up")
        self.database_is_down = False

    def lose_rows(self) -> None:
        """Somebody deletes wake-ups."""
        lost = [row for row in self.database.tables["queue"].values() if self.dice.random() < 0.7]
        self.note(f"{len(lost)} wake-ups lost")
        tx = self.database.begin("vandal")
        for row in lost:
            if tx.try_lock("queue", row["id"]):
                tx.delete("queue", row)
        tx.commit()

    def describe(self, changes: list[Change]) -> Iterator[str]:
        """The changes of a commit in short, for the trace."""
        for change in changes:
            row = change.after or change.before or {}
            name = row.get("id") or row.get("nonce") or row.get("job_id") or row.get("delivery_id") or ""
            what = row.get("state") or row.get("outcome") or row.get("kind") or row.get("source") or ""
            yield f"{change.table}[{name}] {what}" + ("" if change.after else " gone")


def _answer(answer: asyncio.Future[Any], result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _refuse(answer: asyncio.Future[Any], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)


def _draw_vendors(dice: random.Random) -> dict[str, Vendor]:
    vendors = {}
    for submit_class in SubmitClass:
        name = f"vendor_{submit_class.name.lower()}"
        vendors[name] = Vendor(
            name,
            submit_class,
            can_cancel=dice.random() < 0.5,
            calls_back=dice.random() < (0.8 if submit_class is SubmitClass.D else 0.4),
            tells_key=dice.random() < 0.5,
            at_once=submit_class is SubmitClass.D and dice.random() < 0.2,
        )
    return vendors


__all__ = ["EPOCH", "TROUBLE_SECONDS", "Machine", "Trace", "Wires", "World"]
