/** Which class of error an error answer becomes; pure. */
import * as errors from "./errors.js";

type RefusedClass = new (message: string, facts?: errors.ErrorFacts) => errors.Refused;

const BY_CODE: ReadonlyMap<string, RefusedClass> = new Map<string, RefusedClass>([
  ["validation_error", errors.BadRequest],
  ["unknown_model", errors.UnknownModel],
  ["image_refused", errors.BadRequest],
  ["webhook_url_refused", errors.BadRequest],
  ["authentication_error", errors.NotAuthenticated],
  ["insufficient_credits", errors.InsufficientCredits],
  ["cap_reached", errors.CapReached],
  ["forbidden", errors.Forbidden],
  ["not_found", errors.NotFound],
  ["idempotency_in_flight", errors.IdempotencyInFlight],
  ["job_not_cancellable", errors.JobNotCancellable],
  ["payload_too_large", errors.PayloadTooLarge],
  ["unsupported_media_type", errors.UnsupportedMediaType],
  ["content_filtered", errors.ContentFiltered],
  ["idempotency_key_reused", errors.IdempotencyKeyReused],
  ["rate_limited", errors.RateLimited],
  ["internal_error", errors.InternalError],
  ["model_unavailable", errors.ModelUnavailable],
  ["provider_unavailable", errors.ProviderUnavailable],
]);

const BY_STATUS: ReadonlyMap<number, RefusedClass> = new Map<number, RefusedClass>([
  [400, errors.BadRequest],
  [401, errors.NotAuthenticated],
  [402, errors.PaymentNeeded],
  [403, errors.Forbidden],
  [404, errors.NotFound],
  [409, errors.Conflict],
  [413, errors.PayloadTooLarge],
  [415, errors.UnsupportedMediaType],
  [422, errors.Unprocessable],
  [429, errors.RateLimited],
  [502, errors.Unavailable],
  [503, errors.Unavailable],
  [504, errors.Unavailable],
]);

/** The class of an error answer: by its code, else by its HTTP status. */
export function refusalClass(code: string | undefined, status: number): RefusedClass {
  const byCode = code === undefined ? undefined : BY_CODE.get(code);
  return byCode ?? BY_STATUS.get(status) ?? (status >= 500 ? errors.InternalError : errors.Refused);
}
