"""Google Vertex AI: Veo by long predictions, whose clips come inside the answer or lie in a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fairstack_server.clock import Clock, timestamp
from fairstack_server.jsonvalue import JSON, JSONObject
from fairstack_server.providers.base import (
    ClipAt,
    Failed,
    InputFile,
    KeyCheck,
    Order,
    Pending,
    ProviderError,
    RateLimitedUpstream,
    Ref,
    Submission,
    SubmitClass,
    Succeeded,
)
from fairstack_server.providers.body import build_body
from fairstack_server.providers.file_urls import files_of, read_inline
from fairstack_server.providers.google_token import TokenSource
from fairstack_server.providers.http import SUBMIT, ProviderHttp, Sessions
from fairstack_server.providers.inline_clip import InlineClip
from fairstack_server.providers.key_checks import failed_check, refused_key, working_key
from fairstack_server.providers.verdicts import (
    CANCELLED,
    EXPIRED,
    FORGOTTEN,
    MODERATED,
    mentions,
    object_in,
    refused,
    render_failed,
    text_of,
)

STORAGE_ADDRESS = "https://storage.googleapis.com"
DEFAULT_LOCATION = "us-central1"
#: An answer may carry a whole clip.
POLL_SECONDS = 300.0
CLIP_MAX_BYTES = 2 * 1024**3
#: Vertex takes 20 MB in a request, of which base64 is a third more than the file.
INLINE_MAX_BYTES = 14 * 1024 * 1024

_OPERATION = re.compile(r"(projects/[^/]+/locations/[^/]+/publishers/google/models/[^/]+)/operations/[^/]+")
_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]*")
_BUCKET = re.compile(r"gs://[^/\s]+(/\S*)?")
_BUCKET_FILE = re.compile(r"gs://([^/]+)/(.+)")
_MODERATION_WORDS = ("responsible ai", "sensitive words", "usage guidelines", "safety", "violat")
#: Codes of google.rpc.Status.
_RPC_CANCELLED, _RPC_DEADLINE_EXCEEDED = 1, 4


@dataclass(frozen=True, slots=True)
class VertexPlace:
    """The project that pays, where it renders, and how both are reached.

    Raises ValueError for names that Google cannot have given.
    """

    project: str
    location: str = DEFAULT_LOCATION
    bucket: str | None = None
    """`gs://bucket/prefix` for finished clips; None: they come inside the answer."""
    address: str | None = None
    """Another address for both services, such as a stand-in."""

    def __post_init__(self) -> None:
        for setting, name in (("PROJECT", self.project), ("LOCATION", self.location)):
            if not _NAME.fullmatch(name):
                raise ValueError(f"GOOGLE_CLOUD_{setting}={name!r} is no name of a {setting.lower()}")
        if self.bucket is not None and not _BUCKET.fullmatch(self.bucket):
            raise ValueError(f"GOOGLE_STORAGE_URI={self.bucket!r} is not gs://bucket/prefix")

    @property
    def vertex(self) -> str:
        """Where predictions are asked for."""
        host = "" if self.location == "global" else f"{self.location}-"
        return self.address or f"https://{host}aiplatform.googleapis.com"

    @property
    def storage(self) -> str:
        """Where the files of buckets are read."""
        return self.address or STORAGE_ADDRESS


class Google:
    """Veo on Vertex AI. Class D: no idempotency key, list or callback; a lost answer is never sent again."""

    name = "google"
    submit_class = SubmitClass.D

    def __init__(
        self, sessions: Sessions, place: VertexPlace, tokens: TokenSource, work_dir: Path, clock: Clock
    ) -> None:
        self._submits = ProviderHttp(self.name, sessions, place.vertex, authorize=self._credentials)
        self._polls = ProviderHttp(
            self.name, sessions, place.vertex, authorize=self._credentials, timeout_seconds=POLL_SECONDS
        )
        self._place = place
        self._tokens = tokens
        self._work_dir = work_dir
        self._clock = clock

    def largest_input_bytes(self, *, has_url: bool) -> int | None:
        """What fits inside a request: Vertex fetches no URL."""
        return INLINE_MAX_BYTES

    async def submit(self, order: Order) -> Submission | Failed | RateLimitedUpstream:
        """Start the prediction, once; the route's endpoint is the model."""
        models = f"projects/{self._place.project}/locations/{self._place.location}/publishers/google/models"
        path = f"/v1/{models}/{quote(order.endpoint, safe='')}:predictLongRunning"
        answer = await self._submits.post_json(path, await self._body(order))
        told = answer.json_object() or {}
        if answer.ok:
            name = told.get("name")
            if not isinstance(name, str) or not _OPERATION.fullmatch(name):
                raise self._submits.malformed(SUBMIT)
            return Submission({"id": name, "submitted_at": timestamp(self._clock.now())})
        if answer.status == 429 and answer.is_refusal:
            return RateLimitedUpstream(answer.retry_after_seconds())
        if answer.status in (400, 413, 422) and answer.is_refusal:
            said = object_in(told, "error").get("message")
            return MODERATED if mentions(said, _MODERATION_WORDS) else refused(self._submits, said)
        raise self._submits.broken(answer, SUBMIT)

    async def poll(self, ref: Ref) -> Pending | Succeeded | Failed:
        """Ask for the operation; a clip that comes inside the answer is written to a file on the way."""
        name = text_of(ref, "id", self.name)
        operation = _OPERATION.fullmatch(name)
        if operation is None:
            raise ProviderError("google: the receipt names no operation", sent=False, permanent=True)
        with InlineClip(self.name, self._clip_path(name), CLIP_MAX_BYTES) as inline:
            path = f"/v1/{operation[1]}:fetchPredictOperation"
            answer = await self._polls.ask_json(path, {"operationName": name}, inline.sift)
            if answer.status == 404 and answer.is_refusal:
                return FORGOTTEN
            told = answer.json_object()
            if not answer.ok or told is None:
                raise self._polls.broken(answer, "a status call")
            match told:
                case {"done": True, "error": dict(error)}:
                    return self._failed(error)
                case {"done": True, "response": dict(response)}:
                    return await self._clip(response, inline)
                case {"done": True}:
                    raise self._polls.malformed("a status call")
                case _ if told.get("done", False) is False and told.get("name") == name:
                    return Pending()
                case _:
                    raise self._polls.malformed("a status call")

    async def check_key(self) -> KeyCheck:
        """List one model of the project, as `models.list` of Google's client does for tuned ones.

        The role "Vertex AI User", which renders, may do so; project, location and API are checked with it.
        """
        try:
            await self._tokens.token()
        except ProviderError as error:
            if error.permanent:
                return refused_key(self._submits, "no access token", str(error))
            raise
        path = f"/v1/projects/{self._place.project}/locations/{self._place.location}/models"
        answer = await self._submits.get(path, {"pageSize": "1"})
        told = answer.json_object()
        if answer.ok and told is not None:
            return working_key()
        return failed_check(self._submits, answer, object_in(told or {}, "error").get("message"))

    async def _body(self, order: Order) -> JSONObject:
        media = {file: await asyncio.to_thread(_media, file) for file in files_of(order)}

        def place_file(file: InputFile) -> JSON:
            is_reference = any(file is reference for reference in order.images)
            return {"image": media[file], "referenceType": "asset"} if is_reference else media[file]

        body = build_body(order, place_file)
        if self._place.bucket is not None:
            body["parameters"] = object_in(body, "parameters") | {"storageUri": self._place.bucket}
        return body

    async def _clip(self, response: JSONObject, inline: InlineClip) -> Succeeded | Failed:
        match response:
            case {"videos": [{"gcsUri": str(uri)}, *_]}:
                return Succeeded(await self._bucket_file(uri))
            case {"videos": [{"bytesBase64Encoded": str()}, *_]}:
                return Succeeded(ClipAt(path=str(inline.keep())))
            case _ if response.get("raiMediaFilteredCount") or response.get("raiMediaFilteredReasons"):
                return MODERATED
            case _:
                raise self._polls.malformed("a status call")

    async def _bucket_file(self, uri: str) -> ClipAt:
        found = _BUCKET_FILE.fullmatch(uri)
        if found is None:
            raise self._polls.malformed("a status call")
        path = f"/storage/v1/b/{quote(found[1], safe='')}/o/{quote(found[2], safe='')}?alt=media"
        return ClipAt(url=self._place.storage + path, headers=await self._credentials())

    def _failed(self, error: Mapping[str, JSON]) -> Failed:
        said = error.get("message")
        if mentions(said, _MODERATION_WORDS):
            return MODERATED
        match error.get("code"):
            case code if code == _RPC_CANCELLED:
                return CANCELLED
            case code if code == _RPC_DEADLINE_EXCEEDED:
                return EXPIRED
            case _:
                return render_failed(self._polls, said)

    async def _credentials(self) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {await self._tokens.token()}"}

    def _clip_path(self, name: str) -> Path:
        return self._work_dir / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.mp4"


def _media(file: InputFile) -> JSONObject:
    """A file as Vertex takes it; it fetches no URLs."""
    otherwise = "Vertex AI fetches no URL, so another provider must take it"
    return {
        "bytesBase64Encoded": read_inline(file, INLINE_MAX_BYTES, otherwise),
        "mimeType": file.content_type,
    }
