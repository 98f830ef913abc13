/** Between our requests and fetch: addresses, headers, timeouts, and what a broken exchange means. */
import type { Clock } from "./clock.js";
import type { Connection } from "./connection.js";
import { Aborted } from "./errors.js";
import type { Broken, Manners, Outcome, Reply, Request } from "./exchange.js";
import { Patience } from "./patience.js";
import type { PartFile, Platform } from "./platform.js";
import { VERSION } from "./version.js";

export type Fetch = typeof globalThis.fetch;

/** An answer that is kept open. */
export interface OpenStream {
  readonly kind: "stream";
  /** Its text, piece by piece. Throws a Broken when the stream breaks. */
  readonly chunks: AsyncIterable<string>;
}

/** Sends requests once; what they mean is judged elsewhere. */
export class Transport {
  readonly manners: Manners;
  readonly clock: Clock;
  readonly platform: Platform;
  // Behind a hash nothing shows it: neither inspection, nor JSON, nor a log of the client.
  readonly #apiKey: string;
  readonly #fetch: Fetch;

  constructor(connection: Connection, manners: Manners, clock: Clock, platform: Platform, fetch: Fetch) {
    this.#apiKey = connection.apiKey;
    this.#fetch = fetch;
    this.manners = manners;
    this.clock = clock;
    this.platform = platform;
  }

  /** Send the request once and read its answer whole. Throws Aborted. */
  async send(request: Request, signal: AbortSignal | undefined): Promise<Outcome> {
    return this.#exchange(this.#patience(request, signal), async (patience) => {
      const response = await this.#open(request, patience.signal);
      return replyOf(response, await textOf(response, patience));
    });
  }

  /** Send the request and keep its answer open if it is 200. Throws Aborted. */
  async stream(request: Request, signal: AbortSignal | undefined): Promise<Outcome | OpenStream> {
    const patience = this.#patience(request, signal);
    let opened: Response | undefined;
    const outcome = await this.#exchange(
      patience,
      async () => {
        const response = await this.#open(request, patience.signal);
        if (response.status !== 200) return replyOf(response, await textOf(response, patience));
        opened = response;
        return replyOf(response, "");
      },
      () => opened !== undefined,
    );
    return opened && outcome.kind === "reply"
      ? { kind: "stream", chunks: chunksOf(opened, patience) }
      : outcome;
  }

  /** GET this address, without the key, into the file if it answers 200. Throws Aborted. */
  async download(url: string, file: PartFile, signal: AbortSignal | undefined): Promise<Outcome> {
    const patience = new Patience(this.manners.timeoutMs, undefined, signal);
    return this.#exchange(patience, async () => {
      // The bytes as they are: a length can then be checked.
      const headers = { ...this.#agent(), "Accept-Encoding": "identity" };
      const response = await this.#fetch.call(globalThis, url, { headers, signal: patience.signal });
      if (response.status === 200) {
        await file.begin();
        for await (const chunk of bytesOf(response, patience)) await file.write(chunk);
      } else {
        await response.body?.cancel();
      }
      return replyOf(response, "");
    });
  }

  #patience(request: Request, signal: AbortSignal | undefined): Patience {
    return new Patience(request.silenceMs ?? this.manners.timeoutMs, request.limitMs, signal);
  }

  #open(request: Request, signal: AbortSignal): Promise<Response> {
    const url = this.manners.baseURL + request.path + queryOf(request.query ?? {});
    const headers: Record<string, string> = {
      Authorization: `Bearer ${this.#apiKey}`,
      Accept: "application/json",
      ...this.#agent(),
      ...request.headers,
    };
    if (request.body !== undefined) headers["Content-Type"] = request.contentType ?? "application/json";
    // Called as a function of the global object, as browsers insist; the key goes nowhere else.
    return this.#fetch.call(globalThis, url, {
      method: request.method,
      headers,
      body: (request.body ?? null) as BodyInit | null,
      redirect: "manual",
      signal,
    });
  }

  #agent(): Record<string, string> {
    const { agent } = this.platform;
    return agent === undefined ? {} : { "User-Agent": `fairstack-node/${VERSION} ${agent}` };
  }

  async #exchange(
    patience: Patience,
    work: (patience: Patience) => Promise<Reply>,
    staysOpen: () => boolean = () => false,
  ): Promise<Outcome> {
    try {
      return await work(patience);
    } catch (error) {
      return patience.judge(error);
    } finally {
      if (!staysOpen()) patience.end();
    }
  }
}

/** Query parameters as text; undefined is left out. */
function queryOf(values: Readonly<Record<string, unknown>>): string {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null) continue;
    said.set(name, value instanceof Date ? value.toISOString() : String(value));
  }
  const text = said.toString();
  return text && `?${text}`;
}

function replyOf(response: Response, text: string): Reply {
  return { kind: "reply", status: response.status, headers: response.headers, text };
}

async function textOf(response: Response, patience: Patience): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of bytesOf(response, patience)) text += decoder.decode(chunk, { stream: true });
  return text + decoder.decode();
}

/** The body, each piece a sign of life. */
async function* bytesOf(response: Response, patience: Patience): AsyncGenerator<Uint8Array> {
  patience.heard();
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      patience.heard();
      yield value;
    }
  } finally {
    // Whoever stops in the middle lets the connection go; a body at its end does not mind.
    await reader.cancel().catch(() => undefined);
  }
}

async function* chunksOf(response: Response, patience: Patience): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  try {
    for await (const chunk of bytesOf(response, patience)) yield decoder.decode(chunk, { stream: true });
  } catch (error) {
    throw patience.judge(error);
  } finally {
    patience.end();
  }
}

/** Whether this was thrown by a stream of ours that broke. */
export function isBroken(error: unknown): error is Broken {
  return (error as Broken | undefined)?.kind === "broken" && !(error instanceof Aborted);
}
