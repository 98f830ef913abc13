/** What both entries give. */
export type { Clock } from "./clock.js";
export type { FairStackOptions } from "./client.js";
export * from "./errors.js";
export type { Reply, Request } from "./exchange.js";
export type { ManyOptions } from "./generate.js";
export { Job, type EventOptions } from "./job.js";
export { Listing } from "./listing.js";
export type * from "./types.js";
export { VERSION } from "./version.js";
export type { SignedHeaders, VerifyOptions, WebhookHeaders } from "./webhooks.js";
