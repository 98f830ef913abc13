// A client whose server is a script and whose time is the test's own.
import { FairStack } from "fairstack";

export const KEY = "fs_test_scripted000000000000000000000key";

/** Time that passes only by sleeping and by being told to. */
export class FakeClock {
  milliseconds = 1_000_000;
  sleeps = [];

  now() {
    return this.milliseconds;
  }

  async sleep(milliseconds) {
    this.sleeps.push(milliseconds);
    this.milliseconds += milliseconds;
  }
}

/** `answer({ method, path, query, headers, body, asked })` gives a Response, or throws as fetch does. */
export function scripted(answer, settings = {}) {
  const clock = new FakeClock();
  const asked = [];
  const fetch = async (url, { method = "GET", headers = {}, body, signal } = {}) => {
    const { pathname: path, searchParams } = new URL(url);
    const at = clock.now();
    const request = {
      method,
      path,
      query: Object.fromEntries(searchParams),
      headers,
      body,
      signal,
      at,
      clock,
      asked,
    };
    asked.push(request);
    return answer(request);
  };
  const client = new FairStack({ apiKey: KEY, baseURL: "http://127.0.0.1:8787", fetch, clock, ...settings });
  return { client, clock, asked };
}

/** What fetch throws when the connection breaks; `code` is what the runtime calls it. */
export function broken(code = "ECONNRESET") {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
}

export function json(body, { status = 200, headers = {} } = {}) {
  return Response.json(body, { status, headers });
}

export function refusal(status, code, headers = {}) {
  const error = { code, message: `It is ${code}.`, status, request_id: "req_1" };
  return json({ error }, { status, headers });
}

export function job(status, more = {}) {
  const record = {
    id: "job_1",
    status,
    model: "wan-2-1-t2v",
    modality: "video",
    created_at: "2026-11-22T09:30:00.000Z",
  };
  const done = {
    url: "http://127.0.0.1:8787/media/video/a/output.mp4",
    cost: { micro: 48_000, display: "$0.048", currency: "USD" },
    metadata: { width: 1280, height: 720, duration: 5, fps: 24 },
  };
  return { ...record, ...(status === "completed" && done), ...more };
}

export async function listed(items) {
  const all = [];
  for await (const item of items) all.push(item);
  return all;
}
