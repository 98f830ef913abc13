"""Compares our requests with those of the vendors' own clients: `python -m tests.upstreams.parity`.

The clients are no dependency of this project: `make parity` installs those of parity-requirements.txt for
this alone. Prints the table of docs/reference/providers.md, and fails when a difference is not explained.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import structlog

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import (
    CallbackRequest,
    CanCancel,
    CanCheckKey,
    CanFind,
    InputFile,
    Order,
    Provider,
    ReadsCallbacks,
    Submission,
)
from fairstack_server.providers.http import provider_sessions
from fairstack_server.providers.registry import build_providers
from fairstack_server.settings import Settings
from tests.upstreams.parity_clients import CLIENTS, MODULES, Client
from tests.upstreams.parity_xai import compare_xai
from tests.upstreams.upstream import Script, Seen, Upstream

SINCE = datetime(2026, 1, 1, tzinfo=UTC)

#: Headers in which every client may differ: who asks, what it can read, and how it keeps the connection.
#: Ours ask for no compression, and send a submit over a connection of its own, closed afterwards.
OWN_HEADERS = frozenset({"user-agent", "accept", "accept-encoding", "connection", "content-length", "host"})


async def _ours(client: Client, fake: Upstream, folder: Path) -> None:
    """The same calls, made by our provider."""
    values = {
        name: value.replace("$key", fake.key).replace("$base", fake.base_url)
        for name, value in client.settings.items()
    }
    async with provider_sessions() as sessions:
        settings = Settings(home=folder, providers=values)
        provider: Provider = build_providers(settings, sessions, SystemClock())[client.provider]
        taken = await provider.submit(_with_file(client.order, folder))
        assert isinstance(taken, Submission), taken
        await provider.poll(taken.ref)
        if isinstance(provider, CanCancel):
            await provider.cancel(taken.ref)
        if isinstance(provider, CanFind):
            await provider.find(client.order, SINCE)
        if isinstance(provider, ReadsCallbacks):
            stamp = str(int(time.time()))
            headers = {"webhook-timestamp": stamp, "webhook-signature": "v1,AAAA"}
            callback = CallbackRequest(headers, b"", client.order.nonce)
            await provider.read_callback(client.order.endpoint, callback)
        if isinstance(provider, CanCheckKey):
            await provider.check_key()


def _with_file(order: Order, folder: Path) -> Order:
    """The order with an image that can be read, for the vendor that wants it inline."""
    if not {"instances[0].image", "img_id"} & set(order.field_map.values()):
        return order
    return replace(order, image=InputFile("image/png", "00", str(folder / "image.png")))


def _named(call: Seen, task_id: str) -> Seen:
    """The call with `<task>` for the id, which is never the same."""
    body = json.loads(json.dumps(call.body).replace(task_id, "<task>"))
    query = {name: value.replace(task_id, "<task>") for name, value in call.query.items()}
    return replace(call, path=call.path.replace(task_id, "<task>"), body=body, query=query)


def _without(call: Seen, fields: Iterable[str]) -> tuple[Seen, list[str]]:
    """The call without these fields of its body, and those that it had."""
    body = json.loads(json.dumps(call.body))
    added = []
    if "null" in fields and isinstance(body, dict) and None in body.values():
        body = {name: value for name, value in body.items() if value is not None}
        added.append("null")
    for place in fields:
        *parents, name = place.split(".")
        holder = body
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and name in holder:
            del holder[name]
            added.append(place)
    return replace(call, body=body), added


def differences(ours: Seen, theirs: Seen) -> Iterator[tuple[str, str]]:
    """What differs between two requests of the same kind: name, and both values."""
    for name in ("method", "path", "body"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        if mine != other:
            yield name, f"{mine!r} / {other!r}"
    for place in ("query", "headers"):
        mine, other = getattr(ours, place), getattr(theirs, place)
        for name in sorted(set(mine) | set(other)):
            if mine.get(name) != other.get(name) and not (place == "headers" and name in OWN_HEADERS):
                yield name, f"{mine.get(name)!r} / {other.get(name)!r}"


async def compare(client: Client, folder: Path) -> tuple[str, list[str]]:
    """The row of the table, and every difference that nothing explains."""
    seen: list[dict[str, Seen]] = []
    (folder / "image.png").write_bytes(b"\x89PNG not really")
    package = importlib.import_module(MODULES.get(client.package, client.package.replace("-", "_")))
    kept = {"image": (folder / "image.png").read_bytes(), "path": folder / "image.png"}
    for who in ("ours", "theirs"):
        async with client.fake() as fake:
            # In the queue, since some vendors stop nothing that has begun.
            fake.script = Script(queue_seconds=60)
            if who == "ours":
                await _ours(client, fake, folder)
            else:
                await asyncio.to_thread(client.use, package, fake, kept)
            seen.append({call.operation: _named(call, fake.last_task.id) for call in reversed(fake.log.seen)})
    both = [name for name in seen[0] if name in seen[1]]
    reasons: dict[str, str] = {}
    wrong = [
        f"{client.provider}: only one of us makes the call {name}" for name in set(seen[1]) - set(seen[0])
    ]
    for operation in both:
        theirs, added = _without(seen[1][operation], client.only_theirs)
        reasons |= {name: client.only_theirs[name] for name in added}
        for name, values in differences(seen[0][operation], theirs):
            known = [beginning for beginning in client.explained if name.startswith(beginning)]
            if known:
                reasons[known[0]] = client.explained[known[0]]
            else:
                wrong.append(f"{client.provider}: {operation}: {name}: {values}")
    told = "; ".join(f"`{name}`: {why}" for name, why in sorted(reasons.items())) or "none"
    release = f"{client.package} {version(client.package)}"
    return f"| {client.provider} | {release} | {', '.join(sorted(both))} | {told} |", wrong


async def main() -> int:
    """Compare every client that this Python can run; 1 when something is not explained."""
    # Nothing but the table on stdout.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    failures: list[str] = []
    sys.stdout.write("| provider | client | requests compared | differences |\n|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder:
        for client in CLIENTS:
            if sys.version_info < client.python:
                wanted = ".".join(map(str, client.python))
                sys.stderr.write(f"{client.package} is not compared: it wants Python {wanted}\n")
                continue
            row, wrong = await compare(client, Path(folder))
            sys.stdout.write(f"{row}\n")
            failures += wrong
        row, wrong = await compare_xai(Path(folder))
        sys.stdout.write(f"{row}\n")
        failures += wrong
    sys.stderr.write("".join(f"{line}\n" for line in failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
