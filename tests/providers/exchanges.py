"""Exchanges of a provider with its vendor, read from `fixtures/*.json`, and a server that plays the vendor.

In a fixture `$base` stands for the server's address and `$key` for the key. `requests` at its top names the
requests that its exchanges expect; `ref` is the receipt of every exchange that has none of its own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from fairstack_server.providers.base import InputFile, Order

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True)
class Exchange:
    """One call of ours, what must go over the wire, what comes back, and what we make of it."""

    provider: str
    told: Mapping[str, Any] = field(repr=False)
    fixture: Mapping[str, Any] = field(repr=False)

    @property
    def case(self) -> str:
        return str(self.told["case"])

    @property
    def key(self) -> str:
        return str(self.fixture["key"])

    def filled(self, value: Any, base: str) -> Any:
        """The value with `$base` and `$key` filled in."""
        text = json.dumps(value).replace("$base", base).replace("$key", self.key)
        return json.loads(text)

    def order(self) -> Order:
        """The order that this fixture's exchanges are about."""
        told = dict(self.fixture["order"])
        if "image" in told:
            told["image"] = InputFile(**told["image"])
        return Order(**told)


def read_exchanges() -> list[Exchange]:
    """Every exchange of every fixture."""
    fixtures = [json.loads(path.read_text()) for path in sorted(FIXTURES.glob("*.json"))]
    return [
        Exchange(fixture["provider"], {"ref": fixture["ref"]} | told, fixture)
        for fixture in fixtures
        for told in fixture["exchanges"]
    ]


class Vendor:
    """Answers the expected requests in their order, and keeps what was different."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._requests = [exchange.fixture["requests"][name] for name in exchange.told["requests"]]
        self._answers = list(exchange.told["answers"])
        self.base = ""
        self.differences: list[str] = []

    @property
    def left(self) -> int:
        """Expected requests that have not come."""
        return len(self._requests)

    async def answer(self, request: web.Request) -> web.Response:
        """Compare the request with the next expected one, and give its answer."""
        if not self._requests:
            self.differences.append(f"unexpected {request.method} {request.raw_path}")
            return web.Response(status=500)
        await self._compare(request, self._exchange.filled(self._requests.pop(0), self.base))
        answer = self._exchange.filled(self._answers.pop(0), self.base)
        body = answer["text"] if "text" in answer else json.dumps(answer["json"])
        content_type = "text/html" if "text" in answer else "application/json"
        return web.Response(
            status=answer["status"], text=body, content_type=content_type, headers=answer.get("headers")
        )

    async def _compare(self, request: web.Request, wanted: Mapping[str, Any]) -> None:
        seen: dict[str, Any] = {"method": request.method, "path": request.raw_path}
        seen["headers"] = {name: request.headers.get(name) for name in wanted.get("headers", {})}
        seen["no_headers"] = [name for name in wanted.get("no_headers", []) if name not in request.headers]
        if "json" in wanted:
            seen["json"] = await request.json()
        if "form" in wanted:
            seen["form"] = dict(await request.post())
        expected = {"headers": {}, "no_headers": []} | dict(wanted)
        self.differences += [
            f"{name}: {seen.get(name)!r} instead of {value!r}"
            for name, value in expected.items()
            if seen.get(name) != value
        ]


@asynccontextmanager
async def playing(exchange: Exchange) -> AsyncIterator[Vendor]:
    """Play the vendor's part of this exchange."""
    vendor = Vendor(exchange)
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", vendor.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        vendor.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield vendor
    finally:
        await runner.cleanup()
