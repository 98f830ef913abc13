// Waiting: patient, polite, and never the reason that a clip is lost.
import assert from "node:assert/strict";
import { it } from "node:test";

import {
  Aborted,
  GenerationCancelled,
  JobNotCancellable,
  NotFound,
  Unreachable,
  WaitTimeout,
} from "fairstack";

import { broken, job, json, listed, refusal, scripted } from "./support/scripted.mjs";

const SUBMITTED = { id: "job_1", status: "queued", estimated_cost: { micro: 48_000, display: "$0.048" } };

/** A job of a scripted server, and that server. */
async function submitted(answer = server(), settings = {}) {
  const world = scripted(
    (request) => (request.path === "/v1/generations/video" ? json(SUBMITTED) : answer(request)),
    settings,
  );
  const request = { model: "wan-2-1-t2v", prompt: "A dog" };
  return { ...world, job: await world.client.generate.video(request), started: world.clock.now() };
}

/** A server whose job is done at a given look; it holds as it is asked to. */
function server({ looks = 1, longest = 900, holds = true, retryAfter = "1" } = {}) {
  let look = 0;
  return ({ path, query, clock }) => {
    if (path.startsWith("/v1/models/")) return json({ key: "wan-2-1-t2v", longest_seconds: longest });
    look += 1;
    if (look >= looks) return json(job("completed"));
    if (holds && query.wait) clock.milliseconds += Number(query.wait) * 1000;
    return json(job("processing", { progress: look / looks }), { headers: { "retry-after": retryAfter } });
  };
}

const looksOf = (asked) => asked.filter(({ path }) => path === "/v1/jobs/job_1");
const gaps = (asked) =>
  looksOf(asked)
    .map(({ at }) => at)
    .map((at, i, all) => at - (all[i - 1] ?? at))
    .slice(1);

it("lets the server hold the answer: three looks are three requests, with no pause of its own", async () => {
  const { job, asked, clock } = await submitted(server({ looks: 3 }));
  await job.wait();
  assert.deepEqual(
    looksOf(asked).map(({ query }) => query.wait),
    ["48", "48", "48"],
  );
  assert.deepEqual(clock.sleeps, []);
});

it("never hammers a server that neither holds nor asks for a pause", async () => {
  const { job, asked } = await submitted(server({ looks: 6, holds: false, retryAfter: "0" }));
  await job.wait();
  assert.deepEqual(gaps(asked), [500, 500, 500, 500, 500]);
});

it("stays away for as long as an unfinished answer says", async () => {
  const { job, asked } = await submitted(server({ looks: 3, holds: false, retryAfter: "7" }));
  await job.wait();
  assert.deepEqual(gaps(asked), [7000, 7000]);
});

it("leaves the job running when the time is over, and says how to wait again", async () => {
  const { job, asked, clock, started } = await submitted(server({ looks: 1000 }));
  await assert.rejects(job.wait({ timeout: 90_000 }), (error) => {
    assert.ok(error instanceof WaitTimeout);
    assert.deepEqual([error.jobId, error.job], ["job_1", job]);
    return error.message.includes('await (await client.jobs.get("job_1")).wait()');
  });
  const passed = clock.now() - started;
  assert.ok(passed >= 90_000 && passed <= 91_000);
  assert.ok(!asked.some(({ path }) => path.endsWith("/cancel")));
});

it("waits without an end when told so", async () => {
  const { job, clock, started } = await submitted(server({ looks: 200 }));
  assert.ok((await job.wait({ timeout: Infinity })).url);
  assert.ok(clock.now() - started > 9_000_000);
});

it("looks once with timeout 0", async () => {
  assert.ok((await (await submitted()).job.wait({ timeout: 0 })).url);
  await assert.rejects((await submitted(server({ looks: 5 }))).job.wait({ timeout: 0 }), WaitTimeout);
});

for (const [longest, limit] of [
  [900, 900_000],
  [null, 3_600_000],
]) {
  it(`waits ${limit / 1000} s for a model whose longest job takes ${longest ?? "who knows how many"} s`, async () => {
    const { job, asked, clock, started } = await submitted(server({ looks: 100_000, longest }));
    await assert.rejects(job.wait(), WaitTimeout);
    const passed = clock.now() - started;
    assert.ok(passed >= limit && passed <= limit + 1000, `${passed}`);
    assert.equal(asked.filter(({ path }) => path.startsWith("/v1/models/")).length, 1);
  });
}

it("asks nothing more for a job that is quick", async () => {
  const { job, asked } = await submitted();
  await job.wait();
  assert.deepEqual(
    asked.map(({ method }) => method),
    ["POST", "GET"],
  );
});

it("tells of every look, the finished job last, and has the answers held shorter", async () => {
  const { job, asked } = await submitted(server({ looks: 4 }));
  const told = [];
  await job.wait({ onProgress: async (seen) => told.push([seen.status, seen.progress]) });
  assert.deepEqual(told, [
    ["processing", 0.25],
    ["processing", 0.5],
    ["processing", 0.75],
    ["completed", null],
  ]);
  assert.deepEqual(new Set(looksOf(asked).map(({ query }) => query.wait)), new Set(["2"]));
});

it("lets what the callback throws reach the caller as it is", async () => {
  const { job } = await submitted();
  const onProgress = () => {
    throw new RangeError("enough");
  };
  await assert.rejects(job.wait({ onProgress }), { name: "RangeError", message: "enough" });
});

it("outlives a server that restarts", async () => {
  const answer = server({ looks: 2 });
  let away = 9;
  const { job, asked } = await submitted((request) => {
    if (away-- > 0) throw broken("ECONNREFUSED");
    return answer(request);
  });
  assert.ok((await job.wait()).url);
  assert.equal(asked.filter(({ method }) => method === "POST").length, 1);
});

it("ends with the id and how to resume when the server stays away for a minute", async () => {
  const { job, clock, started } = await submitted(() => {
    throw broken();
  });
  await assert.rejects(job.wait(), (error) => {
    assert.ok(error instanceof Unreachable);
    assert.ok(error.stack.includes('client.jobs.get("job_1")'), "where it is printed too");
    return error.jobId === "job_1";
  });
  const passed = clock.now() - started;
  assert.ok(passed >= 60_000 && passed <= 90_000, `${passed}`);
});

it("keeps a short limit though the server is away", async () => {
  const { job, clock, started } = await submitted(() => {
    throw broken();
  });
  await assert.rejects(job.wait({ timeout: 3000 }), Unreachable);
  assert.ok(clock.now() - started <= 4500);
});

it("ends an exchange that drips on beyond the limit of the wait", async () => {
  const drip = ({ signal }) => {
    const body = new ReadableStream({
      async pull(controller) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        if (signal.aborted) controller.error(signal.reason);
        else controller.enqueue(new TextEncoder().encode(" "));
      },
    });
    return new Response(body, { headers: { "content-type": "application/json" } });
  };
  const { job } = await submitted(drip, { maxRetries: 0 });
  const before = performance.now();
  await assert.rejects(job.wait({ timeout: 200 }), { name: "Unreachable", message: /timeout/ });
  assert.ok(performance.now() - before < 4000);
});

it("ends at once when the signal fires, with the id and how to resume", async () => {
  const controller = new AbortController();
  const { job, asked } = await submitted(server({ looks: 10 }));
  const onProgress = () => controller.abort();
  await assert.rejects(job.wait({ onProgress, signal: controller.signal }), (error) => {
    assert.ok(error instanceof Aborted && error.name === "AbortError");
    return error.jobId === "job_1" && error.message.includes("The job goes on");
  });
  assert.equal(looksOf(asked).length, 1);
});

it("raises for a job that is cancelled meanwhile, and for one that is gone", async () => {
  const cancelled = await submitted(() => json(job("cancelled")));
  await assert.rejects(
    cancelled.job.wait(),
    (error) => error instanceof GenerationCancelled && error.job === cancelled.job,
  );
  const gone = await submitted(() => refusal(404, "not_found"));
  await assert.rejects(
    gone.job.wait(),
    (error) => error instanceof NotFound && !error.message.includes("Wait again"),
  );
  assert.equal(looksOf(gone.asked).length, 1);
});

it("takes a cancel whose first answer was lost for done", async () => {
  let tries = 0;
  const { client } = await submitted(({ method }) => {
    if (method === "GET") return json(job("cancelled"));
    if (tries++ === 0) throw broken();
    return refusal(409, "job_not_cancellable");
  });
  assert.equal((await client.jobs.cancel("job_1")).status, "cancelled");
  const late = await submitted(({ method }) =>
    method === "GET" ? json(job("completed")) : refusal(409, "job_not_cancellable"),
  );
  await assert.rejects(late.job.cancel(), JobNotCancellable);
});

it("keeps the promised price of a job that has ended", async () => {
  const { job } = await submitted();
  await job.wait();
  assert.equal(job.estimated_cost.display, "$0.048");
  assert.equal(job.record.estimated_cost, undefined);
});

it("asks for the next page only when the one before is used up", async () => {
  const pages = { undefined: ["a", "b"], 1: ["c", "d"], 2: ["e"] };
  const { client, asked } = scripted(({ query: { cursor } }) => {
    const next = { undefined: "1", 1: "2" }[cursor] ?? null;
    return json({ items: pages[cursor].map((id) => ({ id })), has_more: next !== null, next_cursor: next });
  });
  for await (const { id } of client.jobs.list({ limit: 2 })) if (id === "b") break;
  assert.equal(asked.length, 1);
  assert.deepEqual(
    (await listed(client.jobs.list({ limit: 2 }))).map(({ id }) => id),
    ["a", "b", "c", "d", "e"],
  );
  assert.deepEqual(
    asked.map(({ query }) => query.cursor),
    [undefined, undefined, "1", "2"],
  );
});

const event = (id, data) => `: alive\nid: ${id}\nevent: progress\ndata: ${JSON.stringify(data)}\n\n`;
const stream = (text) => new Response(text, { headers: { "content-type": "text/event-stream" } });

it("gives every event once and in order, though the stream breaks in the middle of one", async () => {
  const all = [1, 2, 3, 4, 5].map((id) =>
    event(id, id === 5 ? { status: "completed" } : { progress: id / 5 }),
  );
  const { job, asked } = await submitted(({ headers }) => {
    const from = Number(headers["Last-Event-ID"] ?? 0);
    return stream(all.slice(from, from + 2).join("") + (from < 3 ? all[from + 2].slice(0, 30) : ""));
  });
  const events = await listed(job.events());
  assert.deepEqual(
    events.map(({ id }) => id),
    ["1", "2", "3", "4", "5"],
  );
  assert.deepEqual([events[0].progress, events.at(-1).status], [0.2, "completed"]);
  const resumed = asked
    .filter(({ path }) => path.endsWith("/events"))
    .map(({ headers }) => headers["Last-Event-ID"]);
  assert.deepEqual(resumed, [undefined, "2", "4"]);
});

it("reads events however they are cut, with any line end", async () => {
  const text =
    event(1, { progress: 0.5 }).replaceAll("\n", "\r\n") + event(2, { status: "completed", note: "é✓" });
  const bytes = new TextEncoder().encode(text);
  const cut = new ReadableStream({
    start(controller) {
      for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
      controller.close();
    },
  });
  const { job } = await submitted(() => stream(cut));
  const events = await listed(job.events());
  assert.deepEqual(
    events.map(({ id, data }) => [id, data.note]),
    [
      ["1", undefined],
      ["2", "é✓"],
    ],
  );
});

it("ends when it is resumed after the last event", async () => {
  const { job, asked } = await submitted(({ path }) =>
    path.endsWith("/events") ? stream("") : json({ id: "job_1", status: "completed" }),
  );
  assert.deepEqual(await listed(job.events({ lastEventId: "5" })), []);
  assert.equal(asked.at(-1).path, "/v1/jobs/job_1");
});

it("refuses events of a job that is not there", async () => {
  const { job } = await submitted(() => refusal(404, "not_found"));
  await assert.rejects(listed(job.events()), NotFound);
});

it("closes the stream of whoever stops reading events", async () => {
  let closed = false;
  const endless = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode(event(1, { progress: 0.1 }))),
    cancel: () => void (closed = true),
  });
  const { job } = await submitted(() => stream(endless));
  for await (const { id } of job.events()) if (id === "1") break;
  assert.ok(closed);
});

it("stops following when the signal fires", async () => {
  const controller = new AbortController();
  const { job } = await submitted(() => stream(event(1, { progress: 0.1 })));
  const follow = async () => {
    for await (const { id } of job.events({ signal: controller.signal })) if (id === "1") controller.abort();
  };
  await assert.rejects(follow(), Aborted);
});
