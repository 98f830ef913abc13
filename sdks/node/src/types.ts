/** What goes in and what comes out: the API's own names, as plain objects. */
import type { Cost, JobView, Metadata, VideoRequestBody } from "./api.js";

export type {
  ApiKey,
  ApiKeyChange,
  ApiKeyRequest,
  Cap,
  Capabilities,
  Caps,
  Cost,
  Credits,
  Estimate,
  FileRecord,
  JobError,
  JobQuery,
  LedgerEntry,
  Metadata,
  Model,
  ModelQuery,
  Price,
  Rate,
  Usage,
  UsageQuery,
  UsageRow,
} from "./api.js";

/** A picture, clip or sound: an https or data URL, the id of an uploaded file, a path on this machine, or its bytes. */
export type Source = string | URL | Blob | ArrayBuffer | Uint8Array;

/** A clip to make; what is left out takes the model's default. */
export interface VideoRequest extends Omit<
  VideoRequestBody,
  "image" | "end_image" | "video" | "audio_url" | "images" | "confirm"
> {
  /** First frame, for image-to-video models. */
  image?: Source | null | undefined;
  /** Last frame, for models that take one. */
  end_image?: Source | null | undefined;
  /** For video-to-video models. */
  video?: Source | null | undefined;
  /** For lip-sync models. */
  audio_url?: Source | null | undefined;
  /** For models that take reference images. */
  images?: readonly Source[] | null | undefined;
}

export type JobStatus = JobView["status"];

/** A job as the server told of it at one moment; the answer to a submit does not tell `created_at`. */
export interface JobRecord extends Omit<JobView, "created_at"> {
  created_at?: string;
}

/** A finished clip: where it is, what it cost, what it is. A plain object, and `save`. */
export interface Result extends JobRecord {
  status: "completed";
  /** Where the clip is; durable. */
  url: string;
  /** What was charged. */
  cost: Cost;
  metadata: Metadata;
  /**
   * Copy the clip to `path` (a folder takes it as `<id>.mp4`), checked before it is put in place.
   * It is not shown, listed or written as JSON. Throws DownloadFailed.
   */
  save(path?: string): Promise<SavedFile>;
}

/** A file that was saved. */
export interface SavedFile {
  path: string;
  bytes: number;
}

/** One server-sent event of a job; `id` is where to resume. */
export interface JobEvent {
  id: string | undefined;
  event: string;
  data: Record<string, unknown>;
  /** The job's status, where the event tells it. */
  status: JobStatus | undefined;
  /** The job's progress from 0 to 1, where the event tells it. */
  progress: number | undefined;
}

/** One page of a list. */
export interface Page<T> {
  items: T[];
  has_more: boolean;
  next_cursor: string | null;
}

/** What was said of one call beyond its request. */
export interface CallOptions {
  /** Ends the call with Aborted. */
  signal?: AbortSignal | undefined;
}

export interface SubmitOptions extends CallOptions {
  /**
   * Makes your own repeats safe: the same key and the same request are one job, however often they are sent.
   * Without it each call has a key of its own, which makes the client's repeats safe.
   */
  idempotencyKey?: string | undefined;
}

export interface WaitOptions extends CallOptions {
  /** Milliseconds; default: as long as the model's longest job. */
  timeout?: number | undefined;
}
