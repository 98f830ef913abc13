"""What `fairstack catalog check` finds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fairstack_server.catalog.catalog import Catalog
from fairstack_server.catalog.check import Finding, check
from tests.catalog.conftest import TODAY, WriteModel, least

CHOICE = "durations = [5, 10]\ndefault_duration = 5\n"
PROVIDER = 'name = "fal.ai"\n'
Checked = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def checked(folder: Path, write: WriteModel) -> Checked:
    """Check a folder with one small model of these parts."""

    def run(**parts: str) -> list[tuple[str, str]]:
        (folder / "providers").mkdir(exist_ok=True)
        (folder / "providers" / "fal.toml").write_text(PROVIDER)
        write("tiny", least(**parts))
        return [(finding.level, finding.message) for finding in check(Catalog(folder), on=TODAY)]

    return run


def test_the_built_in_catalog_is_clean(builtin: Catalog) -> None:
    """No error; the only notes are the routes that are off until the operator states their cost."""
    findings = check(builtin, on=TODAY)
    assert [finding for finding in findings if finding.level == "error"] == []
    assert all(finding.message.endswith("is off: its cost is unknown") for finding in findings)


@pytest.mark.parametrize(
    ("parts", "level", "said"),
    [
        ({"top": 'twin = "nobody"'}, "error", "twin names 'nobody', which is not in the catalog"),
        ({"top": 'twin = "tiny"'}, "error", "twin names 'tiny', which takes no image"),
        ({"top": "end_of_life = 2026-01-01"}, "error", "still active"),
        ({"capabilities": CHOICE}, "error", "does not hand on 'duration'"),
        ({"capabilities": 'image = "required"'}, "error", "does not hand on 'image'"),
        (
            {"capabilities": CHOICE, "rates": "{ usd = 1, when = { duration = 5 } }"},
            "error",
            "no price for these settings: duration 10",
        ),
        (
            {
                "capabilities": CHOICE,
                "rates": "{ usd = 1, when = { duration = 5 } }, { usd = 2, when = { audio = false } }",
            },
            "error",
            "equally many conditions",
        ),
        (
            {
                "capabilities": 'resolutions = ["720p"]\ndefault_resolution = "720p"',
                "unit": "megapixel_frames",
            },
            "error",
            "follows the number of frames of the clip, which is not known",
        ),
        (
            {"more": "[[prices]]\nsince = 2026-01-01\nunit = 'clip'\nsource = 'x'\nrates = [{ usd = 0.05 }]"},
            "note",
            "costs more than the price: not used",
        ),
        (
            {"more": "[[routes]]\nprovider = 'fal'\nendpoint = 'other'\nsource = 'x'"},
            "note",
            "its cost is unknown",
        ),
        (
            {"more": "[[routes]]\nprovider = 'luma'\nendpoint = 'x'\nsource = 'x'"},
            "error",
            "no providers/luma.toml",
        ),
    ],
)
def test_what_a_file_alone_does_not_show_is_found(
    checked: Checked, parts: dict[str, str], level: str, said: str
) -> None:
    """Each mistake that a correct-looking file can hold is found before a user meets it."""
    found = checked(**parts)
    assert any(each == level and said in message for each, message in found), found


def test_errors_come_first() -> None:
    """Whoever reads the list meets what matters first."""
    note, error = Finding("note", "a", "route_off", "x"), Finding("error", "b", "links", "y")
    assert sorted([note, error]) == [error, note]
