/** The end of patience with one exchange: silence, a limit, or the caller's own signal. */
import { Aborted, FairStackError } from "./errors.js";
import type { Broken } from "./exchange.js";

/** Codes by which runtimes say that nothing was sent. */
const NEVER_LEFT = new Set([
  "ECONNREFUSED",
  "ConnectionRefused",
  "EADDRNOTAVAIL",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ENOTFOUND",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Watches one exchange; `signal` is what fetch obeys. */
export class Patience {
  readonly #controller = new AbortController();
  readonly #silenceMs: number;
  readonly #caller: AbortSignal | undefined;
  readonly #leave = (): void => this.#controller.abort();
  #silence: ReturnType<typeof setTimeout> | undefined;
  readonly #limit: ReturnType<typeof setTimeout> | undefined;
  #over = false;

  constructor(silenceMs: number, limitMs: number | undefined, caller: AbortSignal | undefined) {
    this.#silenceMs = silenceMs;
    this.#caller = caller;
    if (caller?.aborted) this.#leave();
    caller?.addEventListener("abort", this.#leave);
    if (limitMs !== undefined) this.#limit = setTimeout(() => this.#giveUp(), limitMs);
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** A sign of life: the silence begins anew. */
  heard(): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#giveUp(), this.#silenceMs);
  }

  /** Watch no longer. */
  end(): void {
    clearTimeout(this.#silence);
    clearTimeout(this.#limit);
    this.#caller?.removeEventListener("abort", this.#leave);
  }

  /** What broke the exchange. Throws Aborted if the caller did, and errors of our own as they are. */
  judge(error: unknown): Broken {
    if (this.#caller?.aborted) throw aborted(this.#caller);
    if (error instanceof FairStackError) throw error;
    if (this.#over) return { kind: "broken", sent: true, reason: "no answer within the timeout" };
    const code = codeOf(error) ?? denosCode(error);
    if (code !== undefined && NEVER_LEFT.has(code)) {
      return { kind: "broken", sent: false, reason: `no connection (${code})` };
    }
    // Never the runtime's own words: they can quote headers.
    return {
      kind: "broken",
      sent: true,
      reason: code ? `the connection broke (${code})` : "the connection broke",
    };
  }

  #giveUp(): void {
    this.#over = true;
    this.#controller.abort();
  }
}

/** The error of a call that the caller's signal ended. */
export function aborted(signal: AbortSignal): Aborted {
  return new Aborted("The call was aborted by its signal.", { cause: signal.reason as unknown });
}

/** Deno says in words alone that there was no connection. */
function denosCode(error: unknown): string | undefined {
  const cause = error instanceof Error ? error.cause : undefined;
  const words = cause instanceof Error ? cause.message : "";
  return words.includes("client error (Connect)") ? "ECONNREFUSED" : undefined;
}

/** The code of an error, or of what caused it; runtimes hide it at different depths. */
function codeOf(error: unknown, depth = 0): string | undefined {
  if (typeof error !== "object" || error === null || depth > 3) return undefined;
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown };
  // A DOMException has a number there.
  if (typeof code === "string") return code;
  const within = Array.isArray(errors) ? (errors[0] as unknown) : cause;
  return codeOf(within, depth + 1);
}
