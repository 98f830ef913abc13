/** Wait for a job: patient, polite, and never the reason that a clip is lost. */
import type { Model } from "./api.js";
import { call, callJson, jsonOf, pathPart, rest } from "./call.js";
import {
  Aborted,
  BadArgument,
  FairStackError,
  howToResume,
  InternalError,
  NotFound,
  RateLimited,
  Unavailable,
  Unreachable,
  WaitTimeout,
} from "./errors.js";
import type { Reply, Request } from "./exchange.js";
import type { Job } from "./job.js";
import { hasEnded, HOLD_MAX_SECONDS, look } from "./job-requests.js";
import { RETRY_AFTER_MAX_SECONDS, retryAfterSeconds } from "./retry.js";
import type { Transport } from "./transport.js";
import type { JobRecord, WaitOptions } from "./types.js";

/** With a progress callback the answer is held shorter, so that there is news to tell. */
const HOLD_WITH_PROGRESS_SECONDS = 2;
/** Two looks at a job are at least so far apart, whatever the server says. */
export const LOOK_GAP_MS = 500;
/** The wait of a job whose model does not say how long it may take. */
const LONGEST_JOB_MS = 3_600_000;
/** A wait or an event stream outlives a server that is away for so long, such as during its restart. */
export const OUTAGE_PATIENCE_MS = 60_000;
const OUTAGE_GAP_MS = 1_000;
const SHORTEST_LOOK_MS = 1_000;
/** An answer that drips on for longer than this is given up, and asked for again. */
const LONGEST_LOOK_MS = 300_000;

export interface Waiting extends WaitOptions {
  /** Called, and awaited, at each look. */
  onProgress?: ((job: Job) => unknown) | undefined;
}

/** Whether this ends by itself, given time. */
export function mendsItself(error: unknown): error is FairStackError {
  return [Unreachable, Unavailable, InternalError, RateLimited].some((kind) => error instanceof kind);
}

/**
 * Wait until the job has ended, telling `job` of every look.
 *
 * Throws WaitTimeout after `timeout` (undefined: the model's longest job time); a server that is away for
 * less than a minute does not end the wait.
 */
export async function waitUntilEnded(
  transport: Transport,
  job: Job,
  hear: (record: JobRecord) => void,
  { timeout, onProgress, signal }: Waiting,
): Promise<void> {
  if (timeout !== undefined && !(timeout >= 0)) {
    throw new BadArgument("timeout must be 0 or more milliseconds", { param: "timeout" });
  }
  const { clock } = transport;
  const started = clock.now();
  let limit = timeout;
  for (let first = true; !hasEnded(job.status); first = false) {
    const askedAt = clock.now();
    // The model is asked for its longest time only when the job was not quick.
    if (!first) limit ??= await telling(job.id, longestMs(transport, job.model, signal));
    const left = Math.max((limit ?? LONGEST_JOB_MS) - (askedAt - started), SHORTEST_LOOK_MS);
    const looked = lookOnce(transport, job.id, left, onProgress !== undefined, signal);
    const { record, pause } = await telling(job.id, looked);
    hear(record);
    await onProgress?.(job);
    if (hasEnded(job.status)) return;
    const now = clock.now();
    const end = started + (limit ?? Infinity);
    if (now >= end) throw new WaitTimeout(job, limit ?? 0);
    const due = Math.max(Math.min(now + pause, end), askedAt + LOOK_GAP_MS);
    await telling(job.id, rest(transport, due - now, signal));
  }
}

/** One look at the job, and for how long the server wants us to stay away. */
async function lookOnce(
  transport: Transport,
  jobId: string,
  left: number,
  heldShort: boolean,
  signal: AbortSignal | undefined,
): Promise<{ record: JobRecord; pause: number }> {
  // The deadline also bounds the request in flight; the hold ends before the patience with it does.
  const silenceMs = Math.min(transport.manners.timeoutMs, left);
  const hold = Math.floor(
    Math.min(heldShort ? HOLD_WITH_PROGRESS_SECONDS : HOLD_MAX_SECONDS, (silenceMs / 1000) * 0.8),
  );
  const askedAt = transport.clock.now();
  const reply = await patiently(
    transport,
    { ...look(jobId, hold), silenceMs, limitMs: Math.min(left, LONGEST_LOOK_MS) },
    left,
    signal,
  );
  const record = jsonOf<JobRecord>(transport, reply);
  // The server held the answer for its full time: asking again to be held costs nobody anything.
  if (hold > 0 && transport.clock.now() - askedAt >= hold * 1000) return { record, pause: 0 };
  const asked = retryAfterSeconds(reply.headers) ?? 0;
  return { record, pause: Math.min(asked, RETRY_AFTER_MAX_SECONDS) * 1000 };
}

/** Call, outliving an outage of the server. */
async function patiently(
  transport: Transport,
  request: Request,
  left: number,
  signal: AbortSignal | undefined,
): Promise<Reply> {
  const { clock } = transport;
  const patience = Math.min(OUTAGE_PATIENCE_MS, left);
  const started = clock.now();
  for (let away = 0; ;) {
    try {
      return await call(transport, { ...request, retryMs: Math.max(patience - away, 0) }, signal);
    } catch (error) {
      away = clock.now() - started;
      if (!mendsItself(error) || away >= patience) throw error;
      const pause = Math.max(OUTAGE_GAP_MS, (error.retryAfterSeconds ?? 0) * 1000);
      await rest(transport, Math.min(pause, Math.max(patience - away, OUTAGE_GAP_MS)), signal);
    }
  }
}

/** Work whose errors tell the job's id and how to resume. */
async function telling<T>(jobId: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof FairStackError)) throw error;
    error.jobId = jobId;
    const resume = howToResume(jobId);
    if (!(error instanceof NotFound) && !error.message.includes(resume))
      error.addToMessage(` The job goes on. ${resume}`);
    throw error;
  }
}

async function longestMs(
  transport: Transport,
  model: string | undefined,
  signal?: AbortSignal,
): Promise<number> {
  if (model === undefined) return LONGEST_JOB_MS;
  try {
    const path = `/v1/models/${pathPart(model)}`;
    const { longest_seconds } = await callJson<Partial<Model>>(transport, { method: "GET", path }, signal);
    return typeof longest_seconds === "number" && longest_seconds > 0
      ? longest_seconds * 1000
      : LONGEST_JOB_MS;
  } catch (error) {
    // A limit is all that is wanted here; the wait itself tells of a server that is away.
    if (error instanceof FairStackError && !(error instanceof Aborted)) return LONGEST_JOB_MS;
    throw error;
  }
}
