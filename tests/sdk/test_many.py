"""Many clips at once: in order, each ordered once, none lost for the others' sake, nor when one leaves."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fairstack import BadArgument, FairStackError, GenerationFailed, UnknownModel, VideoRequest, WaitTimeout
from tests.sdk.faces import done
from tests.sdk.fake_fairstack import API_KEY, Books, FakeFairStack

SOURCES = Path(__file__).parents[2] / "src"
MODEL = "wan-2-1-t2v"


def orders(*prompts: str) -> list[VideoRequest]:
    """Requests that differ in their prompts."""
    return [{"model": MODEL, "prompt": prompt} for prompt in prompts]


async def test_results_are_in_the_order_of_the_requests(client: Any, books: Books) -> None:
    """Each request gives its own result at its own place, ordered once and with a key of its own."""
    prompts = [f"Take {number}" for number in range(9)]
    results = await done(client.generate.many(orders(*prompts), concurrency=3))
    assert [books.jobs[result.id]["prompt"] for result in results] == prompts
    assert {str(result.cost) for result in results} == {"$0.048"}
    keys = {asked.headers["idempotency-key"] for asked in books.submits()}
    assert (len(books.submits()), len(keys)) == (9, 9)


async def test_so_many_at_a_time(client: Any, books: Books) -> None:
    """As many jobs are under way as `concurrency` says, and no more: the next is sent when one has ended."""
    books.looks_until_done = 10_000
    seen: set[int] = set()

    def watch(job: Any, index: int) -> None:
        seen.add(index)
        if {0, 1, 2} <= seen:
            books.looks_until_done = 1  # the three were under way together; now they may end

    results = await done(client.generate.many(orders(*"abcdefg"), concurrency=3, on_progress=watch))
    assert [result.status for result in results] == ["completed"] * 7
    assert seen == set(range(7))
    last_looks = {
        asked.path.removeprefix("/v1/jobs/"): place for place, asked in enumerate(books.asked)
    }  # a job is not looked at again when it has ended
    for number, asked in enumerate(books.submits()):
        before = books.asked.index(asked)
        ended = [job for job in books.jobs if last_looks[job] < before]
        assert number - len(ended) < 3


async def test_a_failure_is_a_value(client: Any, books: Books) -> None:
    """What fails gives its error at its place, with the facts in it, and the others their results."""
    requests = orders("A dog", "test:fail", "A cat")
    requests.insert(1, {"model": "wan-2-1-t2w", "prompt": "A dog"})
    dog, unknown, failed, cat = await done(client.generate.many(requests))
    assert (dog.status, cat.status) == ("completed", "completed")
    assert isinstance(unknown, UnknownModel)
    assert isinstance(failed, GenerationFailed)
    assert books.jobs[str(failed.job_id)]["prompt"] == "test:fail"


async def test_a_wait_that_is_over_is_a_value(client: Any, books: Books) -> None:
    """`timeout` is each job's own; the error at its place names the job, which goes on."""
    books.looks_until_done = 1000
    outcomes = await done(client.generate.many(orders("A dog", "A cat"), timeout=5))
    assert all(isinstance(outcome, WaitTimeout) for outcome in outcomes)
    assert sorted(outcome.job_id for outcome in outcomes) == sorted(books.jobs)


async def test_faults_make_no_second_job(client: Any, books: Books) -> None:
    """Lost answers are asked for again with the same key: as many jobs as requests."""
    books.faults.extend([("/v1/generations/video", "drop_after"), ("/v1/generations/video", "reset")])
    results = await done(client.generate.many(orders("A dog", "A cat", "A cow")))
    assert sorted(result.id for result in results) == sorted(books.jobs)
    assert (len(books.jobs), len(books.submits())) == (3, 5)


async def test_own_keys_make_a_repeat_safe(client: Any, books: Books) -> None:
    """A request may have its own idempotency key: the same list again makes no further job."""
    requests: list[VideoRequest] = [
        {"model": MODEL, "prompt": prompt, "idempotency_key": f"order-{prompt}"} for prompt in "ab"
    ]
    first = await done(client.generate.many(requests))
    again = await done(client.generate.many(requests))
    assert [result.id for result in first] == [result.id for result in again]
    assert len(books.jobs) == 2


async def test_no_requests(client: Any, books: Books) -> None:
    """Nothing asked for is nothing made."""
    assert await done(client.generate.many([])) == []
    assert books.asked == []


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"durration": 5}, TypeError), ({"prompt": ...}, TypeError), ({}, BadArgument)],
    ids=["misspelt option", "no prompt", "no concurrency"],
)
async def test_a_wrong_call_sends_nothing(
    client: Any, books: Books, wrong: dict[str, Any], error: type[Exception]
) -> None:
    """A mistake of the program is raised before the first request is sent, not found at its end."""
    request = {"model": MODEL, "prompt": "A cat"} | wrong
    request = {name: value for name, value in request.items() if value is not ...}
    with pytest.raises(error):
        await done(client.generate.many([*orders("A dog"), request], concurrency=4 if wrong else 0))
    assert books.asked == []


async def test_a_callback_that_raises(client: Any, books: Books) -> None:
    """What the caller's own callback raises ends the call, with notes of the jobs that go on."""
    books.looks_until_done = 10_000
    looks = count(1)

    def bad(job: Any, index: int) -> None:
        if next(looks) == 3:
            raise KeyError("a bug of the caller")

    with pytest.raises(KeyError) as caught:
        await done(client.generate.many(orders(*"abcd"), concurrency=2, on_progress=bad))
    going, again, unsent = caught.value.__notes__
    ids = re.findall(r"job_\d+", going)
    assert len(books.submits()) == len(ids) == 2
    assert set(ids) == set(books.jobs)
    assert f'client.jobs.get("{ids[0]}").wait()' in again
    assert unsent == "Orders not sent: 2"


INTERRUPTED = {
    "sync": "FairStack().generate.many(orders, concurrency=2, on_progress=say)",
    "async": "asyncio.run(main())",
}
PROGRAM = """
import asyncio
from fairstack import AsyncFairStack, FairStack
orders = [{"model": "wan-2-1-t2v", "prompt": f"Take {n}"} for n in range(5)]
seen = set()
def say(job, index):
    seen.add(index)
    if len(seen) == 2:
        print("two are under way", flush=True)
async def main():
    await AsyncFairStack().generate.many(orders, concurrency=2, on_progress=say)
"""


@pytest.mark.parametrize("face", INTERRUPTED)
def test_ctrl_c_names_what_goes_on(fake: FakeFairStack, books: Books, face: str) -> None:
    """Ctrl-C ends the program at once, and its last words name every job that runs on and is paid for."""
    books.looks_until_done = 10_000
    environment = os.environ | {
        "FAIRSTACK_BASE_URL": fake.base_url, "FAIRSTACK_API_KEY": API_KEY, "PYTHONPATH": str(SOURCES),
    }  # fmt: skip
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM + INTERRUPTED[face]],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == "two are under way\n"
        program.send_signal(signal.SIGINT)
        _, complaint = program.communicate(timeout=20)
    assert program.returncode in (130, -signal.SIGINT, 1)
    assert "KeyboardInterrupt" in complaint
    assert len(books.jobs) == 2
    (note,) = [line for line in complaint.splitlines() if "These jobs go on" in line]
    assert set(re.findall(r"job_\d+", note)) == set(books.jobs)
    assert "Orders not sent: 3" in complaint


class Terminal(io.StringIO):
    """What somebody would see who sits before it."""

    def isatty(self) -> bool:
        return True


async def test_one_bar_on_a_terminal(client: Any, books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal shows one bar for all, failures counted; with the flag off, nothing."""
    monkeypatch.setenv("TERM", "xterm")
    for wanted in (True, False):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        await done(client.generate.many(orders("A dog", "test:fail", "A cat"), progress_bar=wanted))
        assert ("2 of 3 clips, 1 failed" in terminal.getvalue()) is wanted
    assert terminal.getvalue() == ""


async def test_nothing_is_drawn_for_nobody(client: Any, capfd: pytest.CaptureFixture[str]) -> None:
    """Where the output is a file or a pipe, nothing is drawn."""
    await done(client.generate.many(orders("A dog")))
    assert capfd.readouterr() == ("", "")


async def test_one_bar_in_a_notebook(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook one HTML bar is shown and brought up to date, by IPython's own display protocol."""
    shown: list[Any] = []
    handle = SimpleNamespace(update=shown.append)

    def display(picture: Any, *, display_id: bool) -> Any:
        assert display_id
        shown.append(picture)
        return handle

    notebook: Any = ModuleType("IPython")
    notebook.get_ipython = lambda: SimpleNamespace(kernel=object())
    notebook.display = SimpleNamespace(display=display)
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    await done(client.generate.many(orders("A dog", "A cat")))
    assert shown[-1]._repr_html_() == '<progress max="2" value="2.00"></progress> 2 of 2 clips'
    assert repr(shown[-1]) == "2 of 2 clips"


def test_outcomes_are_told_apart_by_type(fake: FakeFairStack) -> None:
    """The documented way to read the outcomes: a FairStackError is an error, anything else a result."""
    from fairstack import FairStack, Result

    with FairStack(API_KEY, fake.base_url) as client:
        outcomes = client.generate.many(orders("A dog", "test:fail"))
    errors = [outcome for outcome in outcomes if isinstance(outcome, FairStackError)]
    results = [outcome.url for outcome in outcomes if isinstance(outcome, Result)]
    assert (len(errors), len(results)) == (1, 1)
