/** The entry for Node, Deno and Bun. */
import { Client, type FairStackOptions } from "./client.js";
import { nodePlatform } from "./platform/node.js";
import { Webhooks, type SignedHeaders, type VerifyOptions, type WebhookHeaders } from "./webhooks.js";
import type { JobRecord } from "./types.js";

export * from "./exports.js";

/** A client of one FairStack server, for one API key. */
export class FairStack extends Client {
  constructor(options: FairStackOptions = {}) {
    super(options, nodePlatform);
  }
}

/**
 * The job that this webhook tells of; `body` is the raw body, `secret` the account's `whsec_…`.
 *
 * Throws WebhookRefused if it is not signed by this secret, was altered, or is too old or too new.
 */
export function verifyWebhook(
  body: string | Uint8Array | ArrayBuffer,
  headers: WebhookHeaders,
  secret: string,
  options: VerifyOptions = {},
): JobRecord {
  return new Webhooks(nodePlatform).verify(body, headers, secret, options);
}

/** The three headers of a webhook with this body, for tests of a receiver; `timestamp` in seconds. */
export function signWebhook(
  body: string | Uint8Array | ArrayBuffer,
  id: string,
  timestamp: number,
  secret: string,
): SignedHeaders {
  return new Webhooks(nodePlatform).sign(body, id, timestamp, secret);
}
