"""Several stages at work on one list of cases, on one PostgreSQL."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import asyncpg

from fairstack_server.db.dsn import Dsn
from fairstack_server.db.embedded import EmbeddedPostgres
from tests.chaos.cases import Blow, Case, Klass, Known
from tests.chaos.play import Played, Scene
from tests.chaos.stage import Stage, set_up
from tests.chaos.zygote import Forge
from tests.conftest import TEMPLATE, make_folder, make_template

#: Cases on one database; then a fresh one, so that none pays for a thousand others.
_CASES_ON_A_STAGE = 60
_FIRST_COMMIT = "after commit @ jobs.placement.Placement._flush #1"
_LAST_COMMIT = "before commit @ jobs.settle.Settlement.complete #1"


class Theatre:
    """Plays cases; each stage has a listening socket that every life on it accepts from."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        forge: Forge,
        postgres: EmbeddedPostgres,
    ) -> None:
        self._listeners = listeners
        self._forge = forge
        self._postgres = postgres
        self._number = 0
        self.kills = 0
        """SIGKILLs that hit so far."""

    @property
    def cpu_seconds(self) -> float:
        """CPU time so far: of the lives, of the backends that have ended, and of the harness."""
        return self._forge.cpu_seconds + self._backends_seconds() + time.process_time()

    async def find(self, plants: Mapping[str, Case]) -> list[str]:
        """Plant each bug in the lives of its case; which of them the case's faults do not show."""
        waiting, missed = iter(plants.items()), list[str]()

        async def search(number: int) -> None:
            for plant, case in waiting:
                async with self._stage(number, (plant,)) as stage:
                    done = await self._scene(stage, case).play()
                if not done.faults:
                    missed.append(plant)

        await asyncio.gather(*(search(number) for number in range(len(self._listeners))))
        return missed

    async def play(self, cases: Iterable[Case], *, stages: int | None = None) -> list[Played]:
        """Play all of them, as many at a time as there are stages; a case with faults is told at once."""
        waiting, played = iter(cases), list[Played]()
        numbers = range(len(self._listeners) if stages is None else stages)
        await asyncio.gather(*(self._work(number, waiting, played) for number in numbers))
        return played

    async def explore(self, classes: Sequence[Klass]) -> Known:
        """Run each class without a blow, and after three typical ones, and note every point."""
        first: dict[Klass, list[str]] = {}
        later: dict[Klass, dict[str, list[str]]] = {}
        for klass in classes:
            first[klass] = await self._record(Case(klass, 0, ()))
            order_is_out = next(point for point in first[klass] if point.startswith("answer begins @ "))
            later[klass] = {
                point: await self._record(Case(klass, 0, (Blow("kill", point),)))
                for point in (_FIRST_COMMIT, order_is_out, _LAST_COMMIT)
            }
        return Known(first, later)

    async def kill_postgres(self) -> None:
        """SIGKILL for the postmaster; as a server does, it is started again."""
        pid = self._postgres.status().pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        await self._postgres.start()

    def _backends_seconds(self) -> float:
        pid = self._postgres.status().pid
        if pid is None:
            return 0.0
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[13:15]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    async def _work(self, number: int, waiting: Iterator[Case], played: list[Played]) -> None:
        case = next(waiting, None)
        while case is not None:
            async with self._stage(number) as stage:
                for _ in range(_CASES_ON_A_STAGE):
                    done = await self._play(stage, case)
                    played.append(done)
                    case = next(waiting, None)
                    if case is None or done.faults:
                        break

    async def _play(self, stage: Stage, case: Case) -> Played:
        done = await self._scene(stage, case).play()
        self.kills += done.kills
        if done.faults:
            log = shutil.copy(stage.home / "log", make_folder() / "log")
            say(f"NOT  {'; '.join(done.faults)}")
            say(f"     python -m tests.chaos.campaign --case '{case.as_text()}'")
            say(f"     what its lives logged: {log}")
        return done

    def _scene(self, stage: Stage, case: Case) -> Scene:
        self._number += 1
        return Scene(stage, case, self._number, self.kill_postgres)

    async def _record(self, case: Case) -> list[str]:
        """The points of the last life of this case, in the order in which they come."""
        async with self._stage(0) as stage:
            path = Path(stage.home / "points")
            done = await self._scene(stage, case).play(record=str(path))
            if done.faults:
                raise RuntimeError(f"{case.as_text()} cannot be recorded: {done.faults}")
            return path.read_text().splitlines()

    @contextlib.asynccontextmanager
    async def _stage(self, number: int, plants: tuple[str, ...] = ()) -> AsyncIterator[Stage]:
        async with (
            self._database() as dsn,
            set_up(number, self._listeners[number], self._forge, dsn, plants) as stage,
        ):
            yield stage

    @contextlib.asynccontextmanager
    async def _database(self) -> AsyncIterator[Dsn]:
        name = f"chaos_{secrets.token_hex(6)}"
        await self._as_admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER fairstack")
        try:
            yield (await self._postgres.start()).with_database(name)
        finally:
            await self._as_admin(f"DROP DATABASE {name} WITH (FORCE)")

    async def _as_admin(self, statement: str) -> None:
        admin = await asyncpg.connect(self._postgres.admin_dsn.url)
        try:
            await admin.execute(statement)
        finally:
            await admin.close()


@contextlib.asynccontextmanager
async def open_theatre(line: socket.socket, listeners: Sequence[socket.socket]) -> AsyncIterator[Theatre]:
    """A theatre on a durable PostgreSQL of its own; at its end nobody lives on."""
    forge, folder = Forge(line), make_folder()
    postgres = EmbeddedPostgres(folder)
    try:
        dsn = await postgres.start()
        admin = await asyncpg.connect(postgres.admin_dsn.url)
        await make_template(admin, dsn)
        await admin.close()
        yield Theatre(listeners, forge, postgres)
    finally:
        forge.close()
        await postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def say(line: str) -> None:
    """Print one line now."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
