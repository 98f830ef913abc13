"""Idempotency keys: one job per key, the same bytes again, nothing used up by a refusal."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

from fairstack_server.db.dsn import Dsn
from tests.gateway.pictures import PHOTO, data_url
from tests.gateway.running import VIDEO, Answer, Running, running_gateway
from tests.upstreams.openai_videos import FakeOpenAIVideos

#: Refused by the stand-in provider at once: the cheapest whole job.
SHORT: dict[str, Any] = {"model": "wan-2-1-t2v", "prompt": "test:refused"}


async def send(gateway: Running, key: str, body: Any, *, api_key: str | None = None) -> Answer:
    """POST a body under an idempotency key, with the test key unless told otherwise."""
    used = gateway.keys.test if api_key is None else api_key
    return await gateway.call("POST", VIDEO, body, key=used, headers={"Idempotency-Key": key})


async def jobs_of(gateway: Running, key: str) -> int:
    """How many jobs the owner of an API key has."""
    return len((await gateway.call("GET", "/v1/jobs?limit=100", key=key)).json["items"])


async def test_a_replay_is_the_same_bytes(gateway: Running) -> None:
    """The same key and body answer the first answer's bytes, marked as a replay, before and after the end."""
    first = await send(gateway, "replay", SHORT)
    again = await send(gateway, "replay", SHORT)
    await gateway.wait(first.json["id"], key=gateway.keys.test)
    later = await send(gateway, "replay", SHORT)
    for replay in (again, later):
        assert (replay.status, replay.body) == (202, first.body)
        assert replay.headers["Idempotent-Replayed"] == "true"
        assert replay.headers["Location"] == first.headers["Location"] == f"/v1/jobs/{first.json['id']}"
    assert "Idempotent-Replayed" not in first.headers


async def test_the_order_of_fields_and_spaces_do_not_matter(gateway: Running) -> None:
    """The same fields in another order and with other spaces are the same request."""
    first = await send(gateway, "order", {**SHORT, "tags": {"a": "1", "b": "2"}})
    text = '{ "tags": {"b":"2", "a":"1"},\n "prompt": "test:\\u0072efused", "model": "wan-2-1-t2v" }'
    again = await send(gateway, "order", text.encode())
    assert (again.status, again.body) == (202, first.body)


async def test_another_body_under_the_key_is_refused(gateway: Running) -> None:
    """Any other body under the key is 422, and the first job stays what it was."""
    first = await send(gateway, "other", SHORT)
    for other in ({**SHORT, "seed": 1}, {**SHORT, "prompt": "test:refused "}, {**SHORT, "duration": 5}):
        answer = await send(gateway, "other", other)
        assert (answer.status, answer.json["error"]["code"]) == (422, "idempotency_key_reused")
    assert (await send(gateway, "other", SHORT)).body == first.body


async def test_64_racing_requests_are_one_job(gateway: Running) -> None:
    """64 equal requests at once make one job and one hold; each is answered that job or told to come back."""
    live, test = await gateway.other_account()
    answers = await asyncio.gather(
        *(send(gateway, "race", {**SHORT, "prompt": "test:slow 600"}, api_key=test) for _ in range(64))
    )
    assert set(Counter(answer.status for answer in answers)) <= {202, 409}
    bodies = {answer.body for answer in answers if answer.status == 202}
    assert len(bodies) == 1
    for answer in answers:
        if answer.status == 409:
            assert answer.json["error"]["code"] == "idempotency_in_flight"
            assert answer.headers["Retry-After"] == "1"
    assert (await send(gateway, "race", {**SHORT, "prompt": "test:slow 600"}, api_key=test)).body in bodies
    assert await jobs_of(gateway, test) == 1
    assert await gateway.money(key=test) == (100_000_000 - 48_000, 48_000)
    assert await jobs_of(gateway, live) == 0


async def test_64_racing_keys_are_64_jobs(gateway: Running) -> None:
    """Different keys do not meet: as many jobs and holds as keys."""
    _, test = await gateway.other_account()
    answers = await asyncio.gather(
        *(send(gateway, f"race-{n}", {**SHORT, "prompt": "test:slow 600"}, api_key=test) for n in range(64))
    )
    assert {answer.status for answer in answers} == {202}
    assert len({answer.json["id"] for answer in answers}) == 64
    assert await gateway.money(key=test) == (100_000_000 - 64 * 48_000, 64 * 48_000)


async def test_a_refusal_uses_no_key_up(database: Dsn, home: Path) -> None:
    """A 402 leaves the key free: with money the same request is taken; a replay then needs none."""
    async with (
        FakeOpenAIVideos() as engine,
        running_gateway(
            database, home, works=False, OPENAI_VIDEOS_URL=engine.base_url, OPENAI_VIDEOS_KEY=engine.key
        ) as gateway,
    ):
        live = gateway.keys.live
        refused = await send(gateway, "poor", SHORT, api_key=live)
        assert (refused.status, refused.json["error"]["code"]) == (402, "insufficient_credits")
        await gateway.grant(48_000)
        taken = await send(gateway, "poor", SHORT, api_key=live)
        assert taken.status == 202
        assert await gateway.money() == (0, 48_000)
        again = await send(gateway, "poor", SHORT, api_key=live)
        assert (again.status, again.body) == (202, taken.body)
        assert await gateway.money() == (0, 48_000)


async def test_a_bad_request_uses_no_key_up(gateway: Running) -> None:
    """A 400 leaves the key free for the request that was meant."""
    assert (await send(gateway, "typo", {**SHORT, "duration": 999})).status == 400
    assert (await send(gateway, "typo", SHORT)).status == 202


async def test_an_estimate_uses_no_key_up(gateway: Running) -> None:
    """`confirm: false` neither takes nor looks at the key."""
    estimate = {**SHORT, "confirm": False}
    for _ in range(2):
        answer = await send(gateway, "estimate", estimate)
        assert (answer.status, list(answer.json)) == (200, ["estimated_cost"])
        assert "Idempotent-Replayed" not in answer.headers
    assert (await send(gateway, "estimate", SHORT)).status == 202
    assert (await send(gateway, "estimate", estimate)).status == 200


async def test_a_replay_is_answered_before_anything_is_looked_at(gateway: Running) -> None:
    """A replay needs neither its image nor a valid catalog any more: the first answer stands."""
    headers = {"Content-Type": "image/png"}
    file = (await gateway.call("POST", "/v1/files", PHOTO, key=gateway.keys.test, headers=headers)).json["id"]
    body = {"model": "kling-2-1-std-i2v", "prompt": "test:refused", "image": file}
    first = await send(gateway, "image", body)
    assert first.status == 202, first.body
    assert (await gateway.call("DELETE", f"/v1/files/{file}", key=gateway.keys.test)).status == 204
    assert (await send(gateway, "image", body)).body == first.body
    assert (await send(gateway, "no-image", body)).status == 400


async def test_a_race_with_pictures_leaves_no_files_over(gateway: Running) -> None:
    """Of racing requests with a picture, only the one that became the job has a copy of it in the store."""
    _, test = await gateway.other_account()
    media = gateway.gateway.settings.home / "media" / "image"
    before = set(media.rglob("*.png")) if media.exists() else set()
    body = {"model": "kling-2-1-std-i2v", "prompt": "test:slow 600", "image": data_url(PHOTO)}
    answers = await asyncio.gather(*(send(gateway, "pictures", body, api_key=test) for _ in range(8)))
    assert {answer.status for answer in answers} <= {202, 409}
    assert len(set(media.rglob("*.png")) - before) == 1


async def test_keys_are_of_one_account_and_mode(gateway: Running) -> None:
    """The same key of another account, or with the other mode, is another key."""
    one, other = (await gateway.other_account())[1], (await gateway.other_account())[1]
    first = await send(gateway, "scope", SHORT, api_key=one)
    second = await send(gateway, "scope", {**SHORT, "seed": 2}, api_key=other)
    assert (first.status, second.status) == (202, 202)
    live = await send(gateway, "scope", {**SHORT, "seed": 3}, api_key=gateway.keys.live)
    assert live.status == 503  # its own key: not the replay of a test job, and not its 422 either


async def test_another_key_of_the_account_sees_the_same(gateway: Running) -> None:
    """Idempotency belongs to the account: its second API key of the mode gets the replay."""
    first = await send(gateway, "second-key", SHORT)
    second = await gateway.key("generate", mode="test")
    again = await send(gateway, "second-key", json.dumps(SHORT).encode(), api_key=second)
    assert (again.status, again.body) == (202, first.body)
