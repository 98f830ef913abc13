"""Make a clip from the shell: `python -m fairstack_local --prompt "a dog on a beach" --out clip.mp4`."""

from __future__ import annotations

import argparse
import os
import sys
import time

from fairstack_local.kernel_cache import default_cache_dir, kernel_cache_dir
from fairstack_local.orders import FRAME_RATE, SIZES, OrderRefused, RenderOrder, RenderReport, render

_BAR_CELLS = 30


def main() -> int:
    """Render one clip, with a progress bar on stderr; the exit status is 0 when the file is there."""
    asked = _parser().parse_args()
    os.environ.setdefault("NUMBA_CACHE_DIR", str(kernel_cache_dir(default_cache_dir())))
    began = time.monotonic()
    try:
        report = render(_order(asked), _draw_bar)
    except (OrderRefused, OSError) as refusal:
        sys.stderr.write(f"\n{refusal}\n")
        return 1
    _tell(report, asked.out, time.monotonic() - began)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fairstack_local", description=__doc__)
    parser.add_argument("--prompt", required=True, help="what to show, in English words")
    parser.add_argument("--image", help="a PNG or JPEG to set in motion instead of a rendered scene")
    parser.add_argument("--duration", type=float, default=5.0, help="seconds, 3 to 10 (default 5)")
    parser.add_argument("--ratio", choices=sorted(SIZES), default="16:9")
    parser.add_argument("--size", help="WIDTHxHEIGHT in pixels, instead of the ratio's 720p size")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True, help="the MP4 to write")
    return parser


def _order(asked: argparse.Namespace) -> RenderOrder:
    width, height = map(int, asked.size.split("x")) if asked.size else SIZES[asked.ratio]
    return RenderOrder(
        engine="parallax" if asked.image else "scene",
        prompt=asked.prompt,
        width=width,
        height=height,
        fps=FRAME_RATE,
        duration_seconds=asked.duration,
        seed=asked.seed,
        image_path=asked.image,
        out_path=asked.out,
    )


def _draw_bar(frame: int, frames: int) -> None:
    cells = _BAR_CELLS * frame // frames
    sys.stderr.write(f"\r[{'#' * cells}{'.' * (_BAR_CELLS - cells)}] {frame}/{frames}")
    sys.stderr.flush()


def _tell(report: RenderReport, out: str, seconds: float) -> None:
    sys.stderr.write(f"\n{out}: {report.frames} frames in {seconds:.1f} s\n")
    for substitution in report.substitutions:
        sys.stderr.write(f"  note: {substitution}\n")


if __name__ == "__main__":
    sys.exit(main())
