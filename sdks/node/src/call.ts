/** One call of the API: send, retry with manners, and turn every bad outcome into its error. */
import { isLoopback } from "./connection.js";
import { BadArgument, FairStackError, UnexpectedAnswer, Unreachable } from "./errors.js";
import type { Broken, Outcome, Reply, Request } from "./exchange.js";
import { aborted } from "./patience.js";
import { refusalClass } from "./refusals.js";
import {
  errorObject,
  isJson,
  isObject,
  parsed,
  pauseBeforeRetry,
  retryAfterSeconds,
  whole,
} from "./retry.js";
import type { Transport } from "./transport.js";

export const IDEMPOTENCY_HEADER = "Idempotency-Key";

/** Send the request, again where that is safe, until it succeeds. Throws FairStackError. */
export async function call(transport: Transport, request: Request, signal?: AbortSignal): Promise<Reply> {
  const { manners, clock } = transport;
  const safe: Request = { replay: ["GET", "DELETE"].includes(request.method) ? "safe" : "once", ...request };
  const started = clock.now();
  for (let retries = 0; ; retries++) {
    const outcome = await keeping(safe, async () => whole(await transport.send(safe, signal)));
    if (outcome.kind === "reply" && outcome.status >= 200 && outcome.status < 300) return outcome;
    const pause = pauseBeforeRetry(manners, safe, outcome, retries, clock.now() - started);
    if (pause === undefined) throw errorOf(transport, safe, outcome);
    await rest(transport, pause, signal);
  }
}

/** An abort leaves the fate of a spending call unknown: its error tells the key that makes it safe. */
async function keeping<T>(request: Request, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const value = request.headers?.[IDEMPOTENCY_HEADER];
    if (value !== undefined && error instanceof FairStackError) {
      Object.defineProperty(error, "idempotencyKey", { value, enumerable: true, configurable: true });
    }
    throw error;
  }
}

/** Let time pass, if there is something to wait for. Throws Aborted. */
export async function rest(transport: Transport, milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (milliseconds > 0) await transport.clock.sleep(milliseconds, signal);
  if (signal?.aborted) throw aborted(signal);
}

/** Call and read the JSON answer, an object. Throws FairStackError. */
export async function callJson<T extends object>(
  transport: Transport,
  request: Request,
  signal?: AbortSignal,
): Promise<T> {
  return jsonOf<T>(transport, await call(transport, request, signal));
}

/** The JSON of a success. Throws UnexpectedAnswer if it is something else, such as a web page. */
export function jsonOf<T extends object>(transport: Transport, reply: Reply): T {
  const { baseURL } = transport.manners;
  const requestId = reply.headers.get("x-request-id") ?? undefined;
  if (!isJson(reply)) {
    const kind = reply.headers.get("content-type") ?? "no content type";
    const message = `${baseURL} answered ${reply.status} with ${kind}, not JSON. Is it the address of a FairStack server?`;
    throw new UnexpectedAnswer(message, { status: reply.status, requestId });
  }
  const answer = parsed(reply.text);
  if (!isObject(answer)) {
    const message = `${baseURL} answered ${reply.status} with JSON that is no object`;
    throw new UnexpectedAnswer(message, { status: reply.status, requestId });
  }
  return answer as T;
}

/** The body as JSON. Throws BadArgument for what JSON cannot say, such as NaN. */
export function jsonBody(body: object): string {
  try {
    return JSON.stringify(body, (field, value: unknown) => {
      // Written as null, it would be taken for "left out", and rendered and paid for as something else.
      if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`${field} is ${value}`);
      return value;
    });
  } catch (error) {
    throw new BadArgument(`The request cannot be written as JSON: ${(error as Error).message}`);
  }
}

/** An id made safe as one part of a path. Throws BadArgument for an empty one. */
export function pathPart(id: string): string {
  if (!id) throw new BadArgument("An id is empty");
  return encodeURIComponent(id);
}

/** The error that tells of an outcome that stands. */
export function errorOf(transport: Transport, request: Request, outcome: Outcome): FairStackError {
  if (outcome.kind === "broken") return unreachable(transport.manners.baseURL, request, outcome);
  const { baseURL } = transport.manners;
  // A browser shows a redirect that is not followed as status 0.
  if (outcome.status < 200 || (outcome.status >= 300 && outcome.status < 400)) {
    const where = outcome.headers.get("location") ?? "elsewhere";
    const message = `${baseURL} answered ${outcome.status}, pointing to ${where}. Set the base URL to the API itself.`;
    return new UnexpectedAnswer(message, { status: outcome.status });
  }
  return refused(baseURL, request, outcome);
}

function unreachable(baseURL: string, request: Request, outcome: Broken): Unreachable {
  const idempotencyKey = request.headers?.[IDEMPOTENCY_HEADER];
  let message = `No answer from ${baseURL} to ${request.method} ${request.path}: ${outcome.reason}.`;
  if (idempotencyKey && outcome.sent) {
    message += ` Whether it arrived is not known; idempotencyKey: "${idempotencyKey}" makes sending it again safe.`;
  } else if (!outcome.sent && isLoopback(baseURL)) {
    message += " Is the server running? Start it with: fairstack serve";
  }
  return new Unreachable(message, { idempotencyKey });
}

function refused(baseURL: string, request: Request, reply: Reply): FairStackError {
  const error = errorObject(reply);
  const code = text(error["code"]);
  const message = text(error["message"]) || `${baseURL} answered ${reply.status} without saying why`;
  const fateUnknown = reply.status >= 500 || [408, 409, 429].includes(reply.status);
  return new (refusalClass(code, reply.status))(message, {
    code,
    status: reply.status,
    param: text(error["param"]),
    allowed: error["allowed"],
    details: isObject(error["details"]) ? error["details"] : undefined,
    requestId: text(error["request_id"]) ?? reply.headers.get("x-request-id") ?? undefined,
    idempotencyKey: fateUnknown ? request.headers?.[IDEMPOTENCY_HEADER] : undefined,
    retryAfterSeconds: retryAfterSeconds(reply.headers),
    body: Object.keys(error).length > 0 ? reply.text : undefined,
  });
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}
