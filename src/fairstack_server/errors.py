"""Every error that a caller can meet, as one tree; the class says what the caller can do.

FairStackError                 anything below; has code, HTTP status, message, param, allowed, details
├── BadRequest                 400  change the request: validation_error, unknown_model, image_refused,
│                                   webhook_url_refused
├── NotAuthenticated           401  authentication_error: send a valid key
├── PaymentNeeded              402  insufficient_credits, cap_reached: add money or raise the cap
├── Forbidden                  403  forbidden: use a key with the scope that is named
├── NotFound                   404  not_found: the same for nothing there and for somebody else's
├── Conflict                   409  idempotency_in_flight, job_not_cancellable, catalog_broken
├── PayloadTooLarge            413  payload_too_large
├── UnsupportedMediaType       415  unsupported_media_type
├── Unprocessable              422  content_filtered, idempotency_key_reused
├── RateLimited                429  rate_limited: wait `retry_after_seconds`
├── InternalError              500  internal_error: report the request id
└── Unavailable                503  model_unavailable, provider_unavailable
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

ErrorCode = Literal[
    "validation_error",
    "unknown_model",
    "image_refused",
    "webhook_url_refused",
    "authentication_error",
    "insufficient_credits",
    "cap_reached",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "idempotency_in_flight",
    "job_not_cancellable",
    "catalog_broken",
    "payload_too_large",
    "unsupported_media_type",
    "content_filtered",
    "idempotency_key_reused",
    "rate_limited",
    "internal_error",
    "model_unavailable",
    "provider_unavailable",
]


class FairStackError(Exception):
    """An error with a stable code, an HTTP status and a message that says the next step."""

    status: int = 500
    default_code: ErrorCode = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: ErrorCode | None = None,
        param: str | None = None,
        allowed: Sequence[object] | Mapping[str, object] | None = None,
        details: Mapping[str, object] | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code: ErrorCode = code or self.default_code
        self.param = param
        self.allowed = allowed
        self.details = details
        self.retry_after_seconds = retry_after_seconds


class BadRequest(FairStackError):
    """The request itself is wrong; sending it again will not help."""

    status = 400
    default_code: ErrorCode = "validation_error"


class NotAuthenticated(FairStackError):
    """No key, a mistyped key, or one that was revoked or has expired."""

    status = 401
    default_code: ErrorCode = "authentication_error"


class PaymentNeeded(FairStackError):
    """The wallet or a cap does not allow this spend; nothing was held."""

    status = 402
    default_code: ErrorCode = "insufficient_credits"


class Forbidden(FairStackError):
    """The key lacks a scope."""

    status = 403
    default_code: ErrorCode = "forbidden"


class NotFound(FairStackError):
    """There is no such thing for this caller."""

    status = 404
    default_code: ErrorCode = "not_found"


class MethodNotAllowed(FairStackError):
    """The path exists, the method on it does not."""

    status = 405
    default_code: ErrorCode = "method_not_allowed"


class Conflict(FairStackError):
    """The thing is in a state that does not allow this."""

    status = 409
    default_code: ErrorCode = "job_not_cancellable"


class PayloadTooLarge(FairStackError):
    """The body or the file is over its limit."""

    status = 413
    default_code: ErrorCode = "payload_too_large"


class UnsupportedMediaType(FairStackError):
    """The uploaded file is of a kind that is not taken."""

    status = 415
    default_code: ErrorCode = "unsupported_media_type"


class Unprocessable(FairStackError):
    """Understood and refused: by moderation, or because an idempotency key was used for another body."""

    status = 422
    default_code: ErrorCode = "content_filtered"


class RateLimited(FairStackError):
    """Too many requests; `retry_after_seconds` says when to come back."""

    status = 429
    default_code: ErrorCode = "rate_limited"


class InternalError(FairStackError):
    """A fault of ours; the request id finds it in the log."""

    status = 500
    default_code: ErrorCode = "internal_error"


class Unavailable(FairStackError):
    """The model or its provider cannot be used now."""

    status = 503
    default_code: ErrorCode = "provider_unavailable"
