"""Writes the table of the sandbox's stories into docs/guides/sandbox.md, from the stories themselves.

python -m fairstack_server.providers.stories_page            write it
python -m fairstack_server.providers.stories_page --check    fail if it is stale
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fairstack_server.providers.sandbox_stories import STORIES, Story, Submitting

PAGE = Path("docs/guides/sandbox.md")
BEGIN = "<!-- Written by `python -m fairstack_server.providers.stories_page`. Do not edit. -->\n"
END = "<!-- End of what is written. -->\n"

_HEAD = "| Prompt begins with | What happens | The job ends |\n|---|---|---|\n"


def stories_table() -> str:
    """One row for every story, in the order of the table."""
    return _HEAD + "".join(
        f"| `test:{story.name}` | {story.what_happens} | {ends(story)} |\n" for story in STORIES
    )


def ends(story: Story) -> str:
    """How a job of this story ends, in the words of the wire."""
    if story.job_ends == "completed":
        return "`completed`"
    if story.reason == "content_filtered":
        return "`failed`, `content_filtered`"
    unsure = (
        story.reason in ("provider_unavailable", "expired") or story.submitting is Submitting.FATE_UNKNOWN
    )
    return "`failed`, `provider_unavailable`" if unsure else "`failed`, `generation_failed`"


def with_table(page: str) -> str:
    """The page with the table as it should be. Raises ValueError when its place is not marked."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} does not mark the place of its table")
    return f"{before}{BEGIN}\n{stories_table()}\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Write the table, or check it; exit status 1 when the check fails."""
    parser = argparse.ArgumentParser(prog="python -m fairstack_server.providers.stories_page")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if the table is stale")
    if not PAGE.is_file():
        parser.error(f"run this at the root of a checkout: there is no {PAGE} here")
    page = PAGE.read_text(encoding="utf-8")
    if parser.parse_args(arguments).check:
        if page == with_table(page):
            return 0
        sys.stderr.write(f"{PAGE} is stale: {parser.prog}\n")
        return 1
    PAGE.write_text(with_table(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
