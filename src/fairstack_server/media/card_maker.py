"""TEST cards made in a process of their own, of low priority."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from fairstack_server.media.testcard import make_test_card


class CardMaker:
    """Makes TEST cards in a process of low priority, so that a flood of tests sinks nobody."""

    def __init__(self) -> None:
        # Started with the first card; a start of the server waits for nothing that it may not need.
        self._pool: ProcessPoolExecutor | None = None

    async def __call__(
        self, width: int, height: int, fps: int, duration_seconds: float, title: str, out_path: Path
    ) -> None:
        """Write the whole card; raises OSError when it cannot be made."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1, mp_context=get_context("spawn"), initializer=os.nice, initargs=(10,)
            )
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._pool, _write_card, str(out_path), width, height, fps, duration_seconds, title
            )
        except BrokenProcessPool as error:
            self._pool = None
            raise OSError("the process that makes TEST cards ended") from error

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def _write_card(path: str, width: int, height: int, fps: int, seconds: float, title: str) -> None:
    make_test_card(Path(path), width=width, height=height, duration_seconds=seconds, title=title, fps=fps)
