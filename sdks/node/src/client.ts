/** The client: `FairStack` and what hangs on it. Each platform's entry makes its own of it. */
import type {
  ApiKey,
  ApiKeyChange,
  ApiKeyRequest,
  Credits,
  Estimate,
  FileRecord,
  JobQuery,
  LedgerEntry,
  Model,
  ModelQuery,
  Usage,
  UsageQuery,
} from "./api.js";
import { call, callJson, jsonBody, pathPart } from "./call.js";
import { systemClock, type Clock } from "./clock.js";
import { connect, type Mode } from "./connection.js";
import { BadArgument, UnexpectedAnswer } from "./errors.js";
import type { Reply, Request } from "./exchange.js";
import { Generate } from "./generate.js";
import { Job } from "./job.js";
import { cancelJob, fetchJob } from "./job-requests.js";
import { listing, type Listing } from "./listing.js";
import type { Platform } from "./platform.js";
import { upload } from "./sources.js";
import { Transport, type Fetch } from "./transport.js";
import type { CallOptions, JobRecord, Source, VideoRequest } from "./types.js";
import { Webhooks } from "./webhooks.js";

const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MAX_RETRIES = 4;
/** The longest that one call goes on sending its request again. */
const RETRY_MS = 120_000;

/** How a client is made; all of it may be left out. */
export interface FairStackOptions {
  /** Else `FAIRSTACK_API_KEY`, else what the server's first start on this machine wrote. */
  apiKey?: string | undefined;
  /** Else `FAIRSTACK_BASE_URL`, else the local server. */
  baseURL?: string | undefined;
  /** Milliseconds that one request may be silent; default 60,000. */
  timeout?: number | undefined;
  /** How often a request is sent again where that is safe; default 4. */
  maxRetries?: number | undefined;
  /** A fetch of your own, for a proxy or for tests. */
  fetch?: Fetch | undefined;
  /** `test` takes the stored test key: the sandbox. Default: live. */
  mode?: Mode | undefined;
  /** A clock of your own lets tests pass the time. */
  clock?: Clock | undefined;
}

/** A client of one FairStack server, for one API key. */
export class Client {
  readonly #transport: Transport;
  readonly generate: Generate;
  readonly jobs: Jobs;
  readonly models: Models;
  readonly credits: CreditsCalls;
  readonly ledger: Ledger;
  readonly files: Files;
  readonly apiKeys: ApiKeys;
  readonly webhooks: Webhooks;

  constructor(options: FairStackOptions, platform: Platform) {
    const { apiKey, baseURL, mode = "live", fetch = globalThis.fetch, clock = systemClock } = options;
    const connection = connect(platform, apiKey, baseURL, mode);
    if (typeof fetch !== "function")
      throw new BadArgument("This runtime has no fetch: give one", { param: "fetch" });
    const transport = new Transport(
      connection,
      mannersOf(connection.baseURL, options),
      clock,
      platform,
      fetch,
    );
    this.#transport = transport;
    this.generate = new Generate(transport);
    this.jobs = new Jobs(transport);
    this.models = new Models(transport);
    this.credits = new CreditsCalls(transport);
    this.ledger = new Ledger(transport);
    this.files = new Files(transport);
    this.apiKeys = new ApiKeys(transport);
    this.webhooks = new Webhooks(platform);
  }

  /** Address of the server. */
  get baseURL(): string {
    return this.#transport.manners.baseURL;
  }

  /** What Node, Deno and Bun show of it. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `<FairStack ${this.baseURL}>`;
  }

  /** The exact price of this request; nothing is made, held or charged. */
  estimate(request: VideoRequest, options: CallOptions = {}): Promise<Estimate> {
    return this.generate.estimate(request, options);
  }

  /** What was charged, grouped by day, model, key or tag; by default in the last 30 days. */
  usage(query: UsageQuery = {}, options: CallOptions = {}): Promise<Usage> {
    return callJson<Usage>(
      this.#transport,
      { method: "GET", path: "/v1/usage", query: { ...query } },
      options.signal,
    );
  }

  /** Any call of the API, with this client's manners. Throws FairStackError unless it succeeds. */
  send(request: Request, options: CallOptions = {}): Promise<Reply> {
    return call(this.#transport, request, options.signal);
  }
}

function mannersOf(baseURL: string, options: FairStackOptions): Transport["manners"] {
  const { timeout = DEFAULT_TIMEOUT_MS, maxRetries = DEFAULT_MAX_RETRIES } = options;
  if (!(timeout > 0 && timeout < 2 ** 31)) {
    throw new BadArgument("timeout must be more than 0 milliseconds, and less than 25 days", {
      param: "timeout",
    });
  }
  if (!(maxRetries >= 0)) throw new BadArgument("maxRetries must be 0 or more", { param: "maxRetries" });
  return { baseURL, timeoutMs: timeout, maxRetries, retryMs: RETRY_MS, draw: Math.random };
}

/** `client.jobs`: look at jobs and cancel them. */
export class Jobs {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The job now; with `wait`, held by the server up to so many seconds (<= 60) for its end. */
  async get(jobId: string, options: CallOptions & { wait?: number | undefined } = {}): Promise<Job> {
    return new Job(this.#transport, await fetchJob(this.#transport, jobId, options.wait, options.signal));
  }

  /** All jobs that fit, newest first; pages are fetched as you go. */
  list(query: JobQuery = {}, options: CallOptions = {}): Listing<Job> {
    const transport = this.#transport;
    return listing(
      transport,
      "/v1/jobs",
      query,
      (record: JobRecord) => new Job(transport, record),
      options.signal,
    );
  }

  /** Cancel the job; `cancellation` says what came of it. Throws JobNotCancellable if it has ended. */
  async cancel(jobId: string, options: CallOptions = {}): Promise<Job> {
    return new Job(this.#transport, await cancelJob(this.#transport, jobId, options.signal));
  }
}

/** `client.models`: the catalog. */
export class Models {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The video models that fit. */
  async list(query: ModelQuery = {}, options: CallOptions = {}): Promise<Model[]> {
    const request = { method: "GET", path: "/v1/models", query: { modality: "video", ...query } } as const;
    const { models } = await callJson<{ models?: Model[] }>(this.#transport, request, options.signal);
    if (!Array.isArray(models)) throw new UnexpectedAnswer("/v1/models did not answer with models");
    return models;
  }

  /** One model, by key or alias. */
  async get(key: string, options: CallOptions = {}): Promise<Model> {
    return callJson<Model>(
      this.#transport,
      { method: "GET", path: `/v1/models/${pathPart(key)}` },
      options.signal,
    );
  }
}

/** `client.credits`: the wallet. */
export class CreditsCalls {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** What can be spent, what is held, and the caps. */
  get(options: CallOptions = {}): Promise<Credits> {
    return callJson<Credits>(this.#transport, { method: "GET", path: "/v1/credits" }, options.signal);
  }
}

/** `client.ledger`: every movement of money. */
export class Ledger {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** All entries, newest first; pages are fetched as you go. */
  list(query: { limit?: number | undefined } = {}, options: CallOptions = {}): Listing<LedgerEntry> {
    const asked = { limit: 100, ...query };
    return listing(this.#transport, "/v1/ledger", asked, (entry: LedgerEntry) => entry, options.signal);
  }
}

/** `client.files`: uploads. */
export class Files {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** Upload a file by path, Blob or bytes; its id can stand where an image URL can. */
  async upload(source: Source, options: CallOptions = {}): Promise<FileRecord> {
    return upload(this.#transport, source, "file", options.signal);
  }

  /** What is known of an uploaded file. */
  async get(fileId: string, options: CallOptions = {}): Promise<FileRecord> {
    return callJson<FileRecord>(
      this.#transport,
      { method: "GET", path: `/v1/files/${pathPart(fileId)}` },
      options.signal,
    );
  }

  /** Delete an uploaded file. */
  async delete(fileId: string, options: CallOptions = {}): Promise<void> {
    const request = { method: "DELETE", path: `/v1/files/${pathPart(fileId)}` } as const;
    await call(this.#transport, request, options.signal);
  }
}

/** `client.apiKeys`: keys of the account. */
export class ApiKeys {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** The account's keys, without their secrets. */
  async list(options: CallOptions = {}): Promise<ApiKey[]> {
    const { items } = await callJson<{ items?: ApiKey[] }>(
      this.#transport,
      { method: "GET", path: "/v1/api-keys" },
      options.signal,
    );
    if (!Array.isArray(items)) throw new UnexpectedAnswer("/v1/api-keys did not answer with items");
    return items;
  }

  /** Make a key; `key` of the answer is the secret, shown this once, so it is never asked for twice. */
  async create(request: ApiKeyRequest, options: CallOptions = {}): Promise<ApiKey> {
    const asked = { method: "POST", path: "/v1/api-keys", body: jsonBody(request), replay: "once" } as const;
    return callJson<ApiKey>(this.#transport, asked, options.signal);
  }

  /** Change what is given; `cap_micro: null` takes the monthly cap away. */
  async update(keyId: string, change: ApiKeyChange, options: CallOptions = {}): Promise<ApiKey> {
    const path = `/v1/api-keys/${pathPart(keyId)}`;
    return callJson<ApiKey>(
      this.#transport,
      { method: "PATCH", path, body: jsonBody(change), replay: "safe" },
      options.signal,
    );
  }

  /** Revoke the key; it is refused from now on. */
  async revoke(keyId: string, options: CallOptions = {}): Promise<void> {
    const request = { method: "DELETE", path: `/v1/api-keys/${pathPart(keyId)}` } as const;
    await call(this.#transport, request, options.signal);
  }
}
