/** What is sent, and what can come of it. */

/**
 * safe: may be sent again at any time. keyed: only with the Idempotency-Key it carries. once: only if it
 * certainly did not arrive.
 */
export type Replay = "safe" | "keyed" | "once";

/** One HTTP request; `path` begins with a slash and is joined to the base URL. */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: string | Uint8Array | Blob;
  /** Default: JSON. */
  readonly contentType?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: safe for GET and DELETE, else once. */
  readonly replay?: Replay;
  /** How long the answer may be silent; default: the client's timeout. */
  readonly silenceMs?: number;
  /** How long the whole exchange may take; default: as long as it is not silent. */
  readonly limitMs?: number;
  /** How long retries may go on; default and at most: the client's. */
  readonly retryMs?: number;
}

/** A whole HTTP answer. */
export interface Reply {
  readonly kind: "reply";
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** No whole answer came; `sent` is false if the request certainly did not arrive. */
export interface Broken {
  readonly kind: "broken";
  readonly sent: boolean;
  readonly reason: string;
}

export type Outcome = Reply | Broken;

/** How a client behaves: its patience and its politeness. */
export interface Manners {
  readonly baseURL: string;
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly retryMs: number;
  /** From 0 to 1; spreads the pauses. */
  readonly draw: () => number;
}
