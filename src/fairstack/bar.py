"""One progress bar for many clips: rich's on a terminal, HTML in a notebook, none where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: Draws so many clips as done (parts of clips count), with these words.
Draw = Callable[[float, str], None]


@contextmanager
def bar_of(total: int) -> Iterator[Draw | None]:
    """What draws the progress of `total` clips for the block; None if there is nothing to draw on."""
    if _in_notebook():
        yield _notebook_bar(total)
    elif sys.stderr is not None and sys.stderr.isatty():
        with _terminal_bar(total) as draw:
            yield draw
    else:
        yield None


def _in_notebook() -> bool:
    # Where IPython runs, it has been imported; a notebook is what has a kernel.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


@contextmanager
def _terminal_bar(total: int) -> Iterator[Draw | None]:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError:
        yield None
        return
    columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda done, words: progress.update(task, completed=done, description=words)


class _Picture:
    """The bar at one moment, as notebooks show it."""

    def __init__(self, done: float, total: int, words: str) -> None:
        self._done, self._total, self._words = done, total, words

    def __repr__(self) -> str:
        return self._words

    def _repr_html_(self) -> str:
        return f'<progress max="{self._total}" value="{self._done:.2f}"></progress> {self._words}'


def _notebook_bar(total: int) -> Draw:
    # IPython's own protocol: rich would want the package ipywidgets here.
    shown: Any = sys.modules["IPython"].display.display(_Picture(0, total, ""), display_id=True)
    return lambda done, words: shown.update(_Picture(done, total, words))
