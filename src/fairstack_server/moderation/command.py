"""A program of the operator's as hook: the question on its standard input, the verdict on its output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from typing import Literal

from fairstack_server.moderation.hook import MAX_VERDICT_BYTES, HookBroke

#: What a program needs to run in this place. Nothing else of the server's environment, so no key of it.
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class CommandHook:
    """Runs a program for each question, without a shell, a few at a time."""

    shows: Literal["path", "url"] = "path"

    def __init__(
        self, command: Sequence[str], *, at_once: int = 4, environment: Mapping[str, str] | None = None
    ) -> None:
        self._command = tuple(command)
        self._turns = asyncio.Semaphore(at_once)
        all_of_it = os.environ if environment is None else environment
        self._environment = {name: all_of_it[name] for name in _KEPT_ENVIRONMENT if name in all_of_it}

    async def ask(self, question: bytes, *, seconds: float) -> bytes:
        """What the program wrote. Raises HookBroke; one that is cut off is killed with all its children."""
        async with self._turns:
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=DEVNULL,  # it may quote the prompt, which belongs in no log of ours
                    cwd="/",
                    env=self._environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise HookBroke(f"{self._command[0]} cannot be run: {error.strerror}") from error
            try:
                verdict = await _exchange(process, question)
                status = await process.wait()
            except BaseException:
                await _end(process)
                raise
        if status != 0:
            raise HookBroke(f"{self._command[0]} ended with status {status}")
        return verdict


async def _exchange(process: Process, question: bytes) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    # A program that has made up its mind need not read to the end.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(question)
        await process.stdin.drain()
    process.stdin.close()
    verdict = b""
    while chunk := await process.stdout.read(MAX_VERDICT_BYTES):
        verdict += chunk
        if len(verdict) > MAX_VERDICT_BYTES:
            raise HookBroke(f"the program wrote more than {MAX_VERDICT_BYTES} bytes")
    return verdict


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
