"""A process that has imported everything and forks a life in milliseconds, and how a stage talks to it.

It is forked before any loop or thread exists, does nothing but fork and wait, and kills what it has forked
when its master goes away.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import select
import signal
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

#: Lives one life in a forked process: what it is told -> its exit status.
Live = Callable[[dict[str, Any]], int]
_MESSAGE_BYTES = 1 << 16


def fork_zygote(live: Live) -> socket.socket:
    """Fork the zygote and give its master's end of the line. Call it before any thread or loop exists."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    gc.collect()
    if os.fork() == 0:
        ours.close()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.freeze()
        _serve(theirs, live)
    theirs.close()
    return ours


def _serve(line: socket.socket, live: Live) -> NoReturn:
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    alive: set[int] = set()
    while True:
        with contextlib.suppress(InterruptedError):
            ready, _, _ = select.select([line.fileno(), wake_read], [], [])
            if wake_read in ready:
                os.read(wake_read, 1024)
                _report_ends(line, alive)
            if line.fileno() in ready:
                message = line.recv(_MESSAGE_BYTES)
                if not message:
                    for pid in alive:
                        os.kill(pid, signal.SIGKILL)
                    os._exit(0)
                told = json.loads(message)
                if (pid := os.fork()) == 0:
                    _become(live, told, line, wake_read, wake_write)
                alive.add(pid)
                _say(line, {"number": told["number"], "pid": pid})


def _become(live: Live, told: dict[str, Any], line: socket.socket, *pipe: int) -> NoReturn:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    line.close()
    for fd in pipe:
        os.close(fd)
    status = 70
    try:
        status = live(told)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _report_ends(line: socket.socket, alive: set[int]) -> None:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status, used = os.wait4(-1, os.WNOHANG | os.WUNTRACED)
            if pid == 0:
                return
            if os.WIFSTOPPED(status):
                _say(line, {"stopped": pid})
                continue
            alive.discard(pid)
            cpu_seconds = used.ru_utime + used.ru_stime
            _say(
                line, {"ended": pid, "status": os.waitstatus_to_exitcode(status), "cpu_seconds": cpu_seconds}
            )


def _say(line: socket.socket, told: dict[str, Any]) -> None:
    line.send(json.dumps(told).encode())


@dataclass
class Process:
    """One forked life as its stage sees it."""

    pid: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    status: int | None = None
    """Exit status; minus the signal's number when one ended it."""

    def signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.status is None:
            os.kill(self.pid, number)

    async def end(self) -> None:
        """SIGKILL, and wait."""
        self.signal(signal.SIGKILL)
        await self.ended.wait()


class Forge:
    """The master's side: asks for lives and hears of their ends."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._number = 0
        self._asked: dict[int, asyncio.Future[Process]] = {}
        self._alive: dict[int, Process] = {}
        self.cpu_seconds = 0.0
        """Used by all lives that have ended."""
        line.setblocking(False)
        asyncio.get_running_loop().add_reader(line, self._hear)

    async def begin(self, told: dict[str, Any]) -> Process:
        """Fork one life that is told this."""
        self._number += 1
        asked: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._asked[self._number] = asked
        self._line.send(json.dumps({**told, "number": self._number}).encode())
        return await asked

    def close(self) -> None:
        """End the zygote and whatever it has forked."""
        asyncio.get_running_loop().remove_reader(self._line)
        self._line.close()

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while message := self._line.recv(_MESSAGE_BYTES):
                self._heard(json.loads(message))

    def _heard(self, told: dict[str, Any]) -> None:
        if "number" in told:
            process = self._alive[told["pid"]] = Process(told["pid"])
            self._asked.pop(told["number"]).set_result(process)
        elif "stopped" in told:
            self._alive[told["stopped"]].stopped.set()
        else:
            process = self._alive.pop(told["ended"])
            process.status = told["status"]
            self.cpu_seconds += told["cpu_seconds"]
            process.ended.set()
