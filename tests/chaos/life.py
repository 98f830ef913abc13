"""One life of a gateway, in a process forked for it: API, worker and webhook sender, until it dies."""

from __future__ import annotations

import asyncio
import errno
import importlib
import os
import random
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import uvicorn

from fairstack_server import bootstrap
from fairstack_server.api.app import build_app
from fairstack_server.bootstrap import Gateway, open_gateway
from fairstack_server.catalog.catalog import Catalog
from fairstack_server.db.dsn import Dsn
from fairstack_server.logs import configure_logging
from fairstack_server.providers import registry
from fairstack_server.settings import Settings
from tests.chaos.courier import Courier
from tests.chaos.plants import PLANTS
from tests.chaos.points import Points, calling_function, install, watched
from tests.chaos.time_machine import Dial, DialledClock, FastLoop
from tests.media.unconfined import leave_out_confined_processes
from tests.swap import swap

#: Imported by libraries when they are first used; here before the fork, once for all lives.
_LATE_IMPORTS = (
    "anyio._backends._asyncio",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto",
    "uvicorn.lifespan.off",
)
#: Less than a clip has, and more than anything that a server needs to start.
_SHORT_BYTES = 100_000
MODELS = Path(__file__).parent / "catalog"


class LentGateway:
    """A gateway that is not there yet: the application is built over it once, before any life begins."""

    def __init__(self) -> None:
        self.lender: Any = SimpleNamespace(settings=Settings())

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lender, name)


@dataclass(frozen=True, slots=True)
class Nursery:
    """What lives are born with."""

    listeners: Sequence[socket.socket]
    app: Any
    gateway: LentGateway


def prepare(listeners: Sequence[socket.socket]) -> Nursery:
    """What every life shares, done before it is forked: the catalog, the routes, the harness's own vendor.

    The confined children for pictures, posters and signatures stay away: they are the business of other
    tests, and their start costs more than a whole life here.
    """
    registry.BUILDERS[Courier.name] = registry._one_key(Courier, "")  # type: ignore[index]
    catalog = Catalog(operator=MODELS)
    for name in _LATE_IMPORTS:
        importlib.import_module(name)
    swap(bootstrap, Catalog=lambda operator: catalog)
    swap(bootstrap, has_local_engine=lambda: False)
    swap(bootstrap, _warm=_nothing)
    leave_out_confined_processes()
    lent = LentGateway()
    return Nursery(listeners, build_app(lent), lent)  # type: ignore[arg-type]


registry.REQUIRED_SETTINGS[Courier.name] = ("COURIER_KEY",)  # type: ignore[index]
registry.ADDRESS_SETTINGS[Courier.name] = "COURIER_URL"  # type: ignore[index]


async def _nothing(*_: object) -> None:
    return None


def live(told: Mapping[str, Any], nursery: Nursery) -> int:
    """Live until SIGTERM; 0 when all parts stopped in order."""
    random.seed()
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, sys.stderr.fileno())
    configure_logging("info", "json")
    points = Points(_act(told))
    install(points)
    for name in told.get("plants", ()):
        PLANTS[name].grow()
    if "disk" in told:
        _break_disk(**told["disk"])
    dial = Dial(Path(told["dial"]))
    swap(bootstrap, SystemClock=lambda: DialledClock(dial))
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        runner.run(_serve(_settings(told), Dsn(told["dsn"]), nursery, told["stage"], points))
    return 0


def _settings(told: Mapping[str, Any]) -> Settings:
    return Settings(
        home=Path(told["home"]),
        port=told["port"],
        public_url=f"http://127.0.0.1:{told['port']}",
        webhook_allow=(told["receiver"],),
        database_connections=told.get("connections", 5),
        rate_limit_per_minute=1_000_000,
        sweep_seconds=2.0,
        late_seconds=5.0,
        providers=told["providers"],
    )


async def _serve(settings: Settings, dsn: Dsn, nursery: Nursery, stage: int, points: Points) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with open_gateway(settings, dsn) as gateway:
        nursery.gateway.lender = gateway
        server = uvicorn.Server(
            uvicorn.Config(
                watched(nursery.app, points),
                lifespan="off",
                log_config=None,
                ws="none",
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        parts = [
            server._serve(sockets=[nursery.listeners[stage]]),
            gateway.run_worker(),
            gateway.deliver_webhooks(),
        ]
        tasks = [asyncio.ensure_future(part) for part in parts]
        stopping = asyncio.ensure_future(stop.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await _stop(gateway, tasks)


async def _stop(gateway: Gateway, tasks: Sequence[asyncio.Task[None]]) -> None:
    await gateway.stop_working()
    await asyncio.wait_for(asyncio.gather(*tasks), 20)


def _act(told: Mapping[str, Any]) -> Any:
    """What a point does in this life: it is written down, and at the one it was sent for it ends."""
    kill, freeze = told.get("kill"), told.get("freeze")
    record = os.open(told["record"], os.O_WRONLY | os.O_APPEND | os.O_CREAT) if "record" in told else None

    def act(point: str) -> None:
        if point == kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if point == freeze:
            os.kill(os.getpid(), signal.SIGSTOP)
        if record is not None:
            os.write(record, f"{point}\n".encode())

    return act


def _break_disk(kind: str, times: int) -> None:
    """The disk fails for the first calls of this life: no room, no longer readable, or files cut short."""
    if kind == "short":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_SHORT_BYTES, resource.RLIM_INFINITY))
        signal.signal(signal.SIGALRM, lambda *_: _whole_files())
        signal.setitimer(signal.ITIMER_REAL, 0.1 * times)
        return
    left, fsync = [times], os.fsync
    number = {"full": errno.ENOSPC, "broken": errno.EIO}[kind]

    def failing(fd: int) -> None:
        if left[0] > 0 and (calling_function(sys._getframe(1)) or "").startswith("media.store."):
            left[0] -= 1
            raise OSError(number, os.strerror(number))
        fsync(fd)

    swap(os, fsync=failing)


def _whole_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
