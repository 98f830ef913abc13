/** The entry for browsers and workers. */
import { Client, type FairStackOptions } from "./client.js";
import { webPlatform } from "./platform/web.js";
import { Webhooks, type SignedHeaders, type VerifyOptions, type WebhookHeaders } from "./webhooks.js";
import type { JobRecord } from "./types.js";

export * from "./exports.js";

/** A client of one FairStack server, for one API key. */
export class FairStack extends Client {
  constructor(options: FairStackOptions = {}) {
    super(options, webPlatform);
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
  return new Webhooks(webPlatform).verify(body, headers, secret, options);
}

/** The three headers of a webhook with this body, for tests of a receiver; `timestamp` in seconds. */
export function signWebhook(
  body: string | Uint8Array | ArrayBuffer,
  id: string,
  timestamp: number,
  secret: string,
): SignedHeaders {
  return new Webhooks(webPlatform).sign(body, id, timestamp, secret);
}
