"""Which server, which key: arguments, then the environment, then what the server's first start wrote."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from fairstack import AsyncFairStack, FairStack, NotConfigured
from fairstack.connection import Connection, connect
from tests.sdk.fake_fairstack import API_KEY, FakeFairStack

STORED = {
    "base_url": "http://127.0.0.1:8787",
    "live_key": "fs_live_stored",
    "test_key": "fs_test_stored",
}


def write_credentials(home: Path, stored: dict[str, Any] | str = "") -> dict[str, str]:
    """Credentials as the server's first start writes them; the environment that finds them."""
    home.mkdir(exist_ok=True)
    text = stored if isinstance(stored, str) and stored else json.dumps(stored or STORED)
    (home / "credentials.json").write_text(text)
    return {"FAIRSTACK_HOME": str(home)}


def test_first_start_is_enough(tmp_path: Path) -> None:
    """After the server's first start a client needs nothing: address and live key are found."""
    found = connect(None, None, write_credentials(tmp_path))
    assert (found.base_url, found.api_key) == ("http://127.0.0.1:8787", "fs_live_stored")


def test_data_home_of_the_desktop(tmp_path: Path) -> None:
    """Without FAIRSTACK_HOME the user's data folder is looked into."""
    write_credentials(tmp_path / "fairstack")
    assert connect(None, None, {"XDG_DATA_HOME": str(tmp_path)}).api_key == "fs_live_stored"


def test_test_mode_takes_the_test_key(tmp_path: Path) -> None:
    """The sandbox is entered with the test key, though a live key be in the environment."""
    environment = write_credentials(tmp_path) | {"FAIRSTACK_API_KEY": "fs_live_environment"}
    assert connect(None, None, environment, "test").api_key == "fs_test_stored"
    assert connect(None, None, environment).api_key == "fs_live_environment"


@pytest.mark.parametrize(
    ("api_key", "base_url", "more", "expected"),
    [
        ("fs_live_a", "http://a:1", {}, Connection("http://a:1", "fs_live_a")),
        (None, None, {"FAIRSTACK_API_KEY": " fs_live_e\n"}, Connection("http://127.0.0.1:8787", "fs_live_e")),
        (
            "fs_live_a",
            None,
            {"FAIRSTACK_BASE_URL": "https://api.example/"},
            Connection("https://api.example", "fs_live_a"),
        ),
        (None, None, {"FAIRSTACK_PORT": "9000"}, Connection("http://127.0.0.1:9000", "fs_live_stored")),
        ("k", "https://api.example/v1/", {}, Connection("https://api.example", "k")),
    ],
)
def test_order(
    tmp_path: Path, api_key: str | None, base_url: str | None, more: dict[str, str], expected: Connection
) -> None:
    """Arguments win over the environment, the environment over the file."""
    assert connect(api_key, base_url, write_credentials(tmp_path) | more) == expected


def test_no_key_says_the_three_ways(tmp_path: Path) -> None:
    """Without any key the error names the argument, the variable and the file with how it comes about."""
    with pytest.raises(NotConfigured) as caught:
        connect(None, None, {"FAIRSTACK_HOME": str(tmp_path)})
    for way in (
        "FairStack(api_key=…)",
        "FAIRSTACK_API_KEY",
        str(tmp_path / "credentials.json"),
        "fairstack serve",
    ):
        assert way in str(caught.value)


@pytest.mark.parametrize("stored", ["{half", "[]", json.dumps({"base_url": "http://127.0.0.1:8787"})])
def test_useless_file_is_named(tmp_path: Path, stored: str) -> None:
    """A file that is broken or without the key is named in the error."""
    with pytest.raises(NotConfigured, match=r"credentials\.json"):
        connect(None, None, write_credentials(tmp_path, stored))


def test_local_key_is_not_shown_to_others(tmp_path: Path) -> None:
    """The keys of this machine's server go to it alone: another base URL needs a key of its own."""
    environment = write_credentials(tmp_path) | {"FAIRSTACK_BASE_URL": "https://api.example"}
    with pytest.raises(NotConfigured, match=r"https://api\.example"):
        connect(None, None, environment)


@pytest.mark.parametrize(
    "url", ["localhost:8787", "ftp://a", "http://", "http://a:99999", "http://a?x=1", "http://user:pw@a"]
)
def test_unusable_addresses(url: str) -> None:
    """An address that cannot be one is refused with an example of a right one."""
    with pytest.raises(NotConfigured, match=r"http://127\.0\.0\.1:8787"):
        connect("fs_live_a", url, {})


@pytest.mark.parametrize("key", ["fs_live_YOUR_KEY", "fs_live_naïve", "fs_live_a\nX-Evil: 1", "two words"])
def test_unusable_keys_are_not_repeated(key: str) -> None:
    """A placeholder or damaged key is refused without being repeated in the error."""
    with pytest.raises(NotConfigured) as caught:
        connect(key, None, {})
    assert key not in str(caught.value)


@pytest.mark.parametrize("settings", [{"timeout": 0}, {"timeout": float("inf")}, {"max_retries": -1}])
def test_impossible_settings(settings: dict[str, Any]) -> None:
    """Endless timeouts and negative counts are refused."""
    with pytest.raises(ValueError, match="must be"):
        FairStack("fs_live_a", **settings)


async def test_given_client_is_used_and_left_open(fake: FakeFairStack) -> None:
    """An HTTP client that was given is used as it is, and stays open for its owner."""
    with httpx.Client(headers={"X-Team": "film"}) as http_client:
        with FairStack(API_KEY, fake.base_url, http_client=http_client) as client:
            client.credits.get()
        assert fake.books.asked[-1].headers["x-team"] == "film"
        assert not http_client.is_closed
    async with httpx.AsyncClient(headers={"X-Team": "film"}) as http_client:
        async with AsyncFairStack(API_KEY, fake.base_url, http_client=http_client) as async_client:
            await async_client.credits.get()
        assert not http_client.is_closed
    assert len(fake.books.asked) == 2


def test_proxy_is_not_asked_for_this_machine(fake: FakeFairStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is not asked for the server on this machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with FairStack(API_KEY, fake.base_url, max_retries=0) as client:
        assert client.credits.get().balance.micro == 100_000_000


def test_threads_share_a_client(fake: FakeFairStack) -> None:
    """Eight threads on one client make their jobs, each its own."""
    with FairStack(API_KEY, fake.base_url) as client, ThreadPoolExecutor(8) as threads:

        def make(number: int) -> str:
            return client.generate.video(model="wan-2-1-t2v", prompt="A dog", seed=number).wait().id

        ids = set(threads.map(make, range(24)))
    assert ids == set(fake.books.jobs)
    assert len(ids) == 24


async def test_async_wait_can_be_cancelled(fake: FakeFairStack) -> None:
    """Cancelling the task of a wait ends it at once; the client goes on working."""
    async with AsyncFairStack(API_KEY, fake.base_url) as client:
        job = await client.generate.video(model="wan-2-1-t2v", prompt="A dog")
        fake.books.faults.append((f"/v1/jobs/{job.id}", "no_answer"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await job.wait()
        assert (await job.wait()).id == job.id
