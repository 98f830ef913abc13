/**
 * Every error of this package, as one tree; the class says what the caller can do.
 *
 * FairStackError                   anything below
 * ├── NotConfigured                no key, or an address that cannot be used: set one
 * ├── BadArgument                  caught before anything was sent: change the argument
 * ├── Unreachable                  no answer came: start the server, mend the network
 * ├── UnexpectedAnswer             an answer that is not FairStack's: check the base URL
 * ├── Aborted                      your signal fired (`name` is AbortError); `cause` is its reason
 * ├── Refused                      the server's own error answer
 * │   ├── BadRequest           400 change the request: validation_error, image_refused, webhook_url_refused
 * │   │   └── UnknownModel         the message has the closest keys
 * │   ├── NotAuthenticated     401 send a valid key
 * │   ├── PaymentNeeded        402 add money or raise the cap
 * │   │   ├── InsufficientCredits
 * │   │   └── CapReached
 * │   ├── Forbidden            403 use a key with the scope that is named
 * │   ├── NotFound             404 nothing there for this key
 * │   ├── Conflict             409 the thing is in another state
 * │   │   ├── IdempotencyInFlight
 * │   │   └── JobNotCancellable
 * │   ├── PayloadTooLarge      413
 * │   ├── UnsupportedMediaType 415
 * │   ├── Unprocessable        422
 * │   │   ├── ContentFiltered      change the prompt or the image; nothing was charged
 * │   │   └── IdempotencyKeyReused take a fresh key for a new request
 * │   ├── RateLimited          429 wait `retryAfterSeconds`
 * │   ├── InternalError        5xx report `requestId`
 * │   └── Unavailable          503 another model or another time
 * │       ├── ModelUnavailable
 * │       └── ProviderUnavailable
 * ├── GenerationFailed             the job ended without a clip; `job` says why; nothing was charged
 * ├── GenerationCancelled          the job was cancelled; `job` is it
 * ├── WaitTimeout                  the job goes on; the message has the line that waits again
 * ├── DownloadFailed               the clip exists, the copy was not made: save again
 * └── WebhookRefused               not signed by this secret, altered, or too old: answer 400
 */
import type { Job } from "./job.js";

/** What is known of an error; what does not apply is not there. */
export interface ErrorFacts {
  code?: string | undefined;
  status?: number | undefined;
  param?: string | undefined;
  allowed?: unknown;
  details?: Record<string, unknown> | undefined;
  requestId?: string | undefined;
  jobId?: string | undefined;
  idempotencyKey?: string | undefined;
  retryAfterSeconds?: number | undefined;
  body?: string | undefined;
  cause?: unknown;
}

/** An error with all that is known of it. */
export class FairStackError extends Error {
  /** The API's code, such as `insufficient_credits`. */
  declare readonly code?: string;
  /** The HTTP status. */
  declare readonly status?: number;
  /** The field that is wrong. */
  declare readonly param?: string;
  /** What that field may be. */
  declare readonly allowed?: unknown;
  declare readonly details?: Record<string, unknown>;
  /** Finds this answer in the server's log. */
  declare readonly requestId?: string;
  declare jobId?: string;
  /** The key of a spending call whose fate is not known; sending it again with this key is safe. */
  declare readonly idempotencyKey?: string;
  declare readonly retryAfterSeconds?: number;
  /** The server's error answer, exactly as it came. */
  declare readonly body?: string;

  constructor(message: string, facts: ErrorFacts = {}) {
    super(message);
    for (const [fact, value] of Object.entries(facts)) {
      if (value === undefined) continue;
      // The raw answer and the cause are there to be read, and not in everybody's log.
      const enumerable = fact !== "body" && fact !== "cause";
      Object.defineProperty(this, fact, { value, enumerable, configurable: true, writable: true });
    }
  }

  /** Say more, where it is shown too. */
  addToMessage(more: string): void {
    const before = this.message;
    this.message = before + more;
    // The engine wrote the message into the stack when the error was made.
    if (this.stack?.includes(before)) this.stack = this.stack.replace(before, () => this.message);
  }
}

/** There is no API key, or the address of the server cannot be used. */
export class NotConfigured extends FairStackError {}

/** An argument that cannot be right; nothing was sent. */
export class BadArgument extends FairStackError {}

/** No whole answer came from the server, after the retries that are safe. */
export class Unreachable extends FairStackError {}

/** Something answered, and not as FairStack does. */
export class UnexpectedAnswer extends FairStackError {}

/** Your signal fired; a job that was submitted goes on. `cause` is the signal's reason. */
export class Aborted extends FairStackError {}

/** The job ended without a clip, and nothing was charged; `code` and `message` are the job's. */
export class GenerationFailed extends FairStackError {
  readonly job: Job;

  constructor(job: Job) {
    const reason = job.error?.message ?? "no reason was given";
    super(`${job.id} failed: ${reason}`, { code: job.error?.code, jobId: job.id });
    this.job = job;
  }
}

/** The job was cancelled, so there is no clip. */
export class GenerationCancelled extends FairStackError {
  readonly job: Job;

  constructor(job: Job) {
    super(`${job.id} was cancelled`, { code: "cancelled", jobId: job.id });
    this.job = job;
  }
}

/** The wait is over and the job is not: it goes on, and its clip will be paid for and kept. */
export class WaitTimeout extends FairStackError {
  readonly job: Job;

  constructor(job: Job, waitedMs: number) {
    const waited = `${waitedMs / 1000} s`;
    super(`${job.id} is still ${job.status} after ${waited}. It goes on. ${howToResume(job.id)}`, {
      jobId: job.id,
    });
    this.job = job;
  }
}

/** The clip could not be copied; nothing is lost, save it again. */
export class DownloadFailed extends FairStackError {}

/** A webhook that is not signed by this secret, was altered, or is too old or too new. */
export class WebhookRefused extends FairStackError {}

/** The line of code that waits for a job again. */
export function howToResume(jobId: string): string {
  return `Wait again: await (await client.jobs.get("${jobId}")).wait()`;
}

/** The server answered with an error. */
export class Refused extends FairStackError {}

/** The request itself is wrong; sending it again will not help. */
export class BadRequest extends Refused {}

/** There is no model with this key. */
export class UnknownModel extends BadRequest {}

/** No key, a mistyped key, or one that was revoked or has expired. */
export class NotAuthenticated extends Refused {}

/** The wallet or a cap does not allow this spend; nothing was held. */
export class PaymentNeeded extends Refused {}

/** The wallet holds less than the clip costs. */
export class InsufficientCredits extends PaymentNeeded {}

/** A cap of the account, the key or the request is lower than the price. */
export class CapReached extends PaymentNeeded {}

/** The key lacks a scope. */
export class Forbidden extends Refused {}

/** There is no such thing for this key. */
export class NotFound extends Refused {}

/** The thing is in a state that does not allow this. */
export class Conflict extends Refused {}

/** The first request with this idempotency key is still being answered. */
export class IdempotencyInFlight extends Conflict {}

/** The job has already ended. */
export class JobNotCancellable extends Conflict {}

/** The body or the file is over its limit. */
export class PayloadTooLarge extends Refused {}

/** The uploaded file is of a kind that is not taken. */
export class UnsupportedMediaType extends Refused {}

/** Understood and refused. */
export class Unprocessable extends Refused {}

/** Moderation refused the prompt or the image; nothing was charged. */
export class ContentFiltered extends Unprocessable {}

/** This idempotency key was used for another request. */
export class IdempotencyKeyReused extends Unprocessable {}

/** Too many requests; `retryAfterSeconds` says when to come back. */
export class RateLimited extends Refused {}

/** A fault of the server; `requestId` finds it in its log. */
export class InternalError extends Refused {}

/** The server, the model or its provider cannot be used now. */
export class Unavailable extends Refused {}

/** No provider is configured for this model; the message names the setting that would enable it. */
export class ModelUnavailable extends Unavailable {}

/** The provider of this model does not answer now. */
export class ProviderUnavailable extends Unavailable {}

/** The tree by name. */
const TREE = {
  FairStackError,
  NotConfigured,
  BadArgument,
  Unreachable,
  UnexpectedAnswer,
  GenerationFailed,
  GenerationCancelled,
  WaitTimeout,
  DownloadFailed,
  WebhookRefused,
  Refused,
  BadRequest,
  UnknownModel,
  NotAuthenticated,
  PaymentNeeded,
  InsufficientCredits,
  CapReached,
  Forbidden,
  NotFound,
  Conflict,
  IdempotencyInFlight,
  JobNotCancellable,
  PayloadTooLarge,
  UnsupportedMediaType,
  Unprocessable,
  ContentFiltered,
  IdempotencyKeyReused,
  RateLimited,
  InternalError,
  Unavailable,
  ModelUnavailable,
  ProviderUnavailable,
  // What the language calls it, so that `error.name === "AbortError"` works here too.
  AbortError: Aborted,
};
// Names that stay what they are when a bundler shortens those of the classes.
for (const [name, kind] of Object.entries(TREE)) {
  Object.defineProperty(kind.prototype, "name", { value: name, configurable: true, writable: true });
}
