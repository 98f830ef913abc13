"""POST /v1/generations/video"""

from __future__ import annotations

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler

from fairstack_server.api import wire
from fairstack_server.api.answers import HttpRequest, caller_of, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.api.parse import VideoOrder, fingerprint, parse_object, parse_video_order
from fairstack_server.bootstrap import Gateway
from fairstack_server.errors import BadRequest
from fairstack_server.generations import Ask, Idempotency

PATH = "/v1/generations/video"
_KEY_CHARACTERS = 255

SUBMIT = Doc(
    summary="Submit a video generation job, or learn its exact price",
    tag="Generations",
    scope="generate",
    params=(
        Param(
            "Idempotency-Key",
            "header",
            "1 to 255 visible ASCII characters; the same key and body never make a second job.",
            {"type": "string", "minLength": 1, "maxLength": _KEY_CHARACTERS},
        ),
    ),
    body=wire.VideoRequest,
    answers={
        202: Answer("The job is queued and its price is held.", wire.Submitted, headers=("Location",)),
        200: Answer("`confirm: false`: the exact price, nothing else.", wire.Estimated),
    },
    errors=(
        "validation_error",
        "unknown_model",
        "image_refused",
        "webhook_url_refused",
        "insufficient_credits",
        "cap_reached",
        "idempotency_in_flight",
        "idempotency_key_reused",
        "payload_too_large",
        "content_filtered",
        "model_unavailable",
        "provider_unavailable",
    ),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The submit route."""

    @post(PATH, opt=SUBMIT.opt(), status_code=202)
    async def submit_video(request: HttpRequest) -> Response[bytes]:
        caller = caller_of(request)
        body = parse_object(await request.body())
        idempotency = _idempotency(request, body.get("confirm") is not False, fingerprint("POST", PATH, body))
        if idempotency is not None:
            earlier = await gateway.generations.replayed(caller, idempotency)
            if earlier is not None:
                return _accepted(earlier.body, replayed=True)
        order = parse_video_order(body)
        if not order.confirm:
            micros = await gateway.generations.estimate(caller, _ask(order))
            return json_answer(wire.Estimated(wire.estimate(micros)))
        accepted = await gateway.generations.submit(caller, _ask(order), idempotency, _submitted)
        return _accepted(accepted.body, replayed=accepted.replayed)

    return [submit_video]


def _ask(order: VideoOrder) -> Ask:
    return Ask(
        video=order.ask,
        body=order.body,
        webhook_url=order.webhook_url,
        tags=dict(order.tags),
        max_cost_micros=order.max_cost_micros,
        cancel_after_seconds=order.cancel_after_seconds,
    )


def _submitted(job_id: str, quote_micros: int) -> bytes:
    return msgspec.json.encode(wire.Submitted(job_id, "queued", wire.estimate(quote_micros)))


def _accepted(body: bytes, *, replayed: bool) -> Response[bytes]:
    job_id = msgspec.json.decode(body, type=wire.Submitted).id
    headers = {"location": f"/v1/jobs/{job_id}"}
    if replayed:
        headers["idempotent-replayed"] = "true"
    return json_answer(body, 202, headers)


def _idempotency(request: HttpRequest, confirmed: bool, digest: bytes) -> Idempotency | None:
    key = request.headers.get("idempotency-key")
    if key is None or not confirmed:
        return None
    if not 1 <= len(key) <= _KEY_CHARACTERS or not all("!" <= character <= "~" for character in key):
        raise BadRequest(
            "Idempotency-Key must be 1 to 255 visible ASCII characters without spaces.",
            param="Idempotency-Key",
        )
    return Idempotency(key, digest)
