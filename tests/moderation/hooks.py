"""Small real hooks: programs that Python runs, and a server that answers."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

SECRET = "whsec_bW9kZXJhdGlvbiBzZWNyZXQgb2YgdGVzdHM="
ALLOW = {"verdict": "allow"}
REFUSE = {"verdict": "refuse", "code": "violence", "message": "No violence on this server."}


@dataclass(frozen=True, slots=True)
class Program:
    """A hook program and what it was asked."""

    command: str
    log: Path

    def asked(self) -> list[dict[str, Any]]:
        """The questions so far."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]


def program(folder: Path, body: str = "", **verdicts: Mapping[str, Any]) -> Program:
    """A program that notes each question and answers by its `stage`; `body` runs before, with `asked`."""
    path, log = folder / "judge.py", folder / "asked.jsonl"
    path.write_text(
        "import json, os, sys, time\n"
        "text = sys.stdin.read()\n"
        f"with open({str(log)!r}, 'a') as log: log.write(text + '\\n')\n"
        "asked = json.loads(text)\n"
        f"{body}\n"
        f"print(json.dumps({json.dumps(verdicts)!s}.get(asked['stage'], {ALLOW!r})))\n"
    )
    return Program(shlex.join([sys.executable, "-I", str(path)]), log)


@dataclass
class Address:
    """A hook's address on loopback, what came to it, and what it answers."""

    url: str = ""
    came: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    answer: Callable[[Any], Any] = lambda _: ALLOW
    status: int = 200

    def asked(self, stage: str) -> list[dict[str, Any]]:
        """The questions of a stage so far."""
        return [asked for _, body in self.came if (asked := json.loads(body))["stage"] == stage]


@contextlib.asynccontextmanager
async def address() -> AsyncIterator[Address]:
    """A running hook behind a URL."""
    hook = Address()

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        hook.came.append((request.headers, body))
        return web.json_response(hook.answer(json.loads(body)), status=hook.status)

    app = web.Application()
    app.router.add_post("/judge", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/judge"
    try:
        yield hook
    finally:
        await runner.cleanup()
