/** `client.generate`: ask for clips, or for their price. */
import type { Estimate } from "./api.js";
import { call, callJson, IDEMPOTENCY_HEADER, jsonBody, jsonOf } from "./call.js";
import { BadArgument, FairStackError, UnexpectedAnswer } from "./errors.js";
import { Job } from "./job.js";
import { aborted } from "./patience.js";
import { nameOf } from "./sources.js";
import type { Transport } from "./transport.js";
import type { CallOptions, JobRecord, Result, SubmitOptions, VideoRequest, WaitOptions } from "./types.js";

const PATH = "/v1/generations/video";
const SOURCES = ["image", "end_image", "video", "audio_url"] as const;
const DEFAULT_CONCURRENCY = 4;

export interface ManyOptions extends WaitOptions {
  /** Jobs under way at a time; default 4. */
  concurrency?: number | undefined;
  /** Called, and awaited, at each look at one of the jobs; `index` is that of its request. */
  onProgress?: ((job: Job, index: number) => unknown) | undefined;
}

type Body = Record<string, unknown>;

/** Ask for clips. */
export class Generate {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /**
   * Submit a job; gives it at once with its id and its price.
   *
   * However often the request has to be sent, one job is made: each call carries an Idempotency-Key (yours, if
   * you give one, also makes your own repeats safe). Paths, Blobs and bytes given as pictures, video or
   * sound are uploaded first.
   */
  async video(request: VideoRequest, options: SubmitOptions = {}): Promise<Job> {
    const { idempotencyKey, signal } = options;
    const key = this.#idempotencyKey(idempotencyKey);
    const body = await bodyOf(this.#transport, request, idempotencyKey !== undefined, signal);
    const submit = {
      method: "POST",
      path: PATH,
      body: jsonBody(body),
      headers: { [IDEMPOTENCY_HEADER]: key },
      replay: "keyed",
    } as const;
    try {
      const answer = jsonOf<JobRecord>(this.#transport, await call(this.#transport, submit, signal));
      if (!answer.id) throw new UnexpectedAnswer(`${PATH} did not answer with a job`);
      return new Job(this.#transport, { ...answer, model: answer.model ?? request.model });
    } catch (error) {
      if (error instanceof FairStackError && idempotencyKey === undefined) tellUploads(error, request, body);
      throw error;
    }
  }

  /** The exact price of this request; nothing is made, held or charged. */
  async estimate(request: VideoRequest, options: CallOptions = {}): Promise<Estimate> {
    const body = await bodyOf(this.#transport, request, false, options.signal);
    const asked = {
      method: "POST",
      path: PATH,
      body: jsonBody({ ...body, confirm: false }),
      replay: "safe",
    } as const;
    const answer = await callJson<{ estimated_cost?: Estimate }>(this.#transport, asked, options.signal);
    if (!answer.estimated_cost) throw new UnexpectedAnswer(`${PATH} did not answer with a price`);
    return answer.estimated_cost;
  }

  /**
   * Make many clips, a few at a time, and wait for all; never rejects for one of them.
   *
   * As Promise.allSettled: one entry for each request, in their order, `{ status: "fulfilled", value: result }` or
   * `{ status: "rejected", reason: error }`. After an abort the rest is not submitted.
   */
  async many(
    requests: Iterable<VideoRequest>,
    options: ManyOptions = {},
  ): Promise<PromiseSettledResult<Result>[]> {
    const { concurrency = DEFAULT_CONCURRENCY, onProgress, ...waiting } = options;
    if (!(concurrency >= 1)) throw new BadArgument("concurrency must be 1 or more", { param: "concurrency" });
    const todo = [...requests].entries();
    const settled: PromiseSettledResult<Result>[] = [];
    const one = async (request: VideoRequest, index: number): Promise<Result> => {
      if (waiting.signal?.aborted) throw aborted(waiting.signal);
      const job = await this.video(request, { signal: waiting.signal });
      return job.wait({ ...waiting, onProgress: onProgress && ((seen) => onProgress(seen, index)) });
    };
    const worker = async (): Promise<void> => {
      // One iterator for all workers: each takes the next request that nobody has taken.
      for (const [index, request] of todo) {
        const [outcome] = await Promise.allSettled([one(request, index)]);
        settled[index] = outcome;
      }
    };
    await Promise.all(Array.from({ length: concurrency }, worker));
    return settled;
  }

  #idempotencyKey(given: string | undefined): string {
    if (given === undefined) return `node-${this.#transport.platform.randomHex(16)}`;
    if (!/^[!-~]{1,255}$/.test(given)) {
      throw new BadArgument("idempotencyKey must be 1 to 255 visible ASCII characters", {
        param: "idempotencyKey",
      });
    }
    return given;
  }
}

/** The body of a request: sources of this machine named, what was left out gone. */
async function bodyOf(
  transport: Transport,
  request: VideoRequest,
  inline: boolean,
  signal: AbortSignal | undefined,
): Promise<Body> {
  const body: Body = { ...request };
  if ("confirm" in body) {
    throw new BadArgument("confirm is not asked for here: client.estimate(request) gives the price", {
      param: "confirm",
    });
  }
  for (const name of SOURCES) {
    const source = request[name];
    if (source !== undefined && source !== null)
      body[name] = await nameOf(transport, name, source, inline, signal);
  }
  if (request.images) body["images"] = await namesOf(transport, request.images, inline, signal);
  return body;
}

async function namesOf(
  transport: Transport,
  images: NonNullable<VideoRequest["images"]>,
  inline: boolean,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  if (!Array.isArray(images))
    throw new BadArgument("images must be a list of pictures, not one", { param: "images" });
  const names: string[] = [];
  for (const image of images) names.push(await nameOf(transport, "images", image, inline, signal));
  return names;
}

/** The same key wants the same body, and a second upload would have another id: say what the first was. */
function tellUploads(error: FairStackError, request: VideoRequest, body: Body): void {
  const named = ([...SOURCES, "images"] as const).filter(
    (name) => body[name] !== request[name] && JSON.stringify(body[name]) !== JSON.stringify(request[name]),
  );
  if (!error.idempotencyKey || named.length === 0) return;
  const uploads = named.map((name) => `${name}: ${JSON.stringify(body[name])}`);
  error.addToMessage(` Name what was uploaded then: ${uploads.join(", ")}.`);
}
