"""Files that come with requests: fetched once, checked, re-encoded; after that only our copy is used."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import gcd
from typing import cast
from urllib.parse import urlsplit

from PIL import Image, ImageDraw

from fairstack_server.accounts.store import Caller
from fairstack_server.catalog.inputs import RecordingRole
from fairstack_server.catalog.request import VideoAsk
from fairstack_server.catalog.settled import Settled
from fairstack_server.egress import AddressRefused, Egress, judge_url
from fairstack_server.errors import BadRequest, NotFound, Unavailable
from fairstack_server.files import Files, store_image, store_recording
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.media.data_url import is_data_url
from fairstack_server.media.example_files import example_clip, example_sound
from fairstack_server.media.fetch import MediaFetch
from fairstack_server.media.fetch_recording import FetchedRecording, RecordingFetch, one_piece
from fairstack_server.media.pictures import CleanImage, ImageRefused
from fairstack_server.media.recordings import RecordingKind, RecordingRefused
from fairstack_server.media.store import MediaStore, NotStored, StoredFile
from fairstack_server.providers.base import Provider
from fairstack_server.providers.file_urls import largest_input_bytes

_IMAGE_ROLES = ("image", "end_image")
_KINDS: dict[RecordingRole, RecordingKind] = {"video": "clip", "audio_url": "sound"}
_EXAMPLES: dict[RecordingKind, Callable[[], bytes]] = {"clip": example_clip, "sound": example_sound}
#: Hosts reserved for documentation (RFC 2606). With a test key they stand for files of ours, so that the
#: documentation's examples run as they stand.
_EXAMPLE_HOSTS = frozenset({"example.com", "example.org", "example.net"})


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files of a request by role: clean pictures in memory, measured clips and sounds on disk."""

    pictures: tuple[tuple[str, CleanImage], ...]
    recordings: tuple[tuple[RecordingRole, FetchedRecording], ...] = ()

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of `image`, where the request has one."""
        for role, picture in self.pictures:
            if role == "image":
                return picture.width, picture.height
        return None

    def seconds_of(self, role: RecordingRole | None) -> Decimal | None:
        """Length of the clip or sound in that role, where the request has one."""
        return next((_seconds(recording) for found, recording in self.recordings if found == role), None)


class Inputs:
    """Takes the files of a request in."""

    def __init__(
        self,
        files: Files,
        media: MediaStore,
        fetch: MediaFetch,
        recordings: RecordingFetch,
        providers: Mapping[str, Provider],
        *,
        max_bytes: int,
        public: bool,
    ) -> None:
        self._files = files
        self._media = media
        self._fetch = fetch
        self._recordings = recordings
        self._providers = providers
        self._max_bytes = max_bytes
        self._public = public
        self._examples: dict[RecordingKind, bytes] = {}

    def check(self, ask: VideoAsk) -> None:
        """Raise BadRequest for an address that may not be fetched; fetches nothing."""
        for role, source in [*_pictures(ask), *_recordings(ask)]:
            if is_data_url(source) or source.startswith("file_") or self._media.key_of(source):
                continue
            try:
                judge_url(source, https_only=True)
            except AddressRefused as refused:
                raise _refused(
                    role, "it must be an https URL of a public host, a data: URL or a file id"
                ) from refused

    @contextlib.asynccontextmanager
    async def fetch(self, caller: Caller, ask: VideoAsk) -> AsyncIterator[Fetched]:
        """Our copies of every file of the request, for the block.

        Raises BadRequest `image_refused` with the field.
        """
        found, wanted = _pictures(ask), _recordings(ask)
        if not found and not wanted:
            yield Fetched(())
            return
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._files.turn(caller))
            pictures = [(role, await self._picture(caller, role, source)) for role, source in found]
            recordings = [
                (role, await stack.enter_async_context(self._recording(caller, role, source)))
                for role, source in wanted
            ]
            yield Fetched(tuple(pictures), tuple(recordings))

    async def measure(self, caller: Caller, ask: VideoAsk, role: RecordingRole) -> Decimal:
        """Seconds of the clip or sound in that role; nothing is kept. Raises BadRequest `image_refused`."""
        source = dict(_recordings(ask))[role]
        async with self._files.turn(caller), self._recording(caller, role, source) as recording:
            return _seconds(recording)

    def check_reach(self, fetched: Fetched, providers: Collection[str]) -> None:
        """Raise Unavailable for a clip or sound that cannot be brought to any of these providers.

        Where it can be brought to some, an order that another one cannot be given goes to them.
        """
        limits = {
            name: largest_input_bytes(self._providers.get(name), has_url=self._public) for name in providers
        }
        short = {name: limit for name, limit in limits.items() if limit is not None}
        if not short or len(short) < len(limits):
            return
        largest = max(short.values())
        for role, recording in fetched.recordings:
            if recording.bytes > largest:
                raise self._too_large(role, recording.bytes, largest, sorted(short))

    def _too_large(self, role: str, size: int, largest: int, providers: list[str]) -> Unavailable:
        """What to do about a clip or sound that fits into no order."""
        helped = [
            name for name in providers if largest_input_bytes(self._providers.get(name), has_url=True) is None
        ]
        if helped and not self._public:
            said = (
                f"{', '.join(helped)} must fetch a file of more than {largest} bytes from this server, which "
                "has no public address. Send a smaller file, or set FAIRSTACK_PUBLIC_URL on the server."
            )
        else:
            said = f"{', '.join(providers)} takes at most {largest}. Send a smaller file."
        return Unavailable(
            f"{role!r} has {size} bytes: {said}",
            code="model_unavailable",
            param=role,
            allowed={"max_bytes": largest},
        )

    async def keep(self, fetched: Fetched, settled: Settled) -> JSONObject:
        """Role -> stored file, brought to the asked ratio where the model's routes take none."""
        kept: JSONObject = {}
        try:
            for word, recording in fetched.recordings:
                kept[word] = self._handed_out(await store_recording(self._media, recording))
            for role, picture in fetched.pictures:
                stored = await self._keep_one(picture, _ratio(settled))
                if role == "images":
                    kept["images"] = [*cast(list[JSON], kept.get("images", [])), stored]
                else:
                    kept[role] = stored
        except BaseException:
            await self.drop(kept)
            raise
        return kept

    async def drop(self, inputs: JSONObject) -> None:
        """Forget files that were taken for a request which was then refused."""
        for stored in inputs.values():
            for each in stored if isinstance(stored, list) else [stored]:
                await self._media.delete(str(cast(JSONObject, each)["key"]))

    async def _keep_one(self, picture: CleanImage, ratio: tuple[int, int] | None) -> JSONObject:
        if ratio is not None:
            picture = await self._fetch.clean_image(picture.data, picture.content_type, crop_ratio=ratio)
        return self._handed_out(await store_image(self._media, picture))

    def _handed_out(self, stored: JSONObject) -> JSONObject:
        return {**stored, "public_url": stored["url"] if self._public else None}

    async def _picture(self, caller: Caller, role: str, source: str) -> CleanImage:
        try:
            own = await self._own_file(caller, role, source, self._max_bytes)
            if own is not None:
                return await self._fetch.clean_image(await self._media.read(own.key), own.content_type)
            if _is_example(caller, source):
                data = await asyncio.to_thread(example_picture)
                return await self._fetch.clean_image(data, "image/png")
            return await self._fetch.fetch_image(source)
        except ImageRefused as refused:
            raise _refused(role, str(refused)) from refused

    @contextlib.asynccontextmanager
    async def _recording(
        self, caller: Caller, role: RecordingRole, source: str
    ) -> AsyncIterator[FetchedRecording]:
        kind = _KINDS[role]
        try:
            async with contextlib.AsyncExitStack() as stack:
                own = await self._own_file(caller, role, source, self._recordings.max_bytes)
                if own is not None:
                    content = self._media.open_range(own.key, 0, own.bytes)
                    taking = self._recordings.taken(content, own.content_type, kind)
                elif _is_example(caller, source):
                    taking = self._recordings.taken(one_piece(await self._example(kind)), "", kind)
                else:
                    taking = self._recordings.fetched(source, kind)
                yield await stack.enter_async_context(taking)
        except RecordingRefused as refused:
            raise _refused(role, str(refused)) from refused

    async def _example(self, kind: RecordingKind) -> bytes:
        if kind not in self._examples:
            self._examples[kind] = await asyncio.to_thread(_EXAMPLES[kind])
        return self._examples[kind]

    async def _own_file(self, caller: Caller, role: str, source: str, max_bytes: int) -> StoredFile | None:
        """A file that lies in our store: named by its id or by our own media URL."""
        if source.startswith("file_"):
            try:
                key = await self._files.media_key(caller, source)
            except NotFound as missing:
                raise _refused(role, "there is no file of that id; upload it: POST /v1/files") from missing
        else:
            named = self._media.key_of(source)
            if named is None:
                return None
            key = named
        try:
            stored = await self._media.head(key)
        except NotStored as missing:
            raise _refused(role, "there is no such file here") from missing
        # A clip of ours has such a URL too, and may be larger than what is taken in this role.
        if stored.bytes > max_bytes:
            raise _refused(role, f"it is larger than {max_bytes} bytes")
        return stored


class WebhookGate:
    """Says whether a webhook URL may be called."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def judge(self, url: str) -> None:
        """Raise BadRequest `webhook_url_refused`; a name that does not resolve yet passes."""
        try:
            await self._egress.check_webhook(url)
        except AddressRefused as refused:
            raise BadRequest(
                "The webhook_url may not be called: it must be an http or https URL of a public host. "
                "For development receivers set FAIRSTACK_WEBHOOK_ALLOW=host:port.",
                code="webhook_url_refused",
                param="webhook_url",
            ) from refused


def example_picture() -> bytes:
    """The picture behind documentation URLs in the sandbox: hills under a low sun."""
    picture = Image.new("RGB", (1280, 720))
    draw = ImageDraw.Draw(picture)
    for y in range(720):
        draw.line([(0, y), (1280, y)], fill=(250 - y // 6, 190 - y // 5, 150 - y // 12))
    draw.ellipse([780, 250, 940, 410], fill=(255, 236, 190))
    draw.polygon([(0, 720), (0, 520), (360, 400), (760, 560), (1280, 430), (1280, 720)], fill=(70, 80, 96))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _pictures(ask: VideoAsk) -> list[tuple[str, str]]:
    found = [(role, source) for role in _IMAGE_ROLES if isinstance(source := getattr(ask, role), str)]
    if isinstance(ask.images, list | tuple):
        found += [("images", str(source)) for source in ask.images]
    return found


def _recordings(ask: VideoAsk) -> list[tuple[RecordingRole, str]]:
    return [(role, source) for role in _KINDS if isinstance(source := getattr(ask, role), str)]


def _is_example(caller: Caller, source: str) -> bool:
    return caller.mode == "test" and urlsplit(source).hostname in _EXAMPLE_HOSTS


def _seconds(recording: FetchedRecording) -> Decimal:
    return Decimal(recording.facts.milliseconds) / 1000


def _ratio(settled: Settled) -> tuple[int, int] | None:
    if not settled.reframe:
        return None
    if settled.width is None or settled.height is None:
        return _named_ratio(settled.aspect_ratio)
    common = gcd(settled.width, settled.height)
    return settled.width // common, settled.height // common


def _named_ratio(ratio: str | None) -> tuple[int, int] | None:
    """`16:9` as two numbers; None for a word such as `auto`."""
    across, _, down = (ratio or "").partition(":")
    return (int(across), int(down)) if across.isdecimal() and down.isdecimal() else None


def _refused(role: str, reason: str) -> BadRequest:
    return BadRequest(f"{role!r} was refused: {reason}.", code="image_refused", param=role)
