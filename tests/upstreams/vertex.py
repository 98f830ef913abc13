"""A strict stand-in for Google: access tokens for a service account, Veo on Vertex AI, files of buckets."""

from __future__ import annotations

import base64
import json
import time
import uuid
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.upstreams.clip import clip_bytes
from tests.upstreams.fields import Field, Fields, complaint, is_base64
from tests.upstreams.tasks import TaskUpstream
from tests.upstreams.upstream import Task

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
EMAIL = "veo@demo.iam.gserviceaccount.com"
_IMAGE: Fields = {
    "bytesBase64Encoded": Field(),
    "gcsUri": Field(pattern="gs://.+"),
    "mimeType": Field(pattern=r"(image|video)/\w+", required=True),
}
_REFERENCE: Fields = {
    "image": Field("object", fields=_IMAGE, required=True),
    "referenceType": Field(choices=("asset", "style"), required=True),
}
INSTANCE: Fields = {
    "prompt": Field(),
    "image": Field("object", fields=_IMAGE),
    "lastFrame": Field("object", fields=_IMAGE),
    "video": Field("object", fields=_IMAGE),
    "referenceImages": Field("list", of=Field("object", fields=_REFERENCE)),
}
PARAMETERS: Fields = {
    "aspectRatio": Field(choices=("16:9", "9:16")),
    "durationSeconds": Field("integer", minimum=4, maximum=8),
    "resolution": Field(choices=("720p", "1080p", "4k")),
    "generateAudio": Field("switch"),
    "negativePrompt": Field(),
    "personGeneration": Field(choices=("allow_adult", "dont_allow", "allow_all")),
    "seed": Field("integer", minimum=0, maximum=2**32 - 1),
    "sampleCount": Field("integer", minimum=1, maximum=4),
    "enhancePrompt": Field("switch"),
    "storageUri": Field(pattern="gs://.+"),
    "compressionQuality": Field(),
    "resizeMode": Field(),
}
BODY: Fields = {
    "instances": Field("list", required=True, of=Field("object", fields=INSTANCE)),
    "parameters": Field("object", fields=PARAMETERS),
    "labels": Field("object"),
}
STATUSES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
ERRORS = {
    "moderated": {"code": 3, "message": "The prompt violates Vertex AI's usage guidelines."},
    "invalid": {"code": 3, "message": "The image could not be decoded."},
    "crashed": {"code": 13, "message": "Internal error."},
    "expired": {"code": 4, "message": "Deadline exceeded."},
}


class FakeVertex(TaskUpstream):
    """`GOOGLE_VERTEX_URL=<base_url>` and `GOOGLE_CLOUD_PROJECT=demo`, with `GOOGLE_ACCESS_TOKEN=<key>` or
    with `GOOGLE_APPLICATION_CREDENTIALS=<path>` of a file that `write_credentials` wrote, use it."""

    def __init__(self, key: str = "ya29.stand-in-access-token", port: int = 0) -> None:
        super().__init__(key, port)
        self.project, self.location = "demo", "us-central1"
        self.private_key = generate_private_key(65537, 2048)
        self.tokens: list[str] = []
        """Tokens that were given to the service account; a call may use any of them."""
        self.token_seconds = 3599

    def routes(self, app: web.Application) -> None:
        """The models' two verbs in any version of the API, their list, tokens, the bucket's files."""
        add = app.router
        models = "/{version:v1|v1beta1}/projects/{project}/locations/{location}/publishers/google/models"
        add.add_post(f"{models}/{{model:veo-[^/:]+}}:predictLongRunning", self.serve("submit", self._create))
        add.add_post(f"{models}/{{model:veo-[^/:]+}}:fetchPredictOperation", self.serve("status", self._read))
        place = models.removesuffix("/publishers/google/models")
        add.add_get(f"{place}/models", self.serve("key", self._models))
        add.add_post("/token", self.serve("keys", self._token))
        add.add_get("/storage/v1/b/{bucket}/o/{name}", self.serve("content", self._bucket_file))

    def write_credentials(self, path: Path) -> Path:
        """Write the key file of the service account."""
        pem = self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        told = {
            "type": "service_account",
            "project_id": self.project,
            "private_key_id": "key-1",
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "token_uri": f"{self.base_url}/token",
        }
        path.write_text(json.dumps(told))
        return path

    def error(self, status: int, message: str) -> web.Response:
        """As Google words it."""
        told = {"code": status, "message": message, "status": STATUSES.get(status, "UNKNOWN")}
        return web.json_response({"error": told}, status=status)

    def authorized(self, request: web.Request) -> bool:
        """By the given token, or by one that the service account got."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return given in (self.key, *self.tokens)

    async def _create(self, request: web.Request) -> web.Response:
        body = await self.order(request)
        if isinstance(body, web.Response):
            return body
        place = request.match_info
        if (place["project"], place["location"]) != (self.project, self.location):
            return self.error(404, "There is no such project or location")
        wrong = complaint(body, BODY) or _instance_complaint(body["instances"])
        if wrong is not None:
            return self.error(400, wrong)
        models = f"projects/{self.project}/locations/{self.location}/publishers/google/models"
        name = f"{models}/{place['model']}/operations/{uuid.uuid4()}"
        return web.json_response({"name": self.taken(body, task_id=name, endpoint=place["model"]).id})

    async def _read(self, request: web.Request) -> web.Response:
        told = await request.json()
        name = told.get("operationName")
        await self.note("status", request, told, task_id=name)
        if not self.authorized(request):
            return self.error(401, "The token is not valid")
        task = self.log.tasks.get(name)
        if task is None or task.forgotten or set(told) != {"operationName"}:
            return self.error(404, "There is no such operation")
        if task.endpoint != request.match_info["model"]:
            return self.error(400, "The operation is another model's")
        return web.json_response(self.look(task))

    def record(self, task: Task) -> dict[str, Any]:
        """The operation as Vertex shows it."""
        shown: dict[str, Any] = {"name": task.id}
        if self.odd_status is not None:
            return shown | {"done": self.odd_status}
        if task.phase != "ended":
            return shown
        if task.script.outcome != "ok":
            return shown | {"done": True, "error": ERRORS[task.script.outcome]}
        video: dict[str, Any] = {"mimeType": "video/mp4"}
        bucket = task.body.get("parameters", {}).get("storageUri")
        if bucket is None:
            video["bytesBase64Encoded"] = base64.b64encode(self.clip(task)).decode()
        else:
            video["gcsUri"] = f"{bucket.rstrip('/')}/{task.id.rpartition('/')[2]}/sample_0.mp4"
        kind = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse"
        response = {"@type": kind, "raiMediaFilteredCount": 0, "videos": [video]}
        return shown | {"done": True, "response": response}

    async def _models(self, request: web.Request) -> web.Response:
        await self.note("key", request)
        if not self.authorized(request):
            return self.error(401, "The token is not valid")
        place, asked = request.match_info, request.query
        if (place["project"], place["location"]) != (self.project, self.location):
            return self.error(403, "Permission 'aiplatform.models.list' denied")
        if set(asked) - {"pageSize", "pageToken", "filter"} or not asked.get("pageSize", "1").isdecimal():
            return self.error(400, "Only pageSize, pageToken and filter are known")
        return web.json_response({})

    async def _bucket_file(self, request: web.Request) -> web.Response:
        await self.note("content", request)
        wanted = f"gs://{request.match_info['bucket']}/{request.match_info['name']}"
        if not self.authorized(request):
            return self.error(401, "The token is not valid")
        if request.query.get("alt") != "media":
            return web.json_response({"kind": "storage#object"})
        for task in self.log.tasks.values():
            videos = self.record(task).get("response", {}).get("videos", [])
            if any(video.get("gcsUri") == wanted for video in videos):
                return web.Response(body=self.clip(task), content_type="video/mp4")
        return self.error(404, "No such object")

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        await self.note("keys", request, dict(form))
        right = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        if form.get("grant_type") != right or not self._is_signed(str(form.get("assertion"))):
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.tokens.append(f"ya29.{uuid.uuid4().hex}")
        told = {"access_token": self.tokens[-1], "expires_in": self.token_seconds, "token_type": "Bearer"}
        return web.json_response(told)

    def _is_signed(self, assertion: str) -> bool:
        text, _, signature = assertion.rpartition(".")
        try:
            header, claims = (json.loads(_base64url(part)) for part in text.split("."))
            self.private_key.public_key().verify(_base64url(signature), text.encode(), PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            return False
        return bool(
            header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
            and claims["iss"] == EMAIL
            and claims["scope"] == SCOPE
            and claims["aud"] == f"{self.base_url}/token"
            and claims["iat"] - 60 <= time.time() < claims["exp"] <= claims["iat"] + 3600
        )

    def clip(self, task: Task) -> bytes:
        """The clip of this task."""
        return clip_bytes(seconds=float(task.body.get("parameters", {}).get("durationSeconds", 8)))


def _instance_complaint(instances: list[dict[str, Any]]) -> str | None:
    if len(instances) != 1:
        return "instances must hold exactly one"
    media = [instances[0].get(name) for name in ("image", "lastFrame", "video")]
    media += [entry["image"] for entry in instances[0].get("referenceImages", [])]
    for each in media:
        if each is not None and ("gcsUri" in each) == ("bytesBase64Encoded" in each):
            return "media is either gcsUri or bytesBase64Encoded"
        if each is not None and "bytesBase64Encoded" in each and not is_base64(each["bytesBase64Encoded"]):
            return "bytesBase64Encoded is no base64"
    return None if instances[0].get("prompt") or media[0] else "prompt is required"


def _base64url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
