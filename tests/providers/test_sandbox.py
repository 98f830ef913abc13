"""The sandbox's stories, each acted out to its end."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fairstack_server.providers.base import (
    CancelOutcome,
    Failed,
    Order,
    Pending,
    ProviderError,
    RateLimitedUpstream,
    Ref,
    Submission,
    Succeeded,
)
from fairstack_server.providers.sandbox import Sandbox
from fairstack_server.providers.sandbox_stories import STORIES, Story, Submitting, job_seconds, read_story
from tests.providers.makers import NOON, ManualClock

ORDER = Order(
    nonce="n-1",
    model="wan-2-1-t2v",
    endpoint="card",
    prompt="a dog",
    duration_seconds=5.0,
    width=1280,
    height=720,
    fps=24,
)
SINCE = NOON - timedelta(seconds=60)


class Cards:
    """Makes cards that are notes of what was asked for."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def __call__(
        self, width: int, height: int, fps: int, duration_seconds: float, title: str, out_path: Path
    ) -> None:
        note = f"{width}x{height}@{fps} {duration_seconds}s {title}"
        self.made.append(note)
        out_path.write_text(note)


def _sandbox(folder: Path, clock: ManualClock) -> tuple[Sandbox, Cards]:
    cards = Cards()
    return Sandbox(cards, folder, clock), cards


def _again(ref: Ref) -> Ref:
    return json.loads(json.dumps(ref))  # type: ignore[no-any-return]


async def _acted(story: Story, folder: Path) -> str:
    """How a job of this story ends for a caller who follows the rules of the lifecycle for class C."""
    clock = ManualClock()
    sandbox, _ = _sandbox(folder, clock)
    order = replace(ORDER, prompt=f"test:{story.name}")
    ends_at = NOON + timedelta(seconds=job_seconds(order.prompt, 900))
    ref: Ref | None = None
    lost = False
    while clock.now() < ends_at:
        clock.move(1)
        try:
            if ref is None and lost:
                ref = next(iter(await sandbox.find(order, SINCE)), None)
                continue
            if ref is None:
                taken = await sandbox.submit(order)
                if isinstance(taken, Failed):
                    return taken.reason
                ref = taken.ref if isinstance(taken, Submission) else None
                continue
            look = await sandbox.poll(_again(ref))
        except ProviderError as error:
            lost = lost or error.sent
            continue
        if isinstance(look, Failed):
            return look.reason
        if isinstance(look, Succeeded) and look.clip.path is not None:
            clip = Path(look.clip.path).read_text()
            return "render_failed" if "no MP4" in clip else "completed"
    return "provider_unavailable"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
async def test_every_story_ends_as_its_table_says(story: Story, tmp_path: Path) -> None:
    """Acted out to the end, every story ends the way that the table, and so the docs, promise."""
    assert await _acted(story, tmp_path) == (story.reason or story.job_ends)


async def test_a_plain_prompt_gives_a_card_with_progress(tmp_path: Path, clock: ManualClock) -> None:
    """Any other prompt advances and ends in one card of the asked size and length, made once."""
    sandbox, cards = _sandbox(tmp_path, clock)
    taken = await sandbox.submit(ORDER)
    assert isinstance(taken, Submission)
    seen = []
    for _ in range(3):
        look = await sandbox.poll(_again(taken.ref))
        assert isinstance(look, Pending) and look.progress is not None
        seen.append(look.progress)
        clock.move(0.3)
    assert seen == sorted(set(seen)) and all(0 <= progress < 1 for progress in seen)
    clock.move(1)
    first = await sandbox.poll(_again(taken.ref))
    assert isinstance(first, Succeeded) and first.facts.extra == {"test": True}
    assert await sandbox.poll(_again(taken.ref)) == first
    assert cards.made == ["1280x720@24 5.0s wan-2-1-t2v"]


async def test_a_slow_story_takes_its_time(tmp_path: Path, clock: ManualClock) -> None:
    """`test:slow 30` takes 30 seconds, across a restart."""
    sandbox, _ = _sandbox(tmp_path, clock)
    taken = await sandbox.submit(replace(ORDER, prompt="test:slow 30"))
    assert isinstance(taken, Submission)
    clock.move(29.9)
    assert isinstance(await sandbox.poll(_again(taken.ref)), Pending)
    clock.move(0.2)
    restarted, _ = _sandbox(tmp_path, clock)
    assert isinstance(await restarted.poll(_again(taken.ref)), Succeeded)


async def test_a_late_result_is_found_after_the_job_was_given_up(tmp_path: Path, clock: ManualClock) -> None:
    """`test:late` shows nothing until the job has failed; then its list has the task, and the task a clip."""
    sandbox, _ = _sandbox(tmp_path, clock)
    order = replace(ORDER, prompt="test:late")
    with pytest.raises(ProviderError) as caught:
        await sandbox.submit(order)
    assert caught.value.sent is True
    clock.move(job_seconds(order.prompt, 900))
    assert await sandbox.find(order, SINCE) == []
    clock.move(10)
    [ref] = await sandbox.find(order, SINCE)
    assert ref is not None
    clock.move(10)
    assert isinstance(await sandbox.poll(_again(ref)), Succeeded)


async def test_an_intent_that_was_never_sent_is_found_all_the_same(
    tmp_path: Path, clock: ManualClock
) -> None:
    """After a crash between intent and send nothing is lost: the list shows the order as taken."""
    sandbox, _ = _sandbox(tmp_path, clock)
    [ref] = await sandbox.find(ORDER, SINCE)
    assert ref is not None and ref["id"] == ORDER.nonce
    for name in ("refused", "rate_limited", "provider_unavailable", "unknown"):
        assert await sandbox.find(replace(ORDER, prompt=f"test:{name}"), SINCE) == []


@pytest.mark.parametrize(
    ("prompt", "outcome"),
    [
        ("a dog", CancelOutcome.STOPPED),
        ("test:slow 60", CancelOutcome.STOPPED),
        ("test:never", CancelOutcome.STOPPED),
        ("test:cancel_too_late", CancelOutcome.TOO_LATE),
        ("test:cancel_requested", CancelOutcome.REQUESTED),
    ],
)
async def test_cancel(prompt: str, outcome: CancelOutcome, tmp_path: Path, clock: ManualClock) -> None:
    """A running story answers a cancel as its table says; a finished one is too late."""
    sandbox, _ = _sandbox(tmp_path, clock)
    taken = await sandbox.submit(replace(ORDER, prompt=prompt))
    assert isinstance(taken, Submission)
    assert await sandbox.cancel(_again(taken.ref)) is outcome
    clock.move(4000)
    finished = CancelOutcome.STOPPED if prompt == "test:never" else CancelOutcome.TOO_LATE
    assert await sandbox.cancel(_again(taken.ref)) is finished


async def test_a_story_that_is_not_there_says_which_are(tmp_path: Path, clock: ManualClock) -> None:
    """A mistyped story is refused with the list, within the length of a message."""
    sandbox, _ = _sandbox(tmp_path, clock)
    refused = await sandbox.submit(replace(ORDER, prompt="test:fial"))
    assert isinstance(refused, Failed)
    assert '"fial"' in refused.message and "content_filtered" in refused.message
    assert len(refused.message) <= 300


@pytest.mark.parametrize(
    ("prompt", "name", "seconds"),
    [
        ("test:slow 12", "slow", 12.0),
        ("test:slow", "slow", 120.0),
        ("test:slow 999999", "slow", 3600.0),
        ("test:fail please", "fail", 1.0),
        ("a test:fail", "", 1.0),
        ("test: a dog", "", 1.0),
    ],
)
def test_reading_a_prompt(prompt: str, name: str, seconds: float) -> None:
    """A story is named at the very beginning of a prompt, with an optional number."""
    told = read_story(prompt)
    assert (told.name, told.seconds) == (name, seconds)


async def test_rate_limited_says_when(tmp_path: Path, clock: ManualClock) -> None:
    """`test:rate_limited` says when to come back, and refuses again."""
    sandbox, _ = _sandbox(tmp_path, clock)
    order = replace(ORDER, prompt="test:rate_limited")
    assert await sandbox.submit(order) == await sandbox.submit(order) == RateLimitedUpstream(1.0)


def test_the_table_is_whole() -> None:
    """Names are unique and sentences end; a story fails for a reason exactly when its job fails."""
    assert len({story.name for story in STORIES}) == len(STORIES)
    for story in STORIES:
        assert story.what_happens.endswith(".")
        assert (story.reason is not None) == (story.job_ends == "failed")
        assert (story.late_after_seconds is None) or story.submitting is Submitting.FATE_UNKNOWN
