"""Reading the documents: which there are, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Read by people who come to the project; other folders hold what is installed or generated.
_PLACES = (
    "*.md", "docs/**/*.md", "src/**/*.md", "tests/**/*.md", "catalog/**/*.md", "bench/**/*.md",
    "spec/**/*.md", "sdks/node/README.md",
)  # fmt: skip
RUNNABLE = "<!-- runnable -->"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page: where, in which language, marked as one that can be run or not."""

    page: str
    line: int
    language: str
    text: str
    runnable: bool

    @property
    def where(self) -> str:
        """Page and line, for messages and the names of tests."""
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page there is."""
    return sorted({path for place in _PLACES for path in ROOT.glob(place)})


def name_of(page: Path) -> str:
    """The page as the checkout names it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of these languages, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            name_of(page),
            text.count("\n", 0, found.start()) + 1,
            found[1],
            found[2],
            text[: found.start()].rstrip().endswith(RUNNABLE),
        )
        for found in _FENCE.finditer(text)
        if found[1] in languages
    ]


def all_blocks(*languages: str) -> list[Block]:
    """The fenced blocks of these languages, of all pages."""
    return [block for page in pages() for block in blocks(page, *languages)]


def links(page: Path) -> Iterator[str]:
    """What the page's prose links to."""
    yield from _LINK.findall(_prose(page))


def anchors(page: Path) -> set[str]:
    """The names that links may put behind `#` for this page."""
    return {_slug(heading) for heading in _HEADING.findall(_prose(page))}


def commands(page: Path, program: str) -> Iterator[list[str]]:
    """The words of every use of a program: a line of a shell block, or a code span."""
    lines = [line for block in blocks(page, "sh") for line in block.text.splitlines()]
    for line in [*lines, *_CODE_SPAN.findall(_prose(page))]:
        plain = line.split(" #")[0].replace(".venv/bin/", "").removeprefix("JOB=$(").rstrip(") ")
        words = [word for word in plain.split() if not re.match(r"[A-Z_]+=", word)]
        if words and words[0] == program:
            yield words[1:]


def _prose(page: Path) -> str:
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _slug(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")
