"""Vertex AI: where tokens come from, and clips that come inside an answer."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fairstack_server.clock import SystemClock
from fairstack_server.providers.base import InputFile, Order, Pending, ProviderError, Submission, Succeeded
from fairstack_server.providers.google import Google, VertexPlace
from fairstack_server.providers.google_token import GivenToken, ServiceAccount, ServiceAccountTokens
from fairstack_server.providers.http import Sessions
from fairstack_server.providers.inline_clip import InlineClip
from tests.providers.makers import ManualClock
from tests.upstreams.clip import clip_bytes
from tests.upstreams.upstream import Script
from tests.upstreams.vertex import FakeVertex

ORDER = Order(
    nonce="n",
    model="veo-3",
    endpoint="veo-3.0-generate-001",
    prompt="a wave",
    duration_seconds=4.0,
    field_map={
        "prompt": "instances[0].prompt",
        "image": "instances[0].image",
        "images": "instances[0].referenceImages",
        "duration": "parameters.durationSeconds",
    },
)


def _google(sessions: Sessions, fake: FakeVertex, folder: Path, *, bucket: str | None = None) -> Google:
    place = VertexPlace("demo", bucket=bucket, address=fake.base_url)
    return Google(sessions, place, GivenToken(fake.key), folder, SystemClock())


def _account(fake: FakeVertex, folder: Path) -> ServiceAccount:
    return ServiceAccount.read(fake.write_credentials(folder / "account.json"))


async def _poll(google: Google) -> object:
    taken = await google.submit(ORDER)
    assert isinstance(taken, Submission)
    return await google.poll(taken.ref)


async def test_an_inline_clip_becomes_a_file(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path
) -> None:
    """Without a bucket the clip lies whole in our folder, and nothing else does."""
    done = await _poll(_google(sessions, fake_vertex, tmp_path / "google"))
    assert isinstance(done, Succeeded) and done.clip.url is None and done.clip.path is not None
    assert Path(done.clip.path).read_bytes() == clip_bytes(seconds=4.0)
    assert [str(path) for path in (tmp_path / "google").iterdir()] == [done.clip.path]


async def test_a_cut_off_inline_clip_leaves_nothing(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path
) -> None:
    """An answer that breaks off is a broken call; no part of the clip stays, and the next poll brings it."""
    google = _google(sessions, fake_vertex, tmp_path / "google")
    taken = await google.submit(ORDER)
    assert isinstance(taken, Submission)
    fake_vertex.faults.add("truncate", on="status")
    with pytest.raises(ProviderError):
        await google.poll(taken.ref)
    assert list((tmp_path / "google").iterdir()) == []
    assert isinstance(await google.poll(taken.ref), Succeeded)


async def test_two_polls_at_a_time_do_not_mix(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path
) -> None:
    """Two workers that read the same clip at the same time both find it whole."""
    google = _google(sessions, fake_vertex, tmp_path)
    taken = await google.submit(ORDER)
    assert isinstance(taken, Submission)
    for done in await asyncio.gather(google.poll(taken.ref), google.poll(taken.ref)):
        assert isinstance(done, Succeeded) and done.clip.path is not None
        assert Path(done.clip.path).read_bytes() == clip_bytes(seconds=4.0)


async def test_images_are_objects_and_references_say_what_they_are(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path
) -> None:
    """Every image is sent inline with its type, even where it has a URL: Vertex fetches none."""
    path = tmp_path / "image.png"
    path.write_bytes(b"\x89PNG")
    image = InputFile("image/png", "ab", str(path), "https://gate.example/f/cat.png")
    other = InputFile("image/webp", "cd", str(path))
    google = _google(sessions, fake_vertex, tmp_path)
    order = replace(ORDER, image=image)
    assert isinstance(await google.submit(order), Submission)
    order = replace(ORDER, images=(image, other))
    assert isinstance(await google.submit(order), Submission)
    first, second = (call.body["instances"][0] for call in fake_vertex.log.submits)
    inline = {"bytesBase64Encoded": base64.b64encode(b"\x89PNG").decode(), "mimeType": "image/png"}
    assert first["image"] == inline
    assert second["referenceImages"] == [
        {"image": inline, "referenceType": "asset"},
        {"image": inline | {"mimeType": "image/webp"}, "referenceType": "asset"},
    ]


async def test_a_service_account_gets_one_token_for_many_calls(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path
) -> None:
    """The token is asked for once, by a signed assertion that the strict stand-in takes, and then kept."""
    tokens = ServiceAccountTokens(sessions, _account(fake_vertex, tmp_path), SystemClock())
    google = Google(
        sessions, VertexPlace("demo", address=fake_vertex.base_url), tokens, tmp_path, SystemClock()
    )
    fake_vertex.script = Script(render_polls=9)
    for pending in await asyncio.gather(*(_poll(google) for _ in range(5))):
        assert isinstance(pending, Pending)
    assert len(fake_vertex.log.of("keys")) == 1 and len(fake_vertex.tokens) == 1


async def test_a_token_is_renewed_before_it_ends(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path
) -> None:
    """Five minutes before its end a token is replaced, not earlier."""
    clock = ManualClock(SystemClock().now())
    tokens = ServiceAccountTokens(sessions, _account(fake_vertex, tmp_path), clock)
    first = await tokens.token()
    clock.ticks += 3599 - 301
    assert await tokens.token() == first
    clock.ticks += 2
    assert await tokens.token() != first


@pytest.mark.parametrize("kind", ["drop", "http_500", "page_502", "malformed"])
async def test_without_a_token_no_order_was_sent(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path, kind: str
) -> None:
    """When no token can be had, the order is certainly not sent, and the next try may bring one."""
    tokens = ServiceAccountTokens(sessions, _account(fake_vertex, tmp_path), SystemClock())
    place = VertexPlace("demo", address=fake_vertex.base_url)
    google = Google(sessions, place, tokens, tmp_path, SystemClock())
    fake_vertex.faults.add(kind, on="keys")  # type: ignore[arg-type]
    with pytest.raises(ProviderError) as caught:
        await google.submit(ORDER)
    assert (caught.value.sent, caught.value.permanent) == (False, False)
    assert fake_vertex.log.submits == []
    assert isinstance(await google.submit(ORDER), Submission)


async def test_a_refused_account_is_for_good(
    sessions: Sessions, fake_vertex: FakeVertex, tmp_path: Path
) -> None:
    """An account that Google does not know is the operator's to mend: the setting is named."""
    account = _account(fake_vertex, tmp_path)
    async with FakeVertex() as another:
        stranger = ServiceAccount(
            account.email, account.key_id, f"{another.base_url}/token", account.private_key
        )
        with pytest.raises(ProviderError, match="GOOGLE_APPLICATION_CREDENTIALS") as caught:
            await ServiceAccountTokens(sessions, stranger, SystemClock()).token()
    assert (caught.value.sent, caught.value.permanent) == (False, True)


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "authorized_user"}', None])
def test_a_key_file_that_is_none(tmp_path: Path, text: str | None) -> None:
    """What is no key file of a service account is refused by its path."""
    path = tmp_path / "account.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"account\.json"):
        ServiceAccount.read(path)


async def test_a_broken_private_key_is_never_repeated(fake_vertex: FakeVertex, tmp_path: Path) -> None:
    """The complaint about a key names the file and holds nothing of the key; nor does the account's repr."""
    path = fake_vertex.write_credentials(tmp_path / "account.json")
    account = ServiceAccount.read(path)
    assert "PRIVATE" not in repr(account) and "RSA" not in repr(account)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"private_key": "secret words"}))
    with pytest.raises(ValueError, match=r"account\.json") as caught:
        ServiceAccount.read(path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 4096])
@pytest.mark.parametrize("space", ["", " ", "  \n "])
def test_an_inline_clip_in_pieces(tmp_path: Path, size: int, space: str) -> None:
    """However the answer is cut into pieces, the clip and the rest of the JSON come out whole."""
    clip = bytes(range(256)) * 9 + b"x"
    text = base64.b64encode(clip).decode().replace("/", "\\/")
    told = (
        f'{{"done":true,"videos":[{{"bytesBase64Encoded"{space}:{space}"{text}","mimeType":"video/mp4"}}]}}'
    )
    answer = told.encode()
    with InlineClip("google", tmp_path / "clip.mp4", 10_000) as inline:
        rest = b"".join(inline.sift(answer[at : at + size]) for at in range(0, len(answer), size))
        assert json.loads(rest) == {
            "done": True,
            "videos": [{"bytesBase64Encoded": "", "mimeType": "video/mp4"}],
        }
        assert inline.keep().read_bytes() == clip
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize("text", ["AAAA*AAA", "A", "====", "AAAA" * 4000])
def test_what_is_no_clip_leaves_no_file(tmp_path: Path, text: str) -> None:
    """Base64 that cannot be read and a clip that is too large are broken answers without a trace."""
    with (
        pytest.raises(ProviderError) as caught,
        InlineClip("google", tmp_path / "clip.mp4", 10_000) as inline,
    ):
        inline.sift(f'{{"bytesBase64Encoded":"{text}"}}'.encode())
    assert caught.value.sent is True and list(tmp_path.iterdir()) == []


def test_without_a_clip_nothing_is_written(tmp_path: Path) -> None:
    """An answer without a clip goes through as it is."""
    with InlineClip("google", tmp_path / "folder" / "clip.mp4", 10) as inline:
        assert inline.sift(b'{"name":"x"') + inline.sift(b"}") == b'{"name":"x"}'
    assert list(tmp_path.iterdir()) == []
