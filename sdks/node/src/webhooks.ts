/** Check that a webhook is FairStack's (Standard Webhooks 1.0), and sign one for tests of a receiver. */
import { BadArgument, WebhookRefused } from "./errors.js";
import type { Platform } from "./platform.js";
import { isObject, parsed } from "./retry.js";
import { base64 } from "./sources.js";
import type { JobRecord } from "./types.js";

/** Headers as any server has them: fetch's, Node's, or a plain object. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

export interface VerifyOptions {
  /** How far its stamp may be from now; default 300. */
  toleranceSeconds?: number | undefined;
}

/** `webhook-id`, `webhook-timestamp` and `webhook-signature`. */
export type SignedHeaders = Record<"webhook-id" | "webhook-timestamp" | "webhook-signature", string>;

/** Signs and verifies webhooks at once: nothing to await, so nothing to forget to await. */
export class Webhooks {
  readonly #platform: Platform;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /**
   * The job that this webhook tells of; `body` is the raw body, `secret` the account's `whsec_…`.
   *
   * Throws WebhookRefused if it is not signed by this secret, was altered, or its stamp is more than
   * `toleranceSeconds` away. A webhook may come twice: `webhook-id` is the same for every attempt.
   */
  verify(
    body: string | Uint8Array | ArrayBuffer,
    headers: WebhookHeaders,
    secret: string,
    { toleranceSeconds = 300 }: VerifyOptions = {},
  ): JobRecord {
    const raw = bytesOf(body);
    const id = headerOf(headers, "webhook-id");
    const stamp = headerOf(headers, "webhook-timestamp");
    const signatures = headerOf(headers, "webhook-signature");
    if (!id || !stamp || !signatures) {
      throw new WebhookRefused("The webhook lacks webhook-id, webhook-timestamp or webhook-signature");
    }
    if (!/^\d+$/.test(stamp)) throw new WebhookRefused("webhook-timestamp is not a number of seconds");
    const expected = this.#signature(secret, id, stamp, raw);
    if (!signatures.split(" ").some((signature) => sameText(signature, expected))) {
      throw new WebhookRefused("No signature of this webhook fits the secret");
    }
    if (!(Math.abs(Math.floor(Date.now() / 1000) - Number(stamp)) <= toleranceSeconds)) {
      throw new WebhookRefused(`The webhook is more than ${toleranceSeconds} s away from now`);
    }
    return jobOf(raw);
  }

  /** The three headers of a webhook with this body, as the server would send them; `timestamp` in seconds. */
  sign(
    body: string | Uint8Array | ArrayBuffer,
    id: string,
    timestamp: number,
    secret: string,
  ): SignedHeaders {
    const stamp = String(timestamp);
    return {
      "webhook-id": id,
      "webhook-timestamp": stamp,
      "webhook-signature": this.#signature(secret, id, stamp, bytesOf(body)),
    };
  }

  #signature(secret: string, id: string, stamp: string, raw: Uint8Array): string {
    const head = new TextEncoder().encode(`${id}.${stamp}.`);
    const message = new Uint8Array(head.length + raw.length);
    message.set(head);
    message.set(raw, head.length);
    return `v1,${base64(this.#platform.hmacSha256(keyOf(secret), message))}`;
  }
}

function bytesOf(body: string | Uint8Array | ArrayBuffer): Uint8Array {
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return body;
  throw new BadArgument("The body must be the raw body, text or bytes, before any JSON parsing", {
    param: "body",
  });
}

function headerOf(headers: WebhookHeaders, name: string): string {
  if (typeof Headers !== "undefined" && headers instanceof Headers) return headers.get(name) ?? "";
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
  return String((Array.isArray(found) ? found[0] : found) ?? "");
}

function keyOf(secret: string): Uint8Array {
  const encoded = secret.trim().replace(/^whsec_/, "");
  let key = "";
  try {
    key = atob(encoded);
  } catch {
    // Said below, without the secret.
  }
  if (!key) throw new BadArgument("The webhook secret is not whsec_ and base64", { param: "secret" });
  return Uint8Array.from(key, (character) => character.charCodeAt(0));
}

/** Whether two texts are the same, in a time that tells nothing of where they differ. */
function sameText(given: string, expected: string): boolean {
  let difference = given.length ^ expected.length;
  for (let i = 0; i < expected.length; i++) difference |= given.charCodeAt(i) ^ expected.charCodeAt(i);
  return difference === 0;
}

function jobOf(raw: Uint8Array): JobRecord {
  const job = parsed(new TextDecoder().decode(raw));
  if (!isObject(job)) throw new WebhookRefused("The webhook's body is not a JSON object");
  return job as unknown as JobRecord;
}
