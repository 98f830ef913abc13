"""Bringing a provider's clip into our store: fetch, measure, store, poster. The file is the truth."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path

import structlog
from obstore.exceptions import BaseError

from fairstack_server.egress import Egress
from fairstack_server.jobs.job import Attempt, Completion, Job
from fairstack_server.jobs.ports import NotAClip
from fairstack_server.jsonvalue import JSONObject
from fairstack_server.media.fetch import ClipRefused, FetchedClip, MediaFetch, check_clip
from fairstack_server.media.poster import PosterMaker
from fairstack_server.media.store import AlreadyStored, MediaStore, StoredFile
from fairstack_server.providers.base import ClipAt, ClipFacts

log = structlog.get_logger()

_TOKEN_CHARACTERS = 32
#: IPTC's words for what made a clip; the embedded engine and the TEST card are no trained models.
_ALGORITHMIC, _TRAINED = "algorithmicMedia", "trainedAlgorithmicMedia"
_NO_MODEL = frozenset({"local", "sandbox"})


class ClipKeeper:
    """Keeps clips."""

    def __init__(
        self, media: MediaStore, fetch: MediaFetch, poster: PosterMaker, egress: Egress, work_dir: Path
    ) -> None:
        self._media = media
        self._fetch = fetch
        self._poster = poster
        self._egress = egress
        self._folder = work_dir / "incoming"

    async def keep(self, job: Job, attempt: Attempt, clip: ClipAt, facts: ClipFacts) -> Completion:
        """Download, check, store. Raises NotAClip for a useless file, OSError for what may pass."""
        fetched = await self._bring(attempt.provider, clip)
        try:
            stored = await self._store(attempt, fetched)
            poster_url = await self._store_poster(job, fetched, stored)
        except BaseError as error:
            raise OSError(f"the media store failed: {type(error).__name__}") from error
        finally:
            fetched.path.unlink(missing_ok=True)
        measured = fetched.facts
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
            provenance=_provenance(attempt.provider),
            substitutions=facts.substitutions,
            seed=facts.seed,
        )

    async def _bring(self, provider: str, clip: ClipAt) -> FetchedClip:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            if clip.path is not None:
                return await asyncio.to_thread(check_clip, Path(clip.path))
            if clip.url is None:
                raise NotAClip("the provider named no file")
            return await self._fetch.fetch_clip(
                clip.url,
                self._folder,
                headers=clip.headers,
                trusted_origins=self._egress.trusted(provider),
            )
        except ClipRefused as refused:
            if refused.again:
                raise OSError(refused.reason) from refused
            raise NotAClip(refused.reason) from refused

    async def _store(self, attempt: Attempt, fetched: FetchedClip) -> StoredFile:
        # The same attempt stores under the same token, so a crash before the settle leaves no second copy.
        token = hashlib.sha256(f"clip:{attempt.nonce}".encode()).hexdigest()[:_TOKEN_CHARACTERS]
        try:
            return await self._media.put_clip(fetched.path, fetched.sha256, token=token)
        except AlreadyStored:
            return await self._media.put_clip(fetched.path, fetched.sha256)

    async def _store_poster(self, job: Job, fetched: FetchedClip, stored: StoredFile) -> str | None:
        """A clip without a poster is still a clip."""
        poster = await self._poster.make(fetched.path.absolute())
        if poster.jpeg is None:
            log.warning("clip.no_poster", job=job.id, reason=poster.reason)
            return None
        token = stored.key.split("/")[1]
        with contextlib.suppress(AlreadyStored):
            kept = await self._media.put_bytes(
                poster.jpeg, kind="video", name="poster.jpg", content_type="image/jpeg", token=token
            )
            return kept.url
        return self._media.url_of(f"video/{token}/poster.jpg")


def _provenance(provider: str) -> JSONObject:
    kind = _ALGORITHMIC if provider in _NO_MODEL else _TRAINED
    return {"digital_source_type": kind, "c2pa": False}
