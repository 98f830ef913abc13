// Written by scripts/api-types.mjs from spec/openapi.json. Do not edit.

/** A clip to make. Which values a model takes is in its `parameters` (GET /v1/models/{key}). */
export interface VideoRequestBody {
  /** Model key or alias. */
  model: string;
  /** What the clip shows. */
  prompt: string;
  /** https URL, data: URL or file id; image-to-video models. */
  image?: string | null | undefined;
  /** Seconds. */
  duration?: number | null | undefined;
  aspect_ratio?: string | null | undefined;
  /** Default: 720p where the model has it. */
  resolution?: string | null | undefined;
  /** Gets one signed POST when the job ends. */
  webhook_url?: string | null | undefined;
  /** false: only the exact price. */
  confirm?: boolean | null | undefined;
  negative_prompt?: string | null | undefined;
  seed?: number | null | undefined;
  /** Last frame; first-last-frame models. */
  end_image?: string | null | undefined;
  /** Reference images; reference models. */
  images?: string[] | null | undefined;
  /** Sound, given as `image` is; lip-sync models. */
  audio_url?: string | null | undefined;
  /** Clip, given as `image` is; video-to-video models. */
  video?: string | null | undefined;
  /** Make sound, where the model can. */
  audio?: boolean | null | undefined;
  /** The model's own further settings. */
  options?: Record<string, unknown> | null | undefined;
  /** Up to 20 labels of your own. */
  tags?: Record<string, string> | null | undefined;
  /** Refuse with 402 when it costs more. */
  max_cost_micro?: number | null | undefined;
  /** Cancel after that many seconds. */
  cancel_after?: number | null | undefined;
}

/** A price that is promised: exactly what will be charged. */
export interface Estimate {
  /** Microdollars: 1 USD = 1,000,000. */
  micro: number;
  /** The amount for people. */
  display: string;
}

/** What was charged. */
export interface Cost {
  /** Microdollars: 1 USD = 1,000,000. */
  micro: number;
  /** The amount for people. */
  display: string;
  currency: "USD";
}

/** Facts of the stored clip, measured on the file itself. */
export interface Metadata {
  width: number;
  height: number;
  /** Seconds. */
  duration: number;
  fps: number;
  audio: boolean;
  bytes: number;
  sha256: string;
  poster_url: string | null;
  provenance: Record<string, unknown>;
  seed?: number;
  /** What was asked for and could not be honoured. */
  substitutions?: string[];
  late_result?: boolean;
  test?: boolean;
}

/** Why there is no clip. */
export interface JobError {
  code: "content_filtered" | "generation_failed" | "provider_unavailable";
  message: string;
}

/** A job; which keys are there depends on its status. */
export interface JobView {
  id: string;
  status: "cancelled" | "completed" | "failed" | "processing" | "queued";
  /** The clip; does not expire. */
  url?: string;
  model: string;
  modality: "video";
  cost?: Cost;
  metadata?: Metadata;
  error?: JobError;
  estimated_cost?: Estimate;
  progress?: number | null;
  tags?: Record<string, string>;
  /** ISO 8601, UTC. */
  created_at: string;
  /** ISO 8601, UTC. */
  completed_at?: string;
  cancellation?: "requested" | "stopped" | "too_late";
}

/** The job is accepted and its price is held. */
export interface Submitted {
  id: string;
  status: "queued";
  estimated_cost: Estimate;
}

/** An uploaded file: our own copy of it, of a picture a clean one; a sound has no width and height. */
export interface FileRecord {
  id: string;
  content_type: string;
  bytes: number;
  sha256: string;
  url: string;
  width: number | null;
  height: number | null;
  created_at: string;
}

/** What one clip at the model's defaults costs. */
export interface Price {
  micro: number;
  display: string;
  unit: string;
}

/** A rate in force: micros per unit, where every condition of `when` holds. */
export interface Rate {
  unit: string;
  micro: string;
  base_micro?: string;
  when: Record<string, unknown>;
  since: string;
  source: string;
}

/** What the model can do, for a quick look; the exact rules are in `parameters`. */
export interface Capabilities {
  durations: unknown;
  aspect_ratios: string[];
  resolutions: string[];
  fps: number | null;
  audio: boolean;
  image: string;
  end_image: string;
  video: string;
  seed: boolean;
  negative_prompt: boolean;
}

/** A model. */
export interface Model {
  key: string;
  name: string;
  provider: string;
  modality: string;
  type: string;
  tier: string;
  status: string;
  description: string;
  price: Price | null;
  pricing: Rate[];
  capabilities: Capabilities;
  parameters: Record<string, unknown>;
  quality_rank: number | null;
  typical_seconds: number;
  longest_seconds: number;
  available: boolean;
  aliases: string[];
  sources: string[];
  unverified: string[];
  end_of_life?: string;
  replaced_by?: string;
}

/** A monthly cap (UTC), and what is spent of it. */
export interface Cap {
  limit: Cost;
  spent: Cost;
  period: string;
}

/** Caps that bind this key; null = none. There are no projects. */
export interface Caps {
  account: Cap | null;
  project: null;
  key: Cap | null;
}

/** The wallet of this key's mode. */
export interface Credits {
  balance: Cost;
  held: Cost;
  caps: Caps;
  mode: string;
}

/** What was charged under one name. */
export interface UsageRow {
  name: string;
  jobs: number;
  cost: Cost;
}

/** Charges by group. */
export interface Usage {
  group_by: string;
  since: string;
  until: string;
  items: UsageRow[];
  total: Cost;
}

/** One movement of the wallet. */
export interface LedgerEntry {
  id: string;
  kind: string;
  amount: Cost;
  available_change_micro: number;
  held_change_micro: number;
  job_id: string | null;
  memo: string;
  created_at: string;
}

/** A key to make. What is left out is taken from the key that asks. */
export interface ApiKeyRequest {
  name?: string | undefined;
  mode?: "live" | "test" | null | undefined;
  scopes?: string[] | null | undefined;
  cap_micro?: number | null | undefined;
  expires_at?: string | null | undefined;
}

/** What to change of a key; null takes a cap away. */
export interface ApiKeyChange {
  name?: string | undefined;
  scopes?: string[] | undefined;
  cap_micro?: number | null | undefined;
}

/** An API key; `key` is there once, in the answer that made it. */
export interface ApiKey {
  id: string;
  name: string;
  mode: string;
  prefix: string;
  key?: string;
  scopes: string[];
  cap: Cost | null;
  created_at: string;
  expires_at: string | null;
  revoked_at: string | null;
  last_used_at: string | null;
}

/** What went wrong and what to do. */
export interface ErrorBody {
  code: string;
  message: string;
  status: number;
  request_id: string;
  param?: string;
  allowed?: unknown;
  details?: Record<string, unknown>;
}

/** What `GET /v1/jobs` can be asked. */
export interface JobQuery {
  /** Only jobs of this status. */
  status?: "queued" | "processing" | "completed" | "failed" | "cancelled" | undefined;
  /** Only jobs of this model. */
  model?: string | undefined;
  /** ISO 8601. */
  created_after?: string | Date | undefined;
  /** ISO 8601. */
  created_before?: string | Date | undefined;
  /** Jobs on a page. */
  limit?: number | undefined;
}

/** What `GET /v1/models` can be asked. */
export interface ModelQuery {
  /** What goes in and comes out. */
  type?: "t2v" | "i2v" | "flf" | "r2v" | "v2v" | "extend" | "lipsync" | "upscale" | undefined;
  /** Price class. */
  tier?: "budget" | "standard" | "premium" | undefined;
  /** Maker of the model, or who renders it. */
  provider?: string | undefined;
  /** State of the model. */
  status?: "active" | "beta" | "deprecated" | undefined;
  /** Words to find. */
  q?: string | undefined;
}

/** What `GET /v1/usage` can be asked. */
export interface UsageQuery {
  /** Default: day. */
  group_by?: "day" | "model" | "key" | "tag" | undefined;
  /** Default: 30 days ago. */
  from?: string | Date | undefined;
  /** Default: now. */
  to?: string | Date | undefined;
}

