"""Compile every kernel into the cache ahead of the first clip: `python -m fairstack_local.warm`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from fairstack_local.kernel_cache import default_cache_dir, kernel_cache_dir
from fairstack_local.orders import FRAME_RATE, RenderOrder, render

#: Between them these prompts pass through every kernel.
WARMING_PROMPTS = (
    "a dog running on a beach",
    "a sailboat at sea",
    "a fox in a meadow, rain",
    "a wolf in the snow",
)


def warm(cache_dir: Path) -> float:
    """Render tiny clips through every kernel; the seconds it took. A second call finds them compiled."""
    os.environ["NUMBA_CACHE_DIR"] = str(kernel_cache_dir(cache_dir))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for prompt in WARMING_PROMPTS:
            render(_order("scene", prompt, folder, None), lambda frame, frames: None)
        render(_order("parallax", "zoom in", folder, _grey_picture(folder)), lambda frame, frames: None)
    return time.monotonic() - began


def _order(engine: str, prompt: str, folder: str, image_path: str | None) -> RenderOrder:
    return RenderOrder.from_json(
        {
            "engine": engine,
            "prompt": prompt,
            "width": 64,
            "height": 36,
            "fps": FRAME_RATE,
            "duration_seconds": 0.125,
            "seed": 1,
            "image_path": image_path,
            "out_path": str(Path(folder) / "warm.mp4"),
        }
    )


def _grey_picture(folder: str) -> str:
    from PIL import Image

    path = str(Path(folder) / "grey.png")
    Image.linear_gradient("L").convert("RGB").save(path)
    return path


def main() -> None:
    """Warm the cache folder given (default: the user's own) and print the seconds."""
    parser = argparse.ArgumentParser(prog="python -m fairstack_local.warm", description=warm.__doc__)
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir())
    seconds = warm(parser.parse_args().cache_dir)
    sys.stdout.write(f"  Kernels ready in {seconds:.1f} s\n")


if __name__ == "__main__":
    main()
