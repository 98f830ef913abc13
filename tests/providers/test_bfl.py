"""Black Forest Labs: who is asked about a task with our key, and who is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NoReturn

import aiohttp
import pytest

from fairstack_server.jsonvalue import JSON
from fairstack_server.providers.base import Order, Pending, ProviderError, Ref, Submission
from fairstack_server.providers.bfl import ADDRESS, BlackForestLabs
from fairstack_server.providers.http import Sessions
from tests.providers.makers import ManualClock
from tests.upstreams.bfl import FakeBfl
from tests.upstreams.upstream import Script

TASK = "7d4f3a52"
KEY = "secret-key"
OWN = f"{ADDRESS}/v1/get_result?id={TASK}"
ORDER = Order(
    nonce="n",
    model="flux-3-t2v",
    endpoint="/v1/flux-3-video",
    prompt="a wave",
    field_map={"prompt": "prompt"},
    fixed={"mode": "t2v"},
)


class Judge(aiohttp.TCPConnector):
    """Keeps where each call would go and the key that it carries, and lets none of them leave."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str | None]] = []

    async def connect(self, req: Any, *_: object, **__: object) -> NoReturn:
        """Note it, and fail."""
        self.asked.append((str(req.url), req.headers.get("x-key")))
        raise aiohttp.ClientConnectionError("judged")


@pytest.fixture
async def judge() -> AsyncIterator[Judge]:
    """A connector that connects to nothing."""
    connector = Judge()
    yield connector
    await connector.close()


async def _judged(judge: Judge, address: str, ref: Ref) -> list[tuple[str, str | None]]:
    """Where a poll of this receipt goes."""
    async with aiohttp.ClientSession(connector=judge, connector_owner=False) as session:
        bfl = BlackForestLabs(Sessions(session, session), KEY, address, ManualClock())
        with pytest.raises(ProviderError, match="no whole answer"):
            await bfl.poll(ref)
    return judge.asked


@pytest.mark.parametrize(
    ("polling_url", "url"),
    [
        (
            f"https://api.us1.bfl.ai/v1/get_result?id={TASK}",
            f"https://api.us1.bfl.ai/v1/get_result?id={TASK}",
        ),
        (OWN, OWN),
        (f"http://api.us1.bfl.ai/v1/get_result?id={TASK}", OWN),
        (f"https://api.us1.bfl.ai:8443/v1/get_result?id={TASK}", OWN),
        (f"https://api.bfl.ai.evil.example/v1/get_result?id={TASK}", OWN),
        (f"https://evilbfl.ai/v1/get_result?id={TASK}", OWN),
        (f"https://api.bfl.ai@evil.example/v1/get_result?id={TASK}", OWN),
        ("https://[bfl.ai/", OWN),
        (None, OWN),
        (7, OWN),
    ],
)
async def test_the_key_stays_on_the_vendors_domain(judge: Judge, polling_url: JSON, url: str) -> None:
    """A cluster of the vendor is asked at its own https address; for every other URL our own one is."""
    assert await _judged(judge, ADDRESS, {"id": TASK, "polling_url": polling_url}) == [(url, KEY)]


async def test_behind_another_address_nobody_else_is_asked(judge: Judge) -> None:
    """Where the operator set an address that is not the vendor's, tasks are read there alone."""
    ref: Ref = {"id": TASK, "polling_url": f"https://api.us1.bfl.ai/v1/get_result?id={TASK}"}
    asked = await _judged(judge, "http://proxy.example:8080", ref)
    assert asked == [(f"http://proxy.example:8080/v1/get_result?id={TASK}", KEY)]


@pytest.mark.parametrize("base", ["https://api.us1.bfl.ai", "https://evil.example", ""])
async def test_a_stand_in_that_names_another_host(sessions: Sessions, base: str) -> None:
    """A receipt keeps no URL that would not be asked, and its task is found all the same."""
    async with FakeBfl() as fake:
        fake.polling_base, fake.script = base, Script(queue_polls=1)
        bfl = BlackForestLabs(sessions, fake.key, fake.base_url, ManualClock())
        taken = await bfl.submit(ORDER)
        assert isinstance(taken, Submission) and set(taken.ref) == {"id", "submitted_at"}
        assert await bfl.poll(taken.ref) == Pending(progress=0.0, started=False)


async def test_a_receipt_without_an_id_is_no_receipt(sessions: Sessions) -> None:
    """It can never lead anywhere, so trying again cannot help."""
    bfl = BlackForestLabs(sessions, KEY, ADDRESS, ManualClock())
    with pytest.raises(ProviderError) as caught:
        await bfl.poll({"polling_url": OWN})
    assert caught.value.permanent and KEY not in repr(bfl)
