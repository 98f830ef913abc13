"""Bringing a provider's clip into our store: fetch, check, sign, store, judge. The file is the truth."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog
from obstore.exceptions import BaseError

from fairstack_server.egress import Egress
from fairstack_server.ids import random_base62
from fairstack_server.jobs.job import Attempt, Completion, Job
from fairstack_server.jobs.ports import ClipFiltered, NotAClip
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.leftovers import DAY, Leftovers
from fairstack_server.media.fetch import ClipRefused, FetchedClip, MediaFetch, check_clip
from fairstack_server.media.poster import PosterMaker
from fairstack_server.media.provenance import ClipSigner, Origin, SourceType, Stated
from fairstack_server.media.store import AlreadyStored, MediaStore, NotStored, StoredFile
from fairstack_server.moderation import ClipAsked, ContentRefused, FileShown, Moderation, NoVerdict
from fairstack_server.providers.base import ClipAt, ClipFacts

log = structlog.get_logger()

_TOKEN_CHARACTERS = 32
_NAME_CHARACTERS = 24
#: The embedded engine and the TEST card are no trained models.
_NO_MODEL = frozenset({"local", "sandbox"})


@dataclass(frozen=True, slots=True)
class Desk:
    """What is done to a clip between its provider and its user."""

    fetch: MediaFetch
    signer: ClipSigner
    moderation: Moderation
    poster: PosterMaker


@dataclass(frozen=True, slots=True)
class _Ready:
    """The file that is given out, on this machine and in the store."""

    clip: FetchedClip
    stored: StoredFile
    stated: Stated | None


def clip_folder(home: Path) -> Path:
    """Where clips lie while they are fetched, checked, signed and judged."""
    return home / "work" / "incoming"


def clip_leftovers(home: Path) -> Leftovers:
    """What a killed server leaves of them: downloads, and copies moved, signed or read back."""
    return Leftovers(clip_folder(home), "*.mp4", DAY)


class ClipKeeper:
    """Keeps clips."""

    def __init__(
        self, media: MediaStore, desk: Desk, egress: Egress, home: Path, *, keeps_refused: bool = False
    ) -> None:
        self._media = media
        self._desk = desk
        self._egress = egress
        self._folder = clip_folder(home)
        self._refused = home / "refused" if keeps_refused else None

    async def keep(self, job: Job, attempt: Attempt, clip: ClipAt, facts: ClipFacts) -> Completion:
        """Download, check, sign, store, have it judged.

        Raises NotAClip for a useless file, ClipFiltered for a refused one, OSError for what may pass.
        """
        try:
            async with self._stored(job, attempt, clip) as ready:
                await self._judge(job, ready)
                poster_url = await self._store_poster(job, ready)
        except BaseError as error:
            raise OSError(f"the media store failed: {type(error).__name__}") from error
        measured, stored = ready.clip.facts, ready.stored
        return Completion(
            media_key=stored.key,
            url=stored.url,
            bytes=stored.bytes,
            sha256=stored.sha256,
            width=measured.width,
            height=measured.height,
            duration_seconds=float(measured.duration_seconds),
            fps=float(measured.fps),
            audio=measured.audio,
            poster_url=poster_url,
            provenance=_provenance(attempt.provider, ready.stated),
            substitutions=facts.substitutions,
            seed=facts.seed,
        )

    @contextlib.asynccontextmanager
    async def _stored(self, job: Job, attempt: Attempt, clip: ClipAt) -> AsyncIterator[_Ready]:
        """The clip in the store, and for the block a copy of it here.

        The same attempt stores under the same token. What a life before a crash has stored there is taken as
        it is: a second signature would make it another file.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        token = hashlib.sha256(f"clip:{attempt.nonce}".encode()).hexdigest()[:_TOKEN_CHARACTERS]
        async with contextlib.AsyncExitStack() as stack:
            earlier = await self._earlier(token)
            if earlier is not None:
                copy = self._file_for_now(stack)
                yield await self._found(earlier, copy)
                return
            fetched = await self._bring(attempt.provider, clip)
            stack.callback(fetched.path.unlink, missing_ok=True)
            signed, stated = await self._sign(job, attempt, fetched, self._file_for_now(stack))
            try:
                stored = await self._media.put_clip(signed.path, signed.sha256, token=token)
            except AlreadyStored:
                stored = await self._media.put_clip(signed.path, signed.sha256)
            yield _Ready(signed, stored, stated)

    async def _earlier(self, token: str) -> StoredFile | None:
        with contextlib.suppress(NotStored):
            return await self._media.head(f"video/{token}/output.mp4")
        return None

    async def _found(self, stored: StoredFile, copy: Path) -> _Ready:
        with await asyncio.to_thread(copy.open, "xb") as file:
            async for chunk in self._media.open_range(stored.key, 0, stored.bytes):
                await asyncio.to_thread(file.write, chunk)
        return _Ready(await asyncio.to_thread(check_clip, copy), stored, await self._desk.signer.read(copy))

    def _file_for_now(self, stack: contextlib.AsyncExitStack) -> Path:
        path = (self._folder / f"{random_base62(_NAME_CHARACTERS)}.mp4").absolute()
        stack.callback(path.unlink, missing_ok=True)
        return path

    async def _bring(self, provider: str, clip: ClipAt) -> FetchedClip:
        try:
            if clip.path is not None:
                return await asyncio.to_thread(check_clip, Path(clip.path))
            if clip.url is None:
                raise NotAClip("the provider named no file")
            return await self._desk.fetch.fetch_clip(
                clip.url,
                self._folder,
                headers=clip.headers,
                trusted_origins=self._egress.trusted(provider),
            )
        except ClipRefused as refused:
            if refused.again:
                raise OSError(refused.reason) from refused
            raise NotAClip(refused.reason) from refused

    async def _sign(
        self, job: Job, attempt: Attempt, fetched: FetchedClip, path: Path
    ) -> tuple[FetchedClip, Stated | None]:
        """The clip as it is given out: signed, else as it came, for it was rendered all the same."""
        origin = Origin(job.model, _source_type(attempt.provider))
        stated = await self._desk.signer.sign(fetched.path.absolute(), path, origin)
        if stated is None:
            return fetched, None
        try:
            signed = await asyncio.to_thread(check_clip, path)
        except ClipRefused as broken:
            log.error("clip.unsigned", job=job.id, reason=f"the signed copy is broken: {broken.reason}")
            return fetched, None
        if signed.facts != fetched.facts:
            log.error("clip.unsigned", job=job.id, reason="the signed copy is not the same clip")
            return fetched, None
        return signed, stated

    async def _judge(self, job: Job, ready: _Ready) -> None:
        """Nobody is told of the clip before this returns. Raises ClipFiltered, OSError without a verdict."""
        stored = ready.stored
        shown = FileShown(
            "output", "video/mp4", stored.bytes, stored.sha256, stored.url, ready.clip.path.absolute()
        )
        asked = ClipAsked(job=job.id, account=job.account_id, mode=job.mode, model=job.model, clip=shown)
        try:
            await self._desk.moderation.judge(asked)
        except ContentRefused as refused:
            await self._put_away(job, ready)
            raise ClipFiltered(refused.code, refused.message) from refused
        except NoVerdict as silent:
            raise OSError(f"moderation gave no verdict: {silent}") from silent

    async def _put_away(self, job: Job, ready: _Ready) -> None:
        """Take a refused clip out of the store: deleted, or where only the operator finds it."""
        if self._refused is not None:
            self._refused.mkdir(mode=0o700, parents=True, exist_ok=True)
            await asyncio.to_thread(ready.clip.path.replace, self._refused / f"{job.id}.mp4")
        await self._media.delete(ready.stored.key)

    async def _store_poster(self, job: Job, ready: _Ready) -> str | None:
        """A clip without a poster is still a clip."""
        poster = await self._desk.poster.make(ready.clip.path.absolute())
        if poster.jpeg is None:
            log.warning("clip.no_poster", job=job.id, reason=poster.reason)
            return None
        token = ready.stored.key.split("/")[1]
        with contextlib.suppress(AlreadyStored):
            kept = await self._media.put_bytes(
                poster.jpeg, kind="video", name="poster.jpg", content_type="image/jpeg", token=token
            )
            return kept.url
        return self._media.url_of(f"video/{token}/poster.jpg")


def _source_type(provider: str) -> SourceType:
    return "algorithmicMedia" if provider in _NO_MODEL else "trainedAlgorithmicMedia"


def _provenance(provider: str, stated: Stated | None) -> JSONObject:
    facts: JSONObject = {"digital_source_type": _source_type(provider), "c2pa": stated is not None}
    # Of a clip that could not be signed it is not known what it came with.
    return facts if stated is None else {**facts, "upstream_manifest": stated.upstream}
