/** Follow a job by its server-sent events, resuming a broken stream where it broke. */
import { errorOf, pathPart, rest } from "./call.js";
import { Unreachable } from "./errors.js";
import type { Request } from "./exchange.js";
import { fetchJob, hasEnded } from "./job-requests.js";
import { RETRY_AFTER_MAX_SECONDS } from "./retry.js";
import { EventReader } from "./sse.js";
import { isBroken, type Transport } from "./transport.js";
import type { JobEvent } from "./types.js";
import { LOOK_GAP_MS, mendsItself, OUTAGE_PATIENCE_MS } from "./wait.js";

/** An event stream that is silent for so long is taken for dead and opened again. */
const STREAM_SILENCE_MS = 75_000;

/** The job's events until it has ended. */
export async function* followEvents(
  transport: Transport,
  jobId: string,
  lastEventId: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<JobEvent, void, undefined> {
  const { clock } = transport;
  const reader = new EventReader(lastEventId);
  for (let heardAt = clock.now(); ;) {
    const openedAt = clock.now();
    const chunks = await open(transport, jobId, reader.lastId, signal);
    let told = false;
    let broke = chunks === undefined;
    try {
      for await (const chunk of chunks ?? []) {
        heardAt = clock.now();
        for (const event of reader.feed(chunk)) {
          told = true;
          yield event;
          if (hasEnded(event.status)) return;
        }
      }
    } catch (error) {
      if (!isBroken(error)) throw error;
      broke = true;
    }
    reader.forget();
    // Asked to resume after the last event, a server says nothing and closes.
    if (!broke && !told && hasEnded((await fetchJob(transport, jobId, undefined, signal)).status)) return;
    if (clock.now() - heardAt > OUTAGE_PATIENCE_MS + STREAM_SILENCE_MS) {
      throw new Unreachable(`The events of ${jobId} broke off and did not come back.`, { jobId });
    }
    const gap = Math.max(LOOK_GAP_MS, reader.retryMs ?? 1000);
    await rest(transport, openedAt + gap - clock.now(), signal);
  }
}

/** The open stream, or undefined if there is none now. Throws what does not mend itself. */
async function open(
  transport: Transport,
  jobId: string,
  lastEventId: string | undefined,
  signal: AbortSignal | undefined,
): Promise<AsyncIterable<string> | undefined> {
  const request: Request = {
    method: "GET",
    path: `/v1/jobs/${pathPart(jobId)}/events`,
    headers: { Accept: "text/event-stream", ...(lastEventId && { "Last-Event-ID": lastEventId }) },
    silenceMs: STREAM_SILENCE_MS,
  };
  const outcome = await transport.stream(request, signal);
  if (outcome.kind === "stream") return outcome.chunks;
  if (outcome.kind === "broken") return undefined;
  const error = errorOf(transport, request, outcome);
  error.jobId = jobId;
  if (!mendsItself(error)) throw error;
  await rest(transport, Math.min(error.retryAfterSeconds ?? 0, RETRY_AFTER_MAX_SECONDS) * 1000, signal);
  return undefined;
}
