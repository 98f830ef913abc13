"""The server under test and a client of each kind."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fairstack import AsyncFairStack, FairStack
from tests.sdk.clocks import AsyncFakeClock, FakeClock
from tests.sdk.fake_fairstack import API_KEY, Books, FakeFairStack
from tests.sdk.fake_server import fake_server

MakeClient = Callable[..., Any]


@dataclass(frozen=True)
class ServerUnderTest:
    """Where the promises of the contract are tested."""

    base_url: str
    api_key: str


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """Neither the developer's keys nor their server are met by a test."""
    for name in list(os.environ):
        if name.startswith("FAIRSTACK_") and not name.startswith("FAIRSTACK_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FAIRSTACK_HOME", str(tmp_path / "no-home"))


@pytest.fixture
def clock() -> FakeClock:
    """The time of this test."""
    return FakeClock()


@pytest.fixture
def fake(clock: FakeClock) -> Iterator[FakeFairStack]:
    """A fake server of this test's own."""
    with fake_server(clock) as running:
        yield running


@pytest.fixture
def books(fake: FakeFairStack) -> Books:
    """What that server did, and what it shall do next."""
    return fake.books


@pytest.fixture(params=["sync", "async"])
async def make_client(
    request: pytest.FixtureRequest, fake: FakeFairStack, clock: FakeClock
) -> AsyncIterator[MakeClient]:
    """Makes clients of the fake server, on fake time."""
    made: list[FairStack | AsyncFairStack] = []

    def make(**settings: Any) -> FairStack | AsyncFairStack:
        settings = {"api_key": API_KEY, "base_url": fake.base_url} | settings
        client = (
            FairStack(**settings, clock=clock)
            if request.param == "sync"
            else AsyncFairStack(**settings, clock=AsyncFakeClock(clock))
        )
        made.append(client)
        return client

    yield make
    for client in made:
        if isinstance(client, FairStack):
            client.close()
        else:
            await client.aclose()


@pytest.fixture
def client(make_client: MakeClient) -> Any:
    """A client of the fake server, sync and async in turn."""
    return make_client()


@pytest.fixture
def server(fake: FakeFairStack) -> ServerUnderTest:
    """The server for tests that need no faults: the fake, or a real one named in the environment."""
    base_url = os.environ.get("FAIRSTACK_TEST_BASE_URL", fake.base_url)
    return ServerUnderTest(base_url, os.environ.get("FAIRSTACK_TEST_API_KEY", API_KEY))


@pytest.fixture(params=["sync", "async"])
async def any_client(request: pytest.FixtureRequest, server: ServerUnderTest) -> AsyncIterator[Any]:
    """A client of that server, on real time."""
    if request.param == "sync":
        with FairStack(server.api_key, server.base_url) as sync_client:
            yield sync_client
    else:
        async with AsyncFairStack(server.api_key, server.base_url) as async_client:
            yield async_client
