/** When to send a request again, and after how long; pure. */
import type { Broken, Manners, Outcome, Reply, Request } from "./exchange.js";

export const BACKOFF_BASE_MS = 500;
export const BACKOFF_MAX_MS = 8_000;
/** A server that asks for more patience than this gets none: the caller is told instead. */
export const RETRY_AFTER_MAX_SECONDS = 60;
/** What is left to a first request that still runs, between two looks. */
const IN_FLIGHT_MS = 1_000;

/**
 * Milliseconds to wait before sending the request again, or undefined if this outcome stands.
 *
 * Never sends a spending call again without its key, nor any call for a 4xx other than 408, 429 and
 * 409 `idempotency_in_flight`, nor for 503 `model_unavailable`.
 */
export function pauseBeforeRetry(
  manners: Manners,
  request: Request,
  outcome: Outcome,
  retries: number,
  elapsedMs: number,
): number | undefined {
  if (!mayRepeat(request, outcome)) return undefined;
  const inFlight = outcome.kind === "reply" && outcome.status === 409;
  // A first request that still runs says nothing against asking again: time bounds it, not the count.
  if (retries >= manners.maxRetries && !(inFlight && manners.maxRetries > 0)) return undefined;
  const asked = outcome.kind === "reply" ? retryAfterSeconds(outcome.headers) : undefined;
  if (asked !== undefined && asked > RETRY_AFTER_MAX_SECONDS) return undefined;
  const backoff = backoffMs(manners, retries);
  let pause = inFlight ? Math.max(backoff, IN_FLIGHT_MS) : backoff;
  // Spread over what was asked, so that clients refused together do not come back together.
  if (asked !== undefined) pause = asked * 1000 + Math.min(backoff, 1000);
  const patience = Math.min(manners.retryMs, request.retryMs ?? Infinity);
  return elapsedMs + pause <= patience ? pause : undefined;
}

/** A pause that grows with each try, spread at random. */
export function backoffMs(manners: Manners, retries: number): number {
  return manners.draw() * Math.min(BACKOFF_MAX_MS, BACKOFF_BASE_MS * 2 ** Math.min(retries, 16));
}

function mayRepeat(request: Request, outcome: Outcome): boolean {
  if (outcome.kind === "broken") return request.replay !== "once" || !outcome.sent;
  if (outcome.status === 429) return true;
  if (outcome.status === 409) {
    return request.replay === "keyed" && errorCode(outcome) === "idempotency_in_flight";
  }
  if (outcome.status === 408 || outcome.status >= 500) {
    return request.replay !== "once" && errorCode(outcome) !== "model_unavailable";
  }
  return false;
}

/** The outcome, a success whose JSON breaks off counted as no whole answer. */
export function whole(outcome: Outcome): Outcome {
  if (outcome.kind === "broken" || outcome.status < 200 || outcome.status >= 300) return outcome;
  if (outcome.status === 204 || !isJson(outcome)) return outcome;
  return parsed(outcome.text) === undefined ? BREAKS_OFF : outcome;
}

const BREAKS_OFF: Broken = { kind: "broken", sent: true, reason: "the answer's JSON breaks off" };

/** Whether the answer says that it is JSON. */
export function isJson(reply: Reply): boolean {
  return (reply.headers.get("content-type") ?? "").includes("json");
}

/** The JSON of a text; undefined if it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** Whether this is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The `error` object of an answer; empty if it has none. */
export function errorObject(reply: Reply): Record<string, unknown> {
  const answer = parsed(reply.text);
  return isObject(answer) && isObject(answer["error"]) ? answer["error"] : {};
}

function errorCode(reply: Reply): unknown {
  return errorObject(reply)["code"];
}

/** `Retry-After` in seconds from now, be it a number or a date; undefined if absent or unreadable. */
export function retryAfterSeconds(headers: Headers): number | undefined {
  const text = (headers.get("retry-after") ?? "").trim();
  if (text === "") return undefined;
  if (/^\d+(\.\d*)?$/.test(text)) return Number(text);
  const until = Date.parse(text);
  if (Number.isNaN(until)) return undefined;
  // The server's own clock, where it shows it: ours may be wrong.
  const shown = Date.parse(headers.get("date") ?? "");
  return Math.max(0, until - (Number.isNaN(shown) ? Date.now() : shown)) / 1000;
}
