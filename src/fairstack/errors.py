"""Every error of this package, as one tree; the class says what the caller can do.

FairStackError                     anything below
├── NotConfigured                  no key, or an address that cannot be used: set one
├── BadArgument (ValueError)       caught before anything was sent: change the argument
├── Unreachable (ConnectionError)  no answer came: start the server, mend the network
├── UnexpectedAnswer               an answer that is not FairStack's: check the base URL
├── Refused                        the server's own error answer
│   ├── BadRequest           400   change the request: validation_error, image_refused, webhook_url_refused
│   │   └── UnknownModel           the message has the closest keys
│   ├── NotAuthenticated     401   send a valid key
│   ├── PaymentNeeded        402   add money or raise the cap
│   │   ├── InsufficientCredits
│   │   └── CapReached
│   ├── Forbidden            403   use a key with the scope that is named
│   ├── NotFound             404   nothing there for this key
│   ├── Conflict             409   the thing is in another state
│   │   ├── IdempotencyInFlight
│   │   └── JobNotCancellable
│   ├── PayloadTooLarge      413
│   ├── UnsupportedMediaType 415
│   ├── Unprocessable        422
│   │   ├── ContentFiltered        change the prompt or the image; nothing was charged
│   │   └── IdempotencyKeyReused   take a fresh key for a new request
│   ├── RateLimited          429   wait `retry_after_seconds`
│   ├── InternalError        5xx   report `request_id`
│   └── Unavailable          503   another model or another time
│       ├── ModelUnavailable
│       └── ProviderUnavailable
├── GenerationFailed               the job ended without a clip; `job` says why; nothing was charged
├── GenerationCancelled            the job was cancelled; `job` is it
├── WaitTimeout (TimeoutError)     the job goes on; the message has the line that waits again
├── DownloadFailed                 the clip exists, the copy was not made: save again
└── WebhookRefused                 not signed by this secret, altered, or too old: answer 400
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairstack.jobs import JobFacts


class FairStackError(Exception):
    """An error with all that is known of it; a field that does not apply is None."""

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        param: str | None = None,
        allowed: Any = None,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        job_id: str | None = None,
        idempotency_key: str | None = None,
        retry_after_seconds: float | None = None,
        body: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.param = param
        self.allowed = allowed
        self.details = details
        self.request_id = request_id
        self.job_id = job_id
        #: The key of a spending call whose fate is not known; sending it again with this key is safe.
        self.idempotency_key = idempotency_key
        self.retry_after_seconds = retry_after_seconds
        #: The server's error answer, exactly as it came.
        self.body = body

    def __str__(self) -> str:
        return self.message


class NotConfigured(FairStackError):
    """There is no API key, or the address of the server cannot be used."""


class BadArgument(FairStackError, ValueError):
    """An argument that cannot be right; nothing was sent."""


class Unreachable(FairStackError, ConnectionError):
    """No whole answer came from the server, after the retries that are safe."""


class UnexpectedAnswer(FairStackError):
    """Something answered, and not as FairStack does."""


class Refused(FairStackError):
    """The server answered with an error."""


class BadRequest(Refused):
    """The request itself is wrong; sending it again will not help."""


class UnknownModel(BadRequest):
    """There is no model with this key."""


class NotAuthenticated(Refused):
    """No key, a mistyped key, or one that was revoked or has expired."""


class PaymentNeeded(Refused):
    """The wallet or a cap does not allow this spend; nothing was held."""


class InsufficientCredits(PaymentNeeded):
    """The wallet holds less than the clip costs."""


class CapReached(PaymentNeeded):
    """A cap of the account, the key or the request is lower than the price."""


class Forbidden(Refused):
    """The key lacks a scope."""


class NotFound(Refused):
    """There is no such thing for this key."""


class Conflict(Refused):
    """The thing is in a state that does not allow this."""


class IdempotencyInFlight(Conflict):
    """The first request with this idempotency key is still being answered."""


class JobNotCancellable(Conflict):
    """The job has already ended."""


class PayloadTooLarge(Refused):
    """The body or the file is over its limit."""


class UnsupportedMediaType(Refused):
    """The uploaded file is of a kind that is not taken."""


class Unprocessable(Refused):
    """Understood and refused."""


class ContentFiltered(Unprocessable):
    """Moderation refused the prompt or the image; nothing was charged."""


class IdempotencyKeyReused(Unprocessable):
    """This idempotency key was used for another request."""


class RateLimited(Refused):
    """Too many requests; `retry_after_seconds` says when to come back."""


class InternalError(Refused):
    """A fault of the server; `request_id` finds it in its log."""


class Unavailable(Refused):
    """The server, the model or its provider cannot be used now."""


class ModelUnavailable(Unavailable):
    """No provider is configured for this model; the message names the setting that would enable it."""


class ProviderUnavailable(Unavailable):
    """The provider of this model does not answer now."""


class GenerationFailed(FairStackError):
    """The job ended without a clip, and nothing was charged; `code` and `message` are the job's."""

    def __init__(self, job: JobFacts) -> None:
        error = job.error
        reason = error.message if error else "no reason was given"
        super().__init__(f"{job.id} failed: {reason}", code=error.code if error else None, job_id=job.id)
        self.job = job


class GenerationCancelled(FairStackError):
    """The job was cancelled, so there is no clip."""

    def __init__(self, job: JobFacts) -> None:
        super().__init__(f"{job.id} was cancelled", code="cancelled", job_id=job.id)
        self.job = job


class WaitTimeout(FairStackError, TimeoutError):
    """The wait is over and the job is not: it goes on, and its clip will be paid for and kept."""

    def __init__(self, job: JobFacts, waited_seconds: float) -> None:
        super().__init__(
            f"{job.id} is still {job.status} after {waited_seconds:g} s. It goes on. "
            f'Wait again: client.jobs.get("{job.id}").wait()',
            job_id=job.id,
        )
        self.job = job


class DownloadFailed(FairStackError):
    """The clip could not be copied; nothing is lost, save it again."""


class WebhookRefused(FairStackError):
    """A webhook that is not signed by this secret, was altered, or is too old or too new."""


_BY_CODE: Mapping[str, type[Refused]] = {
    "validation_error": BadRequest,
    "unknown_model": UnknownModel,
    "image_refused": BadRequest,
    "webhook_url_refused": BadRequest,
    "authentication_error": NotAuthenticated,
    "insufficient_credits": InsufficientCredits,
    "cap_reached": CapReached,
    "forbidden": Forbidden,
    "not_found": NotFound,
    "idempotency_in_flight": IdempotencyInFlight,
    "job_not_cancellable": JobNotCancellable,
    "payload_too_large": PayloadTooLarge,
    "unsupported_media_type": UnsupportedMediaType,
    "content_filtered": ContentFiltered,
    "idempotency_key_reused": IdempotencyKeyReused,
    "rate_limited": RateLimited,
    "internal_error": InternalError,
    "model_unavailable": ModelUnavailable,
    "provider_unavailable": ProviderUnavailable,
}
_BY_STATUS: Mapping[int, type[Refused]] = {
    400: BadRequest,
    401: NotAuthenticated,
    402: PaymentNeeded,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    415: UnsupportedMediaType,
    422: Unprocessable,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def refusal_class(code: str | None, status: int) -> type[Refused]:
    """The class of an error answer: by its code, else by its HTTP status."""
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status, InternalError if status >= 500 else Refused)
