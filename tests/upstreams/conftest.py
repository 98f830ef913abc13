"""The stand-ins, for their own tests."""

from __future__ import annotations

from tests.upstreams.fixtures import fake_fal, fake_kling, fake_runway, fake_videos

__all__ = ["fake_fal", "fake_kling", "fake_runway", "fake_videos"]
