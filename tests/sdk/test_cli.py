"""The command line: one line when it goes wrong, the facts when it goes well, exit codes for programs."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fairstack.cli.main import CLIENT_COMMANDS, OPERATOR_COMMANDS, main
from fairstack.cli.options import json_values, micros, named_values
from fairstack.errors import BadArgument
from tests.sdk.fake_fairstack import API_KEY, CLIP, Books, FakeFairStack

SOURCES = Path(__file__).parents[2] / "src"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(fake: FakeFairStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `fairstack …` against the fake server: exit code, stdout, stderr."""
    monkeypatch.setenv("FAIRSTACK_BASE_URL", fake.base_url)
    monkeypatch.setenv("FAIRSTACK_API_KEY", API_KEY)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(words)
        out, err = capsys.readouterr()
        return int(caught.value.code or 0), out, err

    return run


def facts(out: str) -> dict[str, str]:
    """The printed facts by name."""
    return dict(line.split(maxsplit=1) for line in out.splitlines())


def test_video_from_prompt_to_file(run: Run, tmp_path: Path) -> None:
    """A clip is made, saved and described: address, file with size, pixels, length, fps, cost."""
    target = tmp_path / "clip.mp4"
    code, out, err = run("video", "A dog", "-m", "wan-2-1-t2v", "-d", "5", "-o", str(target))
    assert code == 0
    shown = facts(out)
    assert shown["url"].endswith("/output.mp4")
    assert shown["file"] == f"{target} (16.4 kB)"
    assert shown["clip"] == "1280x720, 5 s, 24 fps"
    assert shown["cost"] == "$0.048 (test money)"
    assert "queued, $0.048 (test money)" in err
    assert target.read_bytes() == CLIP


def test_default_models_are_local(run: Run, books: Books, tmp_path: Path) -> None:
    """Without -m a prompt goes to the local text model, a prompt with an image to the local image model."""
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n")
    run("video", "A dog", "--no-wait")
    run("video", "A dog", "-i", str(picture), "--no-wait")
    assert [ask.json["model"] for ask in books.submits()] == ["local-scene-t2v", "local-parallax-i2v"]
    assert list(books.files.values()) == [picture.read_bytes()]


def test_every_option_arrives(run: Run, books: Books) -> None:
    """Options of the command are the fields of the request; whole seconds are sent as such."""
    run(
        "video", "A dog", "-m", "wan-2-1-t2v", "-d", "5", "-a", "9:16", "-r", "720p", "--seed", "7",
        "--negative-prompt", "blur", "--no-audio", "--webhook-url", "https://x.example/h",
        "--option", "steps=4", "--option", "style=flat", "--tag", "team=film",
        "--max-cost", "0.05", "--no-wait",
    )  # fmt: skip
    assert books.submits()[0].json == {
        "model": "wan-2-1-t2v", "prompt": "A dog", "duration": 5, "aspect_ratio": "9:16",
        "resolution": "720p", "seed": 7, "negative_prompt": "blur", "audio": False,
        "webhook_url": "https://x.example/h", "options": {"steps": 4, "style": "flat"},
        "tags": {"team": "film"}, "max_cost_micro": 50_000,
    }  # fmt: skip


@pytest.mark.parametrize("words", [("video", "A dog", "--estimate"), ("estimate", "A dog"), ("estimate",)])
def test_estimate_makes_nothing(run: Run, books: Books, words: tuple[str, ...]) -> None:
    """An estimate prints the price, or the server's own JSON, and makes no job."""
    code, out, _ = run(*words, "-m", "wan-2-1-t2v")
    assert (code, facts(out)) == (0, {"model": "wan-2-1-t2v", "cost": "$0.048 (test money)"})
    assert run(*words, "-m", "wan-2-1-t2v", "--json")[1] == (
        '{"estimated_cost":{"micro":48000,"display":"$0.048"}}\n'
    )
    assert books.jobs == {}


def test_leaving_and_coming_back(run: Run, tmp_path: Path) -> None:
    """--no-wait prints the id alone and how to come back; that command ends with the clip."""
    code, job_id, err = run("video", "A dog", "--no-wait", "-o", str(tmp_path))
    assert code == 0
    command = err.strip().removeprefix("Come back to it: ")
    assert command == f"fairstack status {job_id.strip()} --wait -o {tmp_path}"
    code, out, _ = run(*command.split()[1:])
    assert code == 0
    assert facts(out)["file"].startswith(str(tmp_path / f"{job_id.strip()}.mp4"))


@pytest.mark.parametrize(
    "words",
    [
        ("status", "{job}"),
        ("jobs",),
        ("models",),
        ("models", "wan-2-1-t2v"),
        ("balance",),
        ("video", "A dog"),
    ],
)
def test_json_is_the_servers_own(run: Run, fake: FakeFairStack, words: tuple[str, ...]) -> None:
    """--json prints exactly what the server answered, and nothing else on stdout."""
    run("video", "A dog", "-m", "wan-2-1-t2v")
    job_id = next(iter(fake.books.jobs))
    _, out, _ = run(*(word.replace("{job}", job_id) for word in words), "--json")
    last = [asked for asked in fake.books.asked if asked.method == "GET"][-1]
    assert out.encode() == fake.answer(last)[1] + b"\n"


def test_own_key_makes_repeats_safe(run: Run, books: Books) -> None:
    """The same --idempotency-key twice is one job."""
    ids = {run("video", "A dog", "--no-wait", "--idempotency-key", "order-1")[1] for _ in range(2)}
    assert len(ids) == len(books.jobs) == 1


def test_cancel(run: Run, books: Books) -> None:
    """cancel says what came of it; cancelling a finished job is refused."""
    _, job_id, _ = run("video", "A dog", "--no-wait")
    code, out, _ = run("cancel", job_id.strip())
    assert (code, facts(out)["status"], facts(out)["cancellation"]) == (0, "cancelled", "stopped")
    books.jobs[job_id.strip()]["status"] = "completed"
    code, out, err = run("cancel", job_id.strip(), "--json")
    assert code == 4
    assert json.loads(out)["error"]["code"] == "job_not_cancellable"
    assert err.count("\n") == 1


def test_lists_are_readable(run: Run) -> None:
    """Models, jobs and balance are shown in columns with their prices."""
    assert "wan-2-1-t2v         t2v   budget  $0.048  sandbox" in run("models")[1]
    assert "kling" not in run("models", "--type", "t2v")[1]
    assert facts(run("models", "wan-2-1-t2v")[1])["price"] == "$0.048 for the default clip"
    assert facts(run("balance")[1]) == {"balance": "$100.00 (test money)", "held": "$0.00 (test money)"}
    assert run("jobs") == (0, "", 'No jobs. Make one: fairstack video "a dog on a beach"\n')
    run("video", "A dog", "-m", "wan-2-1-t2v")
    shown = run("jobs")[1]
    assert "completed  wan-2-1-t2v  $0.048" in shown
    assert "TEST MONEY" in shown


def test_a_list_of_models_says_what_is_not_in_it(run: Run) -> None:
    """Models come by key; below them stands how many there are, how many are left out, how to see them."""
    code, out, err = run("models", "-n", "2")
    keys = [line.split()[0] for line in out.splitlines()]
    assert (code, keys) == (0, ["MODEL", "kling-2-1-std-i2v", "local-parallax-i2v"])
    assert err.splitlines() == [
        "2 more; all of them: -n 4",
        "4 models, all of them in the sandbox. Fewer: --type, --tier, -q WORDS. One: fairstack models MODEL",
    ]
    assert run("models")[2].count("\n") == 1


def test_real_money_is_not_called_test_money(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a live key amounts stand alone, and a model is available or not."""
    live = "fs_live_fake0000000000000000000000000000key"
    monkeypatch.setattr("tests.sdk.fake_fairstack.API_KEY", live)
    monkeypatch.setenv("FAIRSTACK_API_KEY", live)
    assert facts(run("estimate", "-m", "wan-2-1-t2v")[1])["cost"] == "$0.048"
    assert facts(run("balance")[1])["balance"] == "$100.00"
    assert "wan-2-1-t2v         t2v   budget  $0.048  yes" in run("models")[1]
    assert "A job of the sandbox is seen with --test." in run("status", "job_none")[2]
    assert "add --test" in run("video", "A dog", "-m", "veo-3")[2]


def test_a_job_without_a_clip_says_that_it_cost_nothing(run: Run, fake: FakeFairStack) -> None:
    """A failed and a cancelled job say that nothing was charged, when it happens and when looked at."""
    _, _, err = run("video", "test:fail")
    assert err.splitlines()[-1].endswith("You were charged nothing.")
    job_id = next(iter(fake.books.jobs))
    assert facts(run("status", job_id)[1])["cost"] == "nothing was charged"
    _, cancelled, _ = run("video", "A dog", "--no-wait")
    assert facts(run("cancel", cancelled.strip())[1])["cost"] == "nothing was charged"


@pytest.mark.parametrize("words", [("status", "job_none"), ("cancel", "job_none")])
def test_a_job_of_the_other_mode_is_hinted_at(run: Run, words: tuple[str, ...]) -> None:
    """A job that a test key does not find may be a live one, and the line says so."""
    code, _, err = run(*words)
    assert code == 2
    assert err.rstrip().endswith("This is a test key, which sees jobs of the sandbox only: try the live key.")


def test_the_help_of_jobs_is_about_jobs(run: Run) -> None:
    """Its options say what they filter, and do not promise a default model."""
    shown = " ".join(run("jobs", "--help")[1].split())
    assert "Only jobs of this model." in shown
    assert "Default: a local model" not in shown


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("video", "test:fail"), 1, "failed: The provider could not render it."),
        (("video", "A dog", "-m", "wan-2-1-t2w"), 2, "No model 'wan-2-1-t2w'. Closest: wan-2-1-t2v."),
        (("video", "A dog", "-i", "nowhere.png"), 2, "'nowhere.png' cannot be read"),
        (("video", "A dog", "--tag", "film"), 2, "--tag is written NAME=VALUE"),
        (("video", "A dog", "--max-cost", "cheap"), 2, "--max-cost is dollars"),
        (("status", "job_none"), 2, "There is no job job_none."),
        (("video", "A dog", "-m", "veo-3"), 4, "set GOOGLE_CLOUD_PROJECT"),
        (("video", "A dog", "-m", "kling-2-1-std-i2v", "-i", "https://a.example/b.png", "--max-cost", "0.01"),
         4, "over max_cost_micro"),
        (("video", "test:content_filtered"), 4, "The prompt was refused."),
    ],
)  # fmt: skip
def test_errors_are_one_line(run: Run, words: tuple[str, ...], code: int, message: str) -> None:
    """An error is one clear line on stderr and an exit code; no traceback, nothing on stdout."""
    found, out, err = run(*words)
    assert (found, out) == (code, "")
    *notes, line = err.splitlines()
    assert message in line
    assert "Traceback" not in err
    assert all(note.startswith("job_") for note in notes)


@pytest.mark.parametrize(
    "words", [("vidoe",), ("video",), ("video", "A dog", "-d", "five"), ("jobs", "-n", "0")]
)
def test_wrong_usage(run: Run, words: tuple[str, ...]) -> None:
    """A misspelt command, a missing prompt and a value of the wrong kind end with code 2 and the usage."""
    code, _, err = run(*words)
    assert code == 2
    assert "Usage: fairstack" in err


def test_no_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no server answers, the line says how to start one; exit code 3."""
    monkeypatch.setenv("FAIRSTACK_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("fairstack.cli.options.MAX_RETRIES", 0)
    code, out, err = run("balance")
    assert (code, out) == (3, "")
    assert "fairstack serve" in err


def test_no_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key the line says the ways to give one; --test never takes a live key instead."""
    monkeypatch.setenv("FAIRSTACK_API_KEY", "fs_live_real")
    code, _, err = run("balance", "--test")
    assert code == 2
    assert "No test API key" in err


def test_cursor_tricks_are_not_printed(run: Run) -> None:
    """Text of a server cannot move the cursor: control characters of an error are left out."""
    _, _, err = run("status", "job_\x1b[2Jgone")
    assert "\x1b[2J" not in err


def program(fake: FakeFairStack, *words: str, stderr: int) -> subprocess.Popen[str]:
    """The program `fairstack …` as a process."""
    environment = {
        "FAIRSTACK_BASE_URL": fake.base_url, "FAIRSTACK_API_KEY": API_KEY, "PYTHONPATH": str(SOURCES),
        "PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "120",
    }  # fmt: skip
    command = [sys.executable, "-m", "fairstack.cli", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)


def test_ctrl_c_leaves_the_job(fake: FakeFairStack, books: Books) -> None:
    """Ctrl-C ends the command at once, not the job, and says how to come back."""
    books.looks_until_done, books.retry_after = 1000, "30"
    with program(fake, "video", "A dog", "-o", "my clip.mp4", stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        while "processing" not in running.stderr.readline():
            assert running.poll() is None
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=10)
    job_id = next(iter(books.jobs))
    assert running.returncode == 130
    assert out == ""
    assert f"fairstack status {job_id} --wait -o 'my clip.mp4'" in err
    assert "Traceback" not in err
    assert books.of(f"/v1/jobs/{job_id}/cancel") == []


def test_terminal_sees_a_bar(fake: FakeFairStack, books: Books) -> None:
    """On a terminal a bar with the job's progress is drawn on stderr; stdout stays clean."""
    books.looks_until_done, books.retry_after = 2, "0"
    ours, theirs = pty.openpty()
    with program(fake, "video", "A dog", stderr=theirs) as running:
        out, _ = running.communicate(timeout=30)
    os.close(theirs)
    drawn = b""
    try:
        while chunk := os.read(ours, 65536):
            drawn += chunk
    except OSError:
        pass  # the other end is closed: all has been read
    os.close(ours)
    assert running.returncode == 0
    assert "50%" in drawn.decode()
    assert "processing" in drawn.decode()
    assert facts(out)["cost"] == "$0.00 (test money)"
    assert "\x1b" not in out


def test_server_commands_without_the_server(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operator commands of an install without the server say what to install, whatever their arguments."""
    monkeypatch.setattr("fairstack.cli.main._SERVER_NEEDS", ("no_such_package",))
    for name in OPERATOR_COMMANDS:
        code, out, err = run(name, "--port", "9000", "grant")
        assert (code, out) == (2, "")
        assert "pip install 'fairstack[server]'" in err
    shown = run("--help")[1]
    assert all(name in shown for name in (*CLIENT_COMMANDS, *OPERATOR_COMMANDS))


@pytest.mark.parametrize(
    ("text", "found"),
    [("0.05", 50_000), ("$1", 1_000_000), ("0.000001", 1), ("0", 0), (None, None)],
)
def test_dollars_are_exact(text: str | None, found: int | None) -> None:
    """Dollars become whole microdollars without rounding."""
    assert micros(text) == found


@pytest.mark.parametrize("text", ["0.0000001", "-1", "NaN", "Infinity", "five", ""])
def test_dollars_that_are_none(text: str) -> None:
    """What is not a whole number of microdollars is refused."""
    with pytest.raises(BadArgument, match="--max-cost is dollars"):
        micros(text)


def test_named_values() -> None:
    """NAME=VALUE keeps further equals signs; settings of models are read as JSON where they are JSON."""
    assert named_values("tag", ["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    assert json_values("option", ["a=[1]", "b=true", "c=x y"]) == {"a": [1], "b": True, "c": "x y"}
    assert named_values("tag", []) is None
