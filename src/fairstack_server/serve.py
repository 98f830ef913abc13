"""Running the server: database, migrations, API, worker and webhook sender, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import structlog
import uvicorn

from fairstack_server.accounts.first_start import create_default_account, note_base_url, write_credentials
from fairstack_server.api.app import build_app
from fairstack_server.api.connections import PatientHttp
from fairstack_server.bootstrap import Gateway, open_gateway
from fairstack_server.catalog.watch import CatalogWatch
from fairstack_server.db.dsn import DatabaseError, Dsn
from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.db.home_lock import HomeLock
from fairstack_server.db.migrate import migrate
from fairstack_server.jobs.keeping import clip_leftovers
from fairstack_server.jobs.queue import QUEUE_SCHEMA, install_queue_schema
from fairstack_server.leftovers import Leftovers, Sweep
from fairstack_server.media.certificate import certificate_leftovers
from fairstack_server.providers.registry import provider_leftovers
from fairstack_server.settings import Settings

log = structlog.get_logger()

_API_GRACE_SECONDS = 5
_STARTED_CHECK_SECONDS = 0.01
_STOP_GRACE_SECONDS = 20.0
_DATABASE_LOOK_SECONDS = 1.0

Part = Literal["api", "worker"]


class PortTaken(Exception):
    """Something else listens on the port; the message says what to do."""


async def serve(settings: Settings, parts: Sequence[Part] = ("api", "worker")) -> None:
    """Run these parts until SIGINT or SIGTERM, then stop in order. Raises PortTaken, DatabaseError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    if "api" in parts:
        check_port(settings.host, settings.port)
    async with contextlib.AsyncExitStack() as stack:
        dsn = await _database(settings, stack)
        gateway = await stack.enter_async_context(open_gateway(settings, dsn, works="worker" in parts))
        await _first_start(gateway, settings)
        watch = CatalogWatch(gateway.catalog, settings.catalog_watch_seconds)
        watching = asyncio.create_task(watch.run(), name="catalog")
        stack.callback(watching.cancel)
        sweeping = asyncio.create_task(Sweep(leftovers_of(gateway), gateway.clock).run(), name="leftovers")
        stack.callback(sweeping.cancel)
        running: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait(), name="stop")]
        if "api" in parts:
            running.append(asyncio.create_task(_run_api(gateway, settings, stop), name="api"))
        if "worker" in parts:
            running.append(asyncio.create_task(gateway.run_worker(), name="worker"))
            running.append(asyncio.create_task(gateway.deliver_webhooks(), name="webhooks"))
        await _until_one_ends(running, stop, gateway)


async def prepare_database(settings: Settings, stack: contextlib.AsyncExitStack) -> Dsn:
    """A database that is up and migrated, for the server and operator commands; stopped with the stack."""
    if settings.database_url:
        dsn = Dsn(settings.database_url)
    else:
        postgres = EmbeddedPostgres(settings.home)
        dsn = await postgres.start()
        stack.push_async_callback(postgres.stop)
        watch = asyncio.create_task(_keep_running(postgres))
        stack.callback(watch.cancel)
    done = await migrate(dsn, extra_steps=[(QUEUE_SCHEMA, install_queue_schema)])
    if done:
        log.info("database.migrated", steps=len(done))
    return dsn


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """Bring the embedded database back when it dies; it recovers by itself, and everybody waits for it."""
    while True:
        await asyncio.sleep(_DATABASE_LOOK_SECONDS)
        with contextlib.suppress(DatabaseError):
            if not (await asyncio.to_thread(postgres.status)).running:
                log.error("database.died", action="starting it again")
                await postgres.start()


def check_port(host: str, port: int) -> None:
    """Raise PortTaken when the port cannot be bound."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} on {host} cannot be used ({error.strerror}). "
                f"Give another: fairstack serve --port {port + 1}"
            ) from error


async def _database(settings: Settings, stack: contextlib.AsyncExitStack) -> Dsn:
    settings.home.mkdir(parents=True, exist_ok=True)
    if not settings.database_url:
        stack.enter_context(HomeLock(settings.home).take(settings.base_url))
    return await prepare_database(settings, stack)


def leftovers_of(gateway: Gateway) -> list[Leftovers]:
    """Every place where a killed server may have left files that it would have removed."""
    home = gateway.settings.home
    own = [clip_leftovers(home), certificate_leftovers(home), *provider_leftovers(home)]
    return [*gateway.media.leftovers, *gateway.files.leftovers, *own]


async def _first_start(gateway: Gateway, settings: Settings) -> None:
    """Make the default account and its keys once, and show them this once."""
    keys = await create_default_account(gateway.pool)
    if keys is None:
        note_base_url(settings.home, settings.base_url)
        return
    path = write_credentials(settings.home, keys, settings.base_url)
    _say(
        "",
        "  First start: your keys.",
        f"    live   {keys.live}",
        f"    test   {keys.test}   (sandbox: every model, test money, no provider is called)",
        f"  Also kept, for the fairstack command and the Python client, in {path}",
        "",
    )


async def _run_api(gateway: Gateway, settings: Settings, stop: asyncio.Event) -> None:
    config = uvicorn.Config(
        build_app(gateway),
        host=settings.host,
        port=settings.port,
        http=PatientHttp,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_API_GRACE_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started and not task.done():
        await asyncio.sleep(_STARTED_CHECK_SECONDS)
    if server.started:
        _say(f"FairStack is ready at {settings.base_url}   docs: {settings.base_url}/docs")
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await task


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handlers: `serve` stops all parts in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `serve`."""
        yield


async def _until_one_ends(tasks: Sequence[asyncio.Task[Any]], stop: asyncio.Event, gateway: Gateway) -> None:
    """Run until a stop or until a part breaks; then stop the rest in order and let the fault rise."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        broken = [task.exception() for task in done if not task.cancelled() and task.exception() is not None]
    finally:
        stop.set()
        await gateway.stop_working()
        _, slow = await asyncio.wait(tasks, timeout=_STOP_GRACE_SECONDS)
        for task in slow:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if broken and broken[0] is not None:
        raise broken[0]


def own_settings(settings: Settings, *, host: str | None, port: int | None, home: Path | None) -> Settings:
    """The settings with what the command line says instead."""
    changes: dict[str, object] = {}
    if host is not None:
        changes["host"] = host
    if port is not None:
        changes["port"] = port
    if home is not None:
        changes["home"] = home.expanduser().resolve()
    return replace(settings, **changes)  # type: ignore[arg-type]


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}{os.linesep}")
    sys.stdout.flush()
