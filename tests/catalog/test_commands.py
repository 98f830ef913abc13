"""The operator's commands on the catalog, as a stranger types them: what they print and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fairstack.cli.main import main
from fairstack_server.catalog import catalog
from tests.catalog.conftest import least

Run = Callable[..., tuple[int, str, str]]

PRICED = """
[[prices]]
since = 2026-01-01
unit = "clip"
source = "A test"
rates = [{ usd = "0.5" }]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The operator's folder, empty."""
    monkeypatch.setenv("FAIRSTACK_CATALOG_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def run(own: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `fairstack catalog …`: status, stdout, stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(["catalog", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out, err

    return run


def test_check_tells_notes_by_their_reason(run: Run, own: Path) -> None:
    """Many routes without a cost are a few lines, with what to write; `--verbose` has a line for each."""
    off = least(more=PRICED).replace("[[routes.costs]]", "[[x]]").partition("[[x]]")[0] + PRICED
    (own / "nobody-renders.toml").write_text(off)
    code, out, err = run("check")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) < 30
    heading, remedy = (
        out.index("nobody renders: the cost of every route is unknown:"),
        out.index("overrides.toml"),
    )
    assert heading < remedy < out.index("nobody-renders")
    assert '[routes."' in out
    notes = int(out.splitlines()[-2].split(", ")[1].split()[0])
    code, every, _ = run("check", "--verbose")
    assert code == 0
    assert sum(line.startswith("note") for line in every.splitlines()) == notes > 100
    assert "note   nobody-renders: route fal (nobody/tiny) is off: its cost is unknown" in every


def test_check_fails_for_errors_alone(
    run: Run, own: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error is printed in full and ends with status 1, in text and in JSON."""
    small = tmp_path_factory.mktemp("built-in")
    (small / "providers").mkdir()
    (small / "providers" / "fal.toml").write_text('name = "fal.ai"\n')
    monkeypatch.setattr(catalog, "builtin_dir", lambda: small)
    (own / "tiny.toml").write_text(least(top='twin = "nobody"'))
    code, out, _ = run("check")
    assert code == 1
    assert "error  tiny: twin names 'nobody', which is not in the catalog" in out
    code, out, _ = run("check", "--json")
    told = json.loads(out)
    assert (code, told["errors"]) == (1, 1)
    assert told["findings"][0] == {
        "level": "error",
        "model": "tiny",
        "reason": "links",
        "message": "twin names 'nobody', which is not in the catalog",
        "provider": "",
    }
    assert told["notes"] == sum(finding["level"] == "note" for finding in told["findings"])


def test_check_of_a_broken_file_names_its_line(run: Run, own: Path) -> None:
    """A file that cannot be read is an error with file and line, in JSON as well."""
    (own / "tiny.toml").write_text("name = \n")
    code, out, _ = run("check")
    assert code == 1
    assert f"error  {own}/tiny.toml:1: not TOML" in out
    code, out, _ = run("check", "--json")
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["reason"]) == (1, "unreadable")
    assert finding["message"].startswith(f"{own}/tiny.toml:1: ")


def test_show_tells_what_has_no_source(run: Run, own: Path) -> None:
    """A fact of general knowledge is told as such, apart from the sources; the others are not."""
    (own / "tiny.toml").write_text(least(top='unverified = ["fps: that it is 24"]'))
    assert "- Not from a source: fps: that it is 24\n- Sources: A test of 2026" in run("show", "tiny")[1]
    assert "Not from a source" not in run("show", "local-scene-t2v")[1]


def test_quote_and_its_slips(run: Run) -> None:
    """A quote is dollars and micros; a slip is one line that says what there is, with status 1."""
    assert run("quote", "kling-2-1-std-i2v", "duration=10") == (0, "$0.56  (560000 micros)\n", "")
    for words, said in (
        (("kling-2-1-std-i2v", "duration=7"), "Allowed: 5, 10."),
        (("kling-2-1-std-i2v", "lenght=5"), "No setting is called 'lenght'."),
        (("kling 2.1 std",), "Closest: kling-2-1-std-i2v."),
    ):
        code, out, err = run("quote", *words)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert said in err


def test_diff_tells_what_is_new_and_refuses_a_folder_without_models(
    run: Run, own: Path, tmp_path: Path
) -> None:
    """An older catalog is compared with; an empty or missing folder is a mistake, not many differences."""
    old = tmp_path / ".older"
    for wrong in (old, own):
        code, out, err = run("diff", str(wrong))
        assert (code, out) == (1, "")
        assert err == f"fairstack: {wrong}: there is no model file here to compare with\n"
    (old / "models").mkdir(parents=True)
    (old / "models" / "tiny.toml").write_text(least())
    (own / "tiny.toml").write_text(least(rates='{ usd = "0.25" }'))
    code, out, _ = run("diff", str(old))
    assert code == 0
    assert "tiny: the default clip was $0.10 and is $0.25\n" in out
    assert "veo-3: new, $3.20 for the default clip\n" in out
    assert out.splitlines()[-1].partition(" differences to ")[2].startswith(f"{old} (models there: 1, here: ")


def test_what_editors_and_mounts_leave_is_no_model(run: Run, own: Path) -> None:
    """Files and folders whose names begin with a dot are not read."""
    (own / "..data").mkdir()
    (own / "..data" / "tiny.toml").write_text(least())
    (own / "tiny.toml").write_text(least())
    (own / ".#tiny.toml").write_text("a lock of an editor")
    assert run("show", "tiny")[0] == 0
