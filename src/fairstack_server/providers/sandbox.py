"""The stand-in behind test keys: no vendor, no cost, a TEST card for a clip, and stories acted on demand."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, assert_never

from fairstack_server.clock import Clock, timestamp
from fairstack_server.providers.base import (
    FIND_SLACK,
    CancelOutcome,
    ClipAt,
    ClipFacts,
    Failed,
    FailureReason,
    Order,
    Pending,
    ProviderError,
    RateLimitedUpstream,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)
from fairstack_server.providers.sandbox_stories import (
    STORIES,
    Ending,
    Story,
    Submitting,
    read_story,
    story_named,
)

DEFAULT_WIDTH, DEFAULT_HEIGHT, DEFAULT_FPS, DEFAULT_SECONDS = 1280, 720, 24, 5.0
RATE_LIMIT_SECONDS = 1.0
NEXT_LOOK_SECONDS = 0.5

MESSAGES: dict[FailureReason, str] = {
    "content_filtered": "Test: moderation refused this.",
    "refused": "Test: the provider refused the order.",
    "render_failed": "Test: the render failed.",
    "expired": "Test: the provider dropped the task from its queue.",
}


_NEVER_TAKEN = (Submitting.REFUSED, Submitting.RATE_LIMITED, Submitting.UNREACHABLE)


class MakeCard(Protocol):
    """Makes the TEST card: an MP4 of that size, rate and length at `out_path`."""

    async def __call__(
        self, width: int, height: int, fps: int, duration_seconds: float, title: str, out_path: Path
    ) -> None:
        """Write the whole file before returning; raises OSError when it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class _Act:
    """A receipt, read: which story, since when, and what card it ends in."""

    id: str
    story: Story
    seconds: float
    submitted_at: datetime
    width: int
    height: int
    fps: int
    duration_seconds: float
    title: str


class Sandbox:
    """Acts out the story that a prompt names. Class C, with a list that always tells the truth.

    All that it needs later is in the receipt; time comes from the clock, so a restart changes nothing.
    """

    name = "sandbox"
    submit_class = SubmitClass.C

    def __init__(self, make_card: MakeCard, work_dir: Path, clock: Clock) -> None:
        self._make_card = make_card
        self._work_dir = work_dir
        self._clock = clock

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Take, refuse, or lose the order, as its story has it."""
        told = read_story(order.prompt)
        if told.story is None:
            names = ", ".join(story.name for story in STORIES)
            return Failed("refused", f'No test story "{told.name[:40]}". There are: {names}.'[:300])
        match told.story.submitting:
            case Submitting.TAKEN:
                return Submission(self._ref(order, told.story, told.seconds))
            case Submitting.REFUSED:
                return _failed(told.story)
            case Submitting.RATE_LIMITED:
                return RateLimitedUpstream(RATE_LIMIT_SECONDS)
            case Submitting.UNREACHABLE:
                raise ProviderError("sandbox: no connection, as the test story asks", sent=False)
            case Submitting.ANSWER_LOST | Submitting.FATE_UNKNOWN:
                raise ProviderError("sandbox: no answer to the submit, as the test story asks", sent=True)
            case unknown:
                assert_never(unknown)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """How far the story is by now; makes the card when it ends in one."""
        act = _read(ref)
        story = act.story
        elapsed = (self._clock.now() - act.submitted_at).total_seconds()
        progress = min(max(elapsed / act.seconds, 0.0), 1.0) if act.seconds > 0 else 1.0
        if progress < story.poll_breaks_until:
            raise ProviderError("sandbox: the status call broke, as the test story asks", sent=True)
        if story.ending is Ending.FAILS and progress >= story.fails_at:
            return _failed(story)
        if progress < 1.0 or story.ending is Ending.NEVER:
            remaining = max(act.seconds - elapsed, 0.05)
            return Pending(min(progress, 0.99), retry_after_seconds=min(remaining, NEXT_LOOK_SECONDS))
        return await self._clip(act)

    async def cancel(self, ref: Ref) -> CancelOutcome:
        """What the story says of cancelling; a story that is over cannot be cancelled."""
        act = _read(ref)
        over = (self._clock.now() - act.submitted_at).total_seconds() >= act.seconds
        return CancelOutcome.TOO_LATE if over and act.story.ending is not Ending.NEVER else act.story.cancel

    async def find(self, order: Order, since: datetime) -> Sequence[Ref]:
        """The receipt of this order, unless its story keeps the fate of the submit unknown."""
        told = read_story(order.prompt)
        story = told.story
        if story is None or story.submitting in _NEVER_TAKEN:
            return []
        if story.submitting is Submitting.FATE_UNKNOWN:
            late = story.late_after_seconds
            if late is None or self._clock.now() < since + FIND_SLACK + timedelta(seconds=late):
                return []
        return [self._ref(order, story, told.seconds)]

    def _ref(self, order: Order, story: Story, seconds: float) -> Ref:
        return {
            "id": order.nonce,
            "story": story.name,
            "seconds": seconds,
            "submitted_at": timestamp(self._clock.now()),
            "width": order.width or DEFAULT_WIDTH,
            "height": order.height or DEFAULT_HEIGHT,
            "fps": order.fps or DEFAULT_FPS,
            "duration_seconds": order.duration_seconds or DEFAULT_SECONDS,
            "title": order.model,
        }

    async def _clip(self, act: _Act) -> Succeeded:
        clip = self._work_dir / f"{hashlib.sha256(act.id.encode()).hexdigest()[:32]}.mp4"
        shorter = act.story.ending is Ending.SHORT_CLIP
        seconds = max(act.duration_seconds - 1.0, 1.0) if shorter else act.duration_seconds
        if not clip.is_file():
            await self._make(act, seconds, clip)
        facts = ClipFacts(act.width, act.height, seconds, act.fps, extra={"test": True})
        return Succeeded(ClipAt(path=str(clip)), facts)

    async def _make(self, act: _Act, seconds: float, clip: Path) -> None:
        """Make the file beside its place and move it there whole: two workers may do so at once."""
        part = clip.with_suffix(f".{secrets.token_hex(4)}.part.mp4")
        try:
            self._work_dir.mkdir(parents=True, exist_ok=True)
            if act.story.ending is Ending.BROKEN_CLIP:
                part.write_bytes(b"This is no MP4, as the test story asks.\n")
            else:
                await self._make_card(act.width, act.height, act.fps, seconds, act.title, part)
            part.replace(clip)
        except OSError as error:
            raise ProviderError(
                f"sandbox: the card was not made: {error.strerror or error}", sent=True
            ) from None
        finally:
            part.unlink(missing_ok=True)


def _failed(story: Story) -> Failed:
    reason = story.reason
    if reason is None or reason == "provider_unavailable":
        raise ProviderError(f"sandbox: the story {story.name} has no way to fail", sent=False, permanent=True)
    return Failed(reason, MESSAGES[reason])


def _read(ref: Ref) -> _Act:
    match ref:
        case {
            "id": str(task_id),
            "story": str(name),
            "seconds": int() | float() as seconds,
            "submitted_at": str(submitted_at),
            "width": int(width),
            "height": int(height),
            "fps": int(fps),
            "duration_seconds": int() | float() as duration_seconds,
            "title": str(title),
        }:
            moment = datetime.fromisoformat(submitted_at)
            return _Act(
                task_id,
                story_named(name),
                float(seconds),
                moment,
                width,
                height,
                fps,
                float(duration_seconds),
                title,
            )
        case _:
            raise ProviderError("sandbox: the receipt cannot be read", sent=False, permanent=True)
