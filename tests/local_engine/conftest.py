"""Tiny orders through the whole engine, and one kernel cache for every run of these tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from fairstack_local.kernel_cache import default_cache_dir, kernel_cache_dir
from fairstack_local.orders import RenderOrder

# Set before numba is first imported: compiling takes seconds, and these sources compile to the same kernels.
os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache_dir(default_cache_dir())))

MakeOrder = Callable[..., RenderOrder]


@pytest.fixture
def portrait(tmp_path: Path) -> str:
    """An upright figure before a plain wall: a head, a body that reaches the lower edge."""
    picture = Image.new("RGB", (240, 320), (176, 186, 196))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((60, 190, 180, 420), fill=(150, 40, 40))
    draw.ellipse((88, 70, 152, 160), fill=(226, 178, 148))
    draw.ellipse((84, 56, 156, 112), fill=(60, 40, 25))
    path = tmp_path / "portrait.png"
    picture.save(path)
    return str(path)


@pytest.fixture
def order(tmp_path: Path) -> MakeOrder:
    """Make a scene order of 160x90 and 8 frames; any field can be given."""

    def make(**fields: object) -> RenderOrder:
        usual = {
            "engine": "scene",
            "prompt": "a dog running on a beach at sunset",
            "width": 160,
            "height": 90,
            "fps": 24,
            "duration_seconds": 8 / 24,
            "seed": 1,
            "image_path": None,
            "out_path": str(tmp_path / "clip.mp4"),
        }
        return RenderOrder.from_json(usual | fields)

    return make
