"""`make demo`: a server, one clip made through the SDK, saved, and everything stopped again.

Uses the server that already runs on this data folder, if there is one; else starts one, on another port where
the usual one is taken. Several demos may run at once: who started the server stops it when the last is done.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fairstack import FairStack, FairStackError
from fairstack.cli.video import DEFAULT_I2V, DEFAULT_T2V
from fairstack_server.accounts.first_start import CREDENTIALS_FILE
from fairstack_server.db.home_lock import FileLock, read_holder
from fairstack_server.settings import Settings, SettingsError, read_settings

PROMPT = "A golden retriever running on a beach at sunset, slow motion"
OUT = "clip.mp4"
READY_SECONDS = 120.0
STOP_SECONDS = 40.0
LOOK_SECONDS = 0.1
LOG_LINES = 20


class DemoFailed(Exception):
    """The demo cannot go on; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to make, and where to save it."""

    prompt: str
    image: str | None
    out: Path
    model: str


def main() -> int:
    """Run the demo; the exit status."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        wish = read_wish(sys.argv[1:], os.environ)
        settings = read_settings(os.environ)
        with use_server(settings, console) as url:
            make_clip(url, settings.home, wish, console)
    except (DemoFailed, FairStackError, SettingsError) as error:
        console.print(f"[red]{type(error).__name__}[/red]", end=": ")
        console.print(str(error), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped.")
        return 130
    return 0


def read_wish(arguments: list[str], environment: Mapping[str, str]) -> Wish:
    """The wish of the command line, else of DEMO_PROMPT, _IMAGE, _OUT and _MODEL in the environment."""
    parser = argparse.ArgumentParser(prog="python -m fairstack_server.demo", description="Make one clip.")
    for name, default, meaning in (
        ("prompt", PROMPT, "what the clip shows"),
        ("image", "", "a picture to set in motion: a path or an https URL"),
        ("out", OUT, "where the clip is saved"),
        ("model", "", f"the model; {DEFAULT_T2V}, or {DEFAULT_I2V} with an image"),
    ):
        said = environment.get(f"DEMO_{name.upper()}")
        parser.add_argument(f"--{name}", default=said or default, help=meaning)
    given = parser.parse_args(arguments)
    image = given.image or None
    if image and "://" not in image and not image.startswith("data:") and not Path(image).is_file():
        raise DemoFailed(f"There is no picture at {image}. Give IMAGE= a path or an https URL.")
    out = Path(given.out)
    if not out.absolute().parent.is_dir():
        raise DemoFailed(f"There is no folder {out.absolute().parent} to save {out.name} in.")
    return Wish(given.prompt, image, out, given.model or (DEFAULT_I2V if image else DEFAULT_T2V))


@contextlib.contextmanager
def use_server(settings: Settings, console: Console) -> Iterator[str]:
    """The base URL of a ready server on this data folder; stopped at the end if it was started here."""
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    using = FileLock(settings.home / "demo.lock")
    wait_for_lock(using, alone=False)
    started: subprocess.Popen[bytes] | None = None
    try:
        holder = read_holder(settings.home)
        if holder is not None:
            console.print(f"Using the server that runs on {settings.home} (process {holder.pid}).")
        else:
            started = start_server(settings, console)
        yield wait_until_ready(settings, started, console)
    finally:
        using.release()
        if started is not None and started.poll() is None:
            with contextlib.suppress(KeyboardInterrupt):
                wait_for_lock(using, alone=True, console=console)
            stop_server(started, console)
            using.release()


def wait_for_lock(lock: FileLock, *, alone: bool, console: Console | None = None) -> None:
    """Take the lock, shared or alone, however long it takes; says once that it waits."""
    said = False
    while not (lock.try_alone() if alone else lock.try_shared()):
        if console and not said:
            console.print("Another demo still uses this server; it is stopped when that one is done.")
            said = True
        time.sleep(LOOK_SECONDS)


def start_server(settings: Settings, console: Console) -> subprocess.Popen[bytes]:
    """Start `fairstack serve` on a free port, its log in the data folder."""
    port = free_port(settings.host, settings.port)
    if port != settings.port:
        console.print(f"Port {settings.port} is taken by something else; using {port}.")
    console.print(f"Starting the server on {settings.home} …")
    with open_log(settings.home) as log:
        return subprocess.Popen(
            [sys.executable, "-m", "fairstack.cli", "serve", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stderr=log,
            # Of its own: Ctrl-C is ours, and we stop the server in order.
            start_new_session=True,
        )


def open_log(home: Path) -> IO[bytes]:
    """The log of the demo's server, begun anew, for its owner alone."""
    path = log_path(home)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def log_path(home: Path) -> Path:
    """Where the demo's server writes its log."""
    return home / "demo.log"


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or one that nobody listens on."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((host, port))
                return int(probe.getsockname()[1])
    raise DemoFailed(f"No port can be bound on {host}. Check FAIRSTACK_HOST.")


def wait_until_ready(settings: Settings, started: subprocess.Popen[bytes] | None, console: Console) -> str:
    """The base URL of the server once it answers that it is ready. Raises DemoFailed when it does not."""
    began = time.monotonic()
    with console.status("Waiting for the server …"), httpx.Client(timeout=5, trust_env=False) as client:
        while time.monotonic() - began < READY_SECONDS:
            holder = read_holder(settings.home)
            if holder and holder.url and is_ready(client, holder.url):
                console.print(f"The server is ready at {holder.url} ({time.monotonic() - began:.1f} s).")
                return holder.url
            if holder is None and (started is None or started.poll() is not None):
                raise DemoFailed(f"The server ended before it was ready.{tail_of_log(settings.home)}")
            time.sleep(LOOK_SECONDS)
    raise DemoFailed(f"The server was not ready within {READY_SECONDS:g} s.{tail_of_log(settings.home)}")


def is_ready(client: httpx.Client, url: str) -> bool:
    """Whether the server says so itself."""
    try:
        return client.get(f"{url}/readyz").is_success
    except httpx.HTTPError:
        return False


def tail_of_log(home: Path) -> str:
    """The end of the server's log, as it goes at the end of a message."""
    try:
        lines = log_path(home).read_text(errors="replace").splitlines()[-LOG_LINES:]
    except OSError:
        return ""
    return "\n".join(("", f"The end of {log_path(home)}:", *lines))


def stop_server(server: subprocess.Popen[bytes], console: Console) -> None:
    """Stop the server, and its database with it, in order."""
    if server.poll() is not None:
        return
    with console.status("Stopping the server …"):
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
            console.print("The server had to be killed; the next start recovers its database.")
            return
    console.print("Stopped the server. `make serve` starts it again: the clip's URL works then.")


def make_clip(url: str, home: Path, wish: Wish, console: Console) -> None:
    """Submit the wish, watch it, save the clip and tell the facts."""
    began = time.monotonic()
    with FairStack(api_key=live_key(home), base_url=url) as client:
        job = client.generate.video(model=wish.model, prompt=wish.prompt, image=wish.image)
        console.print(f"{job.id} {job.status}: {wish.model}, {job.estimated_cost}", markup=False)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(job.status, total=None)
            result = job.wait(
                on_progress=lambda seen: bar.update(
                    task,
                    description=seen.status,
                    total=None if seen.progress is None else 1.0,
                    completed=seen.progress or 0.0,
                )
            )
            bar.update(task, description=result.status, total=1.0, completed=1.0)
        seconds = time.monotonic() - began
        saved = result.save(wish.out)
    facts = result.metadata
    rows = {
        "url": result.url,
        "saved": f"{wish.out.absolute()} ({saved.size})",
        "clip": f"{facts.width}x{facts.height}, {facts.duration:g} s, {facts.fps:g} fps",
        "cost": str(result.cost),
        "wall time": f"{seconds:.1f} s",
    }
    for name, value in rows.items():
        console.print(f"  {name:<10}{value}", markup=False)


def live_key(home: Path) -> str:
    """The live key that the first start wrote."""
    path = home / CREDENTIALS_FILE
    try:
        return str(json.loads(path.read_text())["live_key"])
    except (OSError, ValueError, KeyError) as error:
        raise DemoFailed(
            f"{path} does not hold the keys of the first start. Make one: fairstack keys create; "
            "put it there as live_key."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
