/** The requests about jobs, and how their answers are read. */
import { callJson, pathPart } from "./call.js";
import { BadArgument, Conflict } from "./errors.js";
import type { Request } from "./exchange.js";
import type { Transport } from "./transport.js";
import type { JobRecord } from "./types.js";

/** The longest that the server is asked to hold an answer. */
export const HOLD_MAX_SECONDS = 60;

/** Whether the job will not change any more. */
export function hasEnded(status: string | undefined): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** The request for a job now, or held by the server for up to so many seconds until it ends. */
export function look(jobId: string, holdSeconds?: number): Request {
  return {
    method: "GET",
    path: `/v1/jobs/${pathPart(jobId)}`,
    query: { wait: holdSeconds ? Math.ceil(holdSeconds) : undefined },
  };
}

/** The job now; held by the server up to `wait` seconds (<= 60) for its end. */
export async function fetchJob(
  transport: Transport,
  jobId: string,
  wait?: number,
  signal?: AbortSignal,
): Promise<JobRecord> {
  if (wait !== undefined && !(wait >= 0 && wait <= HOLD_MAX_SECONDS)) {
    throw new BadArgument(`wait must be 0 to ${HOLD_MAX_SECONDS} seconds, not ${wait}`, { param: "wait" });
  }
  const request = look(jobId, wait);
  // The hold is the server's to keep: it must not be taken for silence.
  const silenceMs = Math.max(transport.manners.timeoutMs, (wait ?? 0) * 1000 + 10_000);
  return callJson<JobRecord>(transport, wait ? { ...request, silenceMs } : request, signal);
}

/** Cancel the job; one that is cancelled already is simply returned. Throws JobNotCancellable if it has ended otherwise. */
export async function cancelJob(
  transport: Transport,
  jobId: string,
  signal?: AbortSignal,
): Promise<JobRecord> {
  const request: Request = { method: "POST", path: `/v1/jobs/${pathPart(jobId)}/cancel`, replay: "safe" };
  try {
    return await callJson<JobRecord>(transport, request, signal);
  } catch (error) {
    if (!(error instanceof Conflict)) throw error;
    // Our own first try may have done it, its answer lost.
    const record = await fetchJob(transport, jobId, undefined, signal);
    if (record.status !== "cancelled") throw error;
    return record;
  }
}
