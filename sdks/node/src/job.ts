/** A job: what was last heard of it, and what can be done with it. */
import type { Cost, Estimate, JobError, Metadata } from "./api.js";
import { GenerationCancelled, GenerationFailed, UnexpectedAnswer } from "./errors.js";
import { followEvents } from "./events.js";
import { cancelJob, fetchJob } from "./job-requests.js";
import { save } from "./save.js";
import type { Transport } from "./transport.js";
import type { CallOptions, JobEvent, JobRecord, JobStatus, Result, WaitOptions } from "./types.js";
import { waitUntilEnded } from "./wait.js";

/** What `job.events()` can be told. */
export interface EventOptions extends CallOptions {
  /** Resume after this event. */
  lastEventId?: string | undefined;
}

/** A job, as last heard of; `wait()` for its result. Its facts have the API's own names. */
export class Job {
  readonly #transport: Transport;
  readonly #estimate: Estimate | undefined;
  #record: JobRecord;

  /** Made by the client. */
  constructor(transport: Transport, record: JobRecord) {
    this.#transport = transport;
    this.#record = record;
    this.#estimate = record.estimated_cost;
  }

  /** All that the server told of it last. */
  get record(): JobRecord {
    return this.#record;
  }

  /** The job's id, `job_…`. */
  get id(): string {
    return this.#record.id;
  }

  get status(): JobStatus {
    return this.#record.status;
  }

  /** Key of the model. */
  get model(): string {
    return this.#record.model;
  }

  /** The price promised at submit, where this job was seen before it ended. */
  get estimated_cost(): Estimate | undefined {
    return this.#record.estimated_cost ?? this.#estimate;
  }

  /** From 0 to 1, or null if the provider does not tell. */
  get progress(): number | null {
    return this.#record.progress ?? null;
  }

  get created_at(): string | undefined {
    return this.#record.created_at;
  }

  /** When the job ended. */
  get completed_at(): string | undefined {
    return this.#record.completed_at;
  }

  /** Address of the clip, once completed. */
  get url(): string | undefined {
    return this.#record.url;
  }

  /** What was charged, once completed. */
  get cost(): Cost | undefined {
    return this.#record.cost;
  }

  /** Facts of the clip, once completed. */
  get metadata(): Metadata | undefined {
    return this.#record.metadata;
  }

  get tags(): Record<string, string> {
    return this.#record.tags ?? {};
  }

  /** Why the job failed, if it did. */
  get error(): JobError | undefined {
    return this.#record.error;
  }

  /** What a cancel achieved. */
  get cancellation(): JobRecord["cancellation"] {
    return this.#record.cancellation;
  }

  /** The result, if the job has completed. */
  get result(): Result | undefined {
    return this.status === "completed" ? resultOf(this.#transport, this.#record) : undefined;
  }

  /**
   * Wait until the clip is there; `onProgress(job)` is called, and awaited, at each look.
   *
   * Waits `timeout` milliseconds, by default as long as the model's longest job. Throws GenerationFailed,
   * GenerationCancelled, Aborted, or WaitTimeout, which leaves the job running and says how to wait again.
   */
  async wait(
    options: WaitOptions & { onProgress?: ((job: Job) => unknown) | undefined } = {},
  ): Promise<Result> {
    await waitUntilEnded(this.#transport, this, (record) => (this.#record = record), options);
    if (this.status === "failed") throw new GenerationFailed(this);
    if (this.status === "cancelled") throw new GenerationCancelled(this);
    return resultOf(this.#transport, this.#record);
  }

  /** Ask how the job is now; gives itself, brought up to date. */
  async refresh(options: CallOptions = {}): Promise<this> {
    this.#record = await fetchJob(this.#transport, this.id, undefined, options.signal);
    return this;
  }

  /** Cancel the job; `cancellation` says what came of it. Throws JobNotCancellable if it has ended. */
  async cancel(options: CallOptions = {}): Promise<this> {
    this.#record = await cancelJob(this.#transport, this.id, options.signal);
    return this;
  }

  /** The job's events until it ends, resumed where the stream breaks. */
  events(options: EventOptions = {}): AsyncGenerator<JobEvent, void, undefined> {
    return followEvents(this.#transport, this.id, options.lastEventId, options.signal);
  }

  toJSON(): JobRecord {
    return this.#record;
  }

  /** What Node, Deno and Bun show of it. */
  [Symbol.for("nodejs.util.inspect.custom")](
    _depth: number,
    options: object,
    inspect?: (...of: unknown[]) => string,
  ) {
    return `Job ${inspect ? inspect(this.#record, options) : JSON.stringify(this.#record)}`;
  }
}

/** The record of a completed job as its result. Throws UnexpectedAnswer if it lacks what a result has. */
function resultOf(transport: Transport, record: JobRecord): Result {
  if (!record.url || !record.cost || !record.metadata) {
    const message = `${record.id} is completed, and the answer lacks url, cost or metadata`;
    throw new UnexpectedAnswer(message, { jobId: record.id });
  }
  const copy = (path = "."): ReturnType<Result["save"]> => save(transport, record, path);
  // Not enumerable: what is shown, compared and written as JSON is the server's answer alone.
  return Object.defineProperty({ ...record }, "save", { value: copy }) as Result;
}
