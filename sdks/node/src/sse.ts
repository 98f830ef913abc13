/** Read server-sent events; pure. */
import { isObject, parsed } from "./retry.js";
import type { JobEvent, JobStatus } from "./types.js";

/** Gathers text into events; `lastId` is where to resume after a broken stream. */
export class EventReader {
  lastId: string | undefined;
  retryMs: number | undefined;
  #id: string | undefined;
  #event = "";
  #data: string[] = [];
  #rest = "";

  constructor(lastId: string | undefined) {
    this.lastId = lastId;
    this.#id = lastId;
  }

  /** Take the next piece of the stream; the events that it completes. */
  *feed(chunk: string): Generator<JobEvent> {
    const lines = (this.#rest + chunk).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = this.#take(line);
      if (event) yield event;
    }
  }

  /** Drop a half-read event: the stream broke in the middle of it. */
  forget(): void {
    [this.#id, this.#event, this.#data, this.#rest] = [this.lastId, "", [], ""];
  }

  #take(line: string): JobEvent | undefined {
    if (line === "") return this.#complete();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    if (name === "data") this.#data.push(value);
    if (name === "id" && !value.includes("\0")) this.#id = value || undefined;
    if (name === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
    return undefined;
  }

  #complete(): JobEvent | undefined {
    const event = this.#event || "message";
    const data = parsed(this.#data.join("\n"));
    // Only now: resuming after a half-read event must bring it again.
    this.lastId = this.#id;
    [this.#event, this.#data] = ["", []];
    if (!isObject(data)) return undefined;
    const { status, progress } = data;
    return {
      id: this.lastId,
      event,
      data,
      status: typeof status === "string" ? (status as JobStatus) : undefined,
      progress: typeof progress === "number" ? progress : undefined,
    };
  }
}
