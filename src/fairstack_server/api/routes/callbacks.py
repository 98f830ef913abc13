"""/callbacks: providers calling us, on URLs that carry a nonce. Only ever a hint: the task is re-read."""

from __future__ import annotations

import structlog
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from fairstack_server.api.answers import HttpRequest, json_answer
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.bootstrap import Gateway
from fairstack_server.errors import NotFound, Unavailable
from fairstack_server.providers.base import (
    AnswersChallenges,
    CallbackRequest,
    ProviderError,
    ReadsCallbacks,
)

log = structlog.get_logger()

CALLBACK = Doc(
    summary="For providers: something happened to a task",
    tag="Callbacks",
    params=(
        Param("provider_name", "path", "The provider that calls."),
        Param("nonce", "path", "The attempt that it calls about; unguessable."),
    ),
    answers={200: Answer("Noted.")},
    errors=("not_found", "provider_unavailable"),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The callback route."""

    @post("/callbacks/{provider_name:str}/{nonce:str}", opt=CALLBACK.opt(), status_code=200)
    async def provider_callback(
        request: HttpRequest, provider_name: FromPath[str], nonce: FromPath[str]
    ) -> Response[bytes]:
        provider = gateway.providers.get(provider_name)
        attempt = await gateway.jobs.attempt(nonce)
        if attempt is None or attempt.provider != provider_name or not isinstance(provider, ReadsCallbacks):
            raise NotFound("There is no such callback.")
        headers = {name.lower(): value for name, value in request.headers.items()}
        call = CallbackRequest(headers, await request.body(), nonce)
        if isinstance(provider, AnswersChallenges) and (said := provider.answer_challenge(call)) is not None:
            return json_answer(said)
        try:
            ref = await provider.read_callback(attempt.endpoint, call)
        except ProviderError as error:
            raise Unavailable("The callback cannot be judged now; send it again.") from error
        if ref is None:
            log.warning("callback.not_genuine", provider=provider_name, job=attempt.job_id)
            raise NotFound("There is no such callback.")
        if await gateway.jobs.receipt(nonce) is None:
            await gateway.jobs.write_found(attempt, ref, "callback")
        await gateway.jobs.tell(attempt.job_id, "callback")
        return json_answer(b"{}")

    return [provider_callback]
