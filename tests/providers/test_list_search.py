"""Lost orders are found however many were lost at once: a vendor's list is read page by page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.jsonvalue import JSON
from fairstack_server.providers import byteplus, kling
from fairstack_server.providers.base import CanFind, Order, Submission
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.list_search import MOST_PAGES, older_than, search_list
from fairstack_server.providers.registry import build_providers
from fairstack_server.settings import Settings
from tests.providers.makers import kling_order, wan_order
from tests.providers.test_vendors import CASES, IMAGE
from tests.upstreams.dashscope import FakeDashScope
from tests.upstreams.fal import FakeFal
from tests.upstreams.kling import FakeKling
from tests.upstreams.openai_videos import FakeOpenAIVideos
from tests.upstreams.replicate import FakeReplicate
from tests.upstreams.upstream import Task, Upstream

SINCE = datetime.now(UTC) - timedelta(seconds=60)
LOST = 250


@dataclass(frozen=True)
class Listing:
    """A vendor with a list: its stand-in, the settings that lead to it, an order, entries on a page."""

    fake: type[Upstream]
    settings: dict[str, str]
    order: Order
    page: int = 100
    by_nonce: bool = False
    """The list shows our own id of each order."""
    filters: bool = False
    """The vendor is asked for recent entries only."""


def _listing(name: str, **told: object) -> Listing:
    case = CASES[name]
    return Listing(case.fake, dict(case.settings), case.order, **told)  # type: ignore[arg-type]


LISTINGS = {
    "byteplus": _listing("byteplus", page=byteplus.LISTED, by_nonce=True),
    "dashscope": _listing("dashscope", page=50),
    "fal": Listing(FakeFal, {"FAL_KEY": "$key", "FAL_QUEUE_URL": "$base"}, kling_order(IMAGE), filters=True),
    "kling": _listing("kling", page=kling.LISTED, by_nonce=True),
    "luma": _listing("luma"),
    "openai_videos": Listing(
        FakeOpenAIVideos, {"OPENAI_VIDEOS_URL": "$base", "OPENAI_VIDEOS_KEY": "$key"}, wan_order()
    ),
    "replicate": _listing("replicate", filters=True),
    "vidu": _listing("vidu", by_nonce=True, filters=True),
}


@dataclass
class Outage:
    """A stand-in that took many orders whose answers nobody got, and the provider that looks for them."""

    fake: Upstream
    provider: CanFind
    listing: Listing
    first: Task

    def lose(self, count: int) -> list[Task]:
        """So many more orders like the first, each under a nonce of its own; oldest first."""
        nonce = self.listing.order.nonce
        bodies = [
            json.loads(json.dumps(self.first.body).replace(nonce, f"lost-{number}"))
            for number in range(count)
        ]
        return [self.fake.take(body, endpoint=self.first.endpoint) for body in bodies]

    async def found(self, nonce: str = "another") -> list[object]:
        """The ids of the tasks that may be this order's."""
        order = replace(self.listing.order, nonce=nonce)
        return [ref["id"] for ref in await self.provider.find(order, SINCE)]

    @property
    def pages(self) -> int:
        """How often the list was read."""
        return len(self.fake.log.of("list"))


@asynccontextmanager
async def outage(name: str, sessions: Sessions) -> AsyncIterator[Outage]:
    """One order taken, as the pattern of those that are lost."""
    listing = LISTINGS[name]
    async with listing.fake() as fake:
        values = {
            setting: value.replace("$key", fake.key).replace("$base", fake.base_url)
            for setting, value in listing.settings.items()
        }
        built = build_providers(Settings(home=Path("/nowhere"), providers=values), sessions, SystemClock())
        provider = built[name]
        assert isinstance(await provider.submit(listing.order), Submission)
        assert isinstance(provider, CanFind)
        if isinstance(fake, FakeKling):
            fake.finds_ours = False
        yield Outage(fake, provider, listing, fake.last_task)


@pytest.mark.parametrize("name", [name for name, listing in LISTINGS.items() if not listing.by_nonce])
async def test_all_of_250_equal_lost_orders_are_found(name: str, sessions: Sessions) -> None:
    """A list that only shows what was ordered is read to its end: every equal order is there, once."""
    async with outage(name, sessions) as lost:
        tasks = lost.lose(LOST)
        found = await lost.found()
        assert sorted(map(str, found)) == sorted([lost.first.id, *(task.id for task in tasks)])
        assert lost.pages == -(-(LOST + 1) // lost.listing.page)


@pytest.mark.parametrize("name", [name for name, listing in LISTINGS.items() if listing.by_nonce])
async def test_each_lost_order_is_found_by_its_own_id(name: str, sessions: Sessions) -> None:
    """With our id in the list an order is found on whichever page it is."""
    async with outage(name, sessions) as lost:
        count = 2 * lost.listing.page + 50
        tasks = lost.lose(count)
        for number in (0, count // 2, count - 1):
            assert await lost.found(f"lost-{number}") == [tasks[number].id]
        assert await lost.found("lost-nowhere") == []


@pytest.mark.parametrize("name", [name for name, listing in LISTINGS.items() if not listing.filters])
async def test_what_is_older_than_the_order_is_not_read(name: str, sessions: Sessions) -> None:
    """Where the vendor cannot be asked for recent entries, the search ends at the first old ones."""
    async with outage(name, sessions) as lost:
        for task in lost.lose(3 * lost.listing.page):
            task.created_at -= 3600
        recent = lost.lose(lost.listing.page + 1)
        found = await lost.found("lost-0")
        assert set(found) == ({recent[0].id} if lost.listing.by_nonce else {task.id for task in recent})
        assert lost.pages == 2


async def test_every_finished_task_of_dashscope_is_read_once(sessions: Sessions) -> None:
    """Hundreds of lost orders look at the same finished tasks; the vendor is asked for each once."""
    async with outage("dashscope", sessions) as lost:
        assert isinstance(lost.fake, FakeDashScope)
        lost.lose(60)
        assert len(await lost.found()) == len(await lost.found()) == 61
        assert len(lost.fake.log.of("status")) == 61


async def test_a_next_page_is_read_at_our_own_address(sessions: Sessions) -> None:
    """Replicate's URL of the next page gives the query alone: no other host is asked with our token."""
    async with outage("replicate", sessions) as lost:
        assert isinstance(lost.fake, FakeReplicate)
        lost.fake.told_base = "https://api.replicate.example"
        lost.lose(LOST)
        assert len(await lost.found()) == LOST + 1


async def test_a_server_without_pages_ends_the_search(sessions: Sessions) -> None:
    """An engine that gives its newest videos whatever is asked is not asked for ever."""
    async with outage("openai_videos", sessions) as lost:
        assert isinstance(lost.fake, FakeOpenAIVideos)
        lost.fake.pages = False
        lost.lose(LOST)
        assert len(await lost.found()) == 100 and lost.pages == 2


async def test_no_list_is_read_for_ever() -> None:
    """However long a list is, one search reads so many pages and no more; doubled entries count once."""
    read: list[int] = []

    async def read_page(number: int) -> tuple[list[JSON], int | None]:
        read.append(number)
        return [f"task-{number}", f"task-{number + 1}"], number + 1

    found = await search_list(read_page, 1, str)
    assert read == list(range(1, MOST_PAGES + 1))
    assert found == [f"task-{number}" for number in range(1, MOST_PAGES + 2)]


@pytest.mark.parametrize(
    ("entry", "old"),
    [
        ({"at": "2026-11-22T11:59:59Z"}, True),
        ({"at": "2026-11-22T12:00:00Z"}, False),
        ({"at": 1_795_348_799}, True),
        ({"at": 1_795_348_800}, False),
        ({"at": "2026-11-22 11:59:59"}, False),
        ({"at": "soon"}, False),
        ({"at": None}, False),
        ("junk", False),
    ],
)
def test_only_a_time_that_can_be_read_is_old(entry: JSON, old: bool) -> None:
    """An entry without a time, or with one of no zone, never ends a search."""
    since = datetime(2026, 11, 22, 12, tzinfo=UTC)
    assert older_than(since, "at")(entry) is old
