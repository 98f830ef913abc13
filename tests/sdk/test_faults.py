"""Whatever breaks on the way, one call is one job, and its caller gets the clip or the facts."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from fairstack import (
    ContentFiltered,
    InsufficientCredits,
    InternalError,
    ModelUnavailable,
    NotAuthenticated,
    RateLimited,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from tests.sdk.clocks import FakeClock
from tests.sdk.conftest import MakeClient
from tests.sdk.faces import done
from tests.sdk.fake_fairstack import API_KEY, Books, Fault

SUBMIT = "/v1/generations/video"
REQUEST = {"model": "wan-2-1-t2v", "prompt": "A dog"}
ONE_FAULT: list[Fault] = [
    "drop_before", "drop_after", "reset", "cut_body", "truncated_json", "429", "500", "502_page", "503",
    "408", "in_flight",
]  # fmt: skip


@pytest.mark.parametrize("fault", ONE_FAULT)
async def test_one_fault_is_one_job(client: Any, books: Books, fault: Fault) -> None:
    """After each fault of a submit the job is there, once, sent again with the same key and body."""
    books.faults.append((SUBMIT, fault))
    job = await done(client.generate.video(**REQUEST))
    assert list(books.jobs) == [job.id]
    first, second = books.submits()
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    assert (await done(job.wait())).cost.micro == 48_000


async def test_faults_in_a_row(client: Any, books: Books, clock: FakeClock) -> None:
    """Four faults in a row are outlived, with pauses between the tries."""
    faults: list[Fault] = ["drop_after", "500", "reset", "502_page"]
    books.faults.extend((SUBMIT, fault) for fault in faults)
    job = await done(client.generate.video(**REQUEST))
    assert list(books.jobs) == [job.id]
    assert len(clock.sleeps) == 4
    assert all(0 <= pause <= 8 for pause in clock.sleeps)


async def test_giving_up_tells_the_key(client: Any, books: Books) -> None:
    """A submit whose fate stays unknown raises with its key, by which sending again is safe."""
    books.faults.extend([(SUBMIT, "drop_after")] * 5)
    with pytest.raises(Unreachable) as caught:
        await done(client.generate.video(**REQUEST))
    key = caught.value.idempotency_key
    assert key is not None
    assert key in str(caught.value)
    job = await done(client.generate.video(**REQUEST, idempotency_key=key))
    assert list(books.jobs) == [job.id]


async def test_two_calls_are_two_jobs(client: Any, books: Books) -> None:
    """Each call has a key of its own, so two equal calls are two jobs."""
    await done(client.generate.video(**REQUEST))
    await done(client.generate.video(**REQUEST))
    assert len(books.jobs) == 2


async def test_retry_after_is_kept(client: Any, books: Books, clock: FakeClock) -> None:
    """After 429 the client stays away for as long as it was told."""
    books.faults.append((SUBMIT, "429"))
    await done(client.generate.video(**REQUEST))
    (pause,) = clock.sleeps
    assert 3 <= pause <= 4


@pytest.mark.parametrize(
    ("request_", "error", "code"),
    [
        ({"model": "veo-3", "prompt": "A dog"}, ModelUnavailable, "model_unavailable"),
        ({"model": "wan-2-1-t2v", "prompt": "test:content_filtered"}, ContentFiltered, "content_filtered"),
    ],
)
async def test_refusals_are_not_repeated(
    client: Any, books: Books, request_: dict[str, str], error: type[Exception], code: str
) -> None:
    """A refusal that will not change is raised at once: one request, no pause."""
    with pytest.raises(error) as caught:
        await done(client.generate.video(**request_))
    assert getattr(caught.value, "code", None) == code
    assert len(books.submits()) == 1


async def test_no_money(client: Any, books: Books) -> None:
    """Too little money is refused with the amounts, and nothing is made."""
    books.balance_micros = 10_000
    with pytest.raises(InsufficientCredits, match=r"\$0\.048.*\$0\.01") as caught:
        await done(client.generate.video(**REQUEST))
    assert (caught.value.status, caught.value.request_id) == (402, "req_fake")
    assert books.jobs == {}


async def test_no_retries_when_told_so(make_client: MakeClient, books: Books) -> None:
    """With max_retries=0 each call is sent once."""
    client = make_client(max_retries=0)
    for fault, error in [("500", InternalError), ("429", RateLimited), ("502_page", Unavailable)]:
        books.faults.append((SUBMIT, fault))  # type: ignore[arg-type]  # a Fault each
        with pytest.raises(error):
            await done(client.generate.video(**REQUEST))
    assert len(books.submits()) == 3
    assert books.jobs == {}


async def test_page_instead_of_an_answer(client: Any, books: Books) -> None:
    """A web page with status 200 is not taken for an answer, and the base URL is doubted."""
    books.faults.append(("/v1/models", "200_page"))
    with pytest.raises(UnexpectedAnswer, match="Is it the address of a FairStack server"):
        await done(client.models.list())


async def test_redirect_is_not_followed(client: Any, books: Books) -> None:
    """A redirect is reported, not followed: the key goes nowhere else."""
    books.faults.append(("/v1/credits", "302"))
    with pytest.raises(UnexpectedAnswer, match=r"https://elsewhere\.example/"):
        await done(client.credits.get())


async def test_no_server(make_client: MakeClient, clock: FakeClock) -> None:
    """Where nothing listens, the error names the address and how to start the server."""
    client = make_client(base_url="http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9.*fairstack serve"):
        await done(client.credits.get())
    assert len(clock.sleeps) == 4


async def test_silent_server(make_client: MakeClient, books: Books) -> None:
    """A server that never answers is left after the timeout; the message says that it was the timeout."""
    client = make_client(timeout=0.05, max_retries=0)
    books.faults.append(("/v1/credits", "no_answer"))
    with pytest.raises(Unreachable, match="timeout"):
        await done(client.credits.get())


async def test_making_a_key_is_not_repeated_blindly(client: Any, books: Books) -> None:
    """A key whose making may have happened is not asked for again: it would be made twice."""
    books.faults.append(("/v1/api-keys", "drop_after"))
    with pytest.raises(Unreachable):
        await done(client.api_keys.create("ci"))
    assert len(books.keys) == 1


async def test_keys_stay_secret(
    make_client: MakeClient, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is in no repr, no log and no error, and goes to the API alone."""
    caplog.set_level(logging.DEBUG)
    client = make_client()
    books.faults.append((SUBMIT, "500"))
    job = await done(client.generate.video(**REQUEST))
    result = await done(job.wait())
    wrong = make_client(api_key="fs_live_wrong_key_0123456789")
    with pytest.raises(NotAuthenticated) as caught:
        await done(wrong.credits.get())
    seen = [client, client.generate, client._runner.connection, job, result, caught.value, caplog.text]
    for text in (repr(vars(caught.value)), *map(repr, seen), *map(str, seen)):
        assert API_KEY not in text
        assert "wrong_key" not in text
        assert "A dog" not in text
    assert "retry 1 of POST" in caplog.text


async def test_who_calls(client: Any, books: Books) -> None:
    """Every request says which client it is from."""
    await done(client.credits.get())
    agent = books.asked[-1].headers["user-agent"]
    assert agent.startswith("fairstack-python/0.1.0 python/3.")
