"""The guides are true: every block of them runs."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from fairstack.cli.main import main
from tests.sdk.fake_fairstack import API_KEY, CLIP, Books, FakeFairStack

ROOT = Path(__file__).parents[2]
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40


def blocks(guide: str, language: str) -> str:
    """All blocks of one language of a guide, one after the other."""
    text = (ROOT / "docs" / "guides" / guide).read_text()
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert found
    return "\n".join(found)


def test_python_guide(fake: FakeFairStack, books: Books, tmp_path: Path) -> None:
    """The blocks of the Python guide run, one after the other, and make the clips they speak of."""
    (tmp_path / "portrait.png").write_bytes(PNG)
    environment = os.environ | {
        "FAIRSTACK_BASE_URL": fake.base_url, "FAIRSTACK_API_KEY": API_KEY, "PYTHONPATH": str(ROOT / "src"),
    }  # fmt: skip
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks("python.md", "python")],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.stderr == ""
    said = run.stdout.splitlines()
    assert {"$0.048 48000", "True", "204 400"} <= set(said)
    assert sum(line.startswith("test:fail gave no clip: job_") for line in said) == 1
    assert (tmp_path / "clip.mp4").read_bytes() == CLIP
    assert len(list(tmp_path.glob("job_*.mp4"))) == 1
    assert len(books.jobs) == 11


def test_cli_guide(
    fake: FakeFairStack, books: Books, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands of the command-line guide run as they stand; the same key twice is one job."""
    monkeypatch.setenv("FAIRSTACK_BASE_URL", fake.base_url)
    monkeypatch.setenv("FAIRSTACK_API_KEY", API_KEY)
    monkeypatch.chdir(tmp_path)
    Path("portrait.png").write_bytes(PNG)
    variables: dict[str, str] = {}
    for line in blocks("cli.md", "sh").splitlines():
        if line:
            assert type_in(line, variables) == 0, line
    assert Path("clip.mp4").read_bytes() == CLIP
    assert Path("job.json").read_text().startswith('{"id":"job_')
    assert len(books.jobs) == 6


def type_in(line: str, variables: dict[str, str]) -> int:
    """Do what a shell does with `fairstack …`, `… > file` and `NAME=$(fairstack …)`; the exit code."""
    name, _, inner = line.partition("=$(")
    words = shlex.split(inner.removesuffix(")") if inner else line)
    words = [variables.get(word.removeprefix("$"), word) for word in words]
    target = words.pop() if words[-2] == ">" else None
    assert words[0] == "fairstack"
    with contextlib.redirect_stdout(io.StringIO()) as out, pytest.raises(SystemExit) as caught:
        main([word for word in words[1:] if word != ">"])
    if target:
        Path(target).write_text(out.getvalue())
    if inner:
        variables[name] = out.getvalue().strip()
    return int(caught.value.code or 0)
