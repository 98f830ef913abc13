// What the contract promises, on a real server.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { FairStack, GenerationCancelled, GenerationFailed, NotFound, UnknownModel } from "fairstack";

import { Consumer } from "./support/consumer.mjs";
import { sharedServer } from "./support/server.mjs";

const PHOTO = fileURLToPath(new URL("../../../tests/gateway/photo.png", import.meta.url));
const MODEL = "wan-2-1-t2v";
const QUICK = { model: "grok-imagine-t2v", prompt: "A dog", duration: 1, resolution: "480p" };

describe("the contract, on a real server", { concurrency: true }, () => {
  let server;
  let client;
  let folder;
  let consumer;
  before(async () => {
    server = await sharedServer();
    client = new FairStack({ apiKey: server.testKey, baseURL: server.url });
    folder = await mkdtemp(join(tmpdir(), "fairstack-clips-"));
    consumer = new Consumer();
  });
  after(async () => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
    consumer?.remove();
  });

  it("runs the page's own program, but for its key, on the installed package", async () => {
    const page = await readFile(new URL("seed-example.mjs.txt", import.meta.url), "utf8");
    const program = page.replace("fs_live_YOUR_KEY", server.testKey);
    const [url, ...cost] = consumer.run("seed.mjs", program, { FAIRSTACK_BASE_URL: server.url }).split("\n");
    assert.match(url, /^http.*\.mp4$/);
    assert.equal(cost.join("").replace(/\s+/g, ""), "{micro:48000,display:'$0.048',currency:'USD'}");
  });

  it("makes a clip from a prompt, for the price that it said, and saves it whole", async () => {
    const job = await client.generate.video({ model: MODEL, prompt: "A dog", duration: 5 });
    assert.match(job.id, /^job_/);
    assert.deepEqual([job.status, job.model, job.estimated_cost.micro], ["queued", MODEL, 48_000]);
    const result = await job.wait({ timeout: 120_000 });
    assert.deepEqual(result.cost, { micro: 48_000, display: "$0.048", currency: "USD" });
    const { width, height, duration, fps, bytes } = result.metadata;
    assert.deepEqual([width, height, duration, fps], [1280, 720, 5, 24]);
    const saved = await result.save(folder);
    assert.deepEqual(saved, { path: join(folder, `${job.id}.mp4`), bytes });
    assert.equal((await stat(saved.path)).size, bytes);
    assert.equal(job.status, "completed");
    assert.deepEqual(result, job.record, "a result is the server's answer and nothing more");
  });

  it("makes a clip of a picture on this machine", async () => {
    const request = { model: "kling-2-1-std-i2v", prompt: "Zoom in", duration: 5, aspect_ratio: "16:9" };
    const job = await client.generate.video({ ...request, image: PHOTO });
    const result = await job.wait({ timeout: 120_000 });
    assert.equal(result.model, "kling-2-1-std-i2v");
    assert.equal(result.cost.micro, job.estimated_cost.micro);
  });

  it("gives a job's events to its end, and then no more", async () => {
    const job = await client.generate.video(QUICK);
    const told = [];
    for await (const event of job.events()) told.push(event.status);
    assert.equal(told.at(-1), "completed");
    assert.equal((await job.refresh()).status, "completed");
    assert.ok(job.result.url);
  });

  it("cancels a job, and says what came of it", async () => {
    const job = await client.generate.video({ ...QUICK, prompt: "test:slow 60" });
    assert.equal(await job.cancel(), job);
    assert.ok(["stopped", "requested"].includes(job.cancellation), job.cancellation);
    await assert.rejects(job.wait({ timeout: 20_000 }), (error) => {
      assert.ok(error instanceof GenerationCancelled);
      return error.job === job;
    });
    assert.equal((await client.jobs.cancel(job.id)).status, "cancelled", "again does no harm");
  });

  it("raises for a failed job, with the job, its id and the reason", async () => {
    const job = await client.generate.video({ ...QUICK, prompt: "test:fail" });
    await assert.rejects(job.wait(), (error) => {
      assert.ok(error instanceof GenerationFailed);
      assert.deepEqual([error.jobId, error.job, error.code], [job.id, job, job.error.code]);
      return error.message.includes(job.id) && job.status === "failed";
    });
  });

  it("makes one job of one idempotency key", async () => {
    const idempotencyKey = `order-${Date.now()}`;
    const [first, second] = [
      await client.generate.video(QUICK, { idempotencyKey }),
      await client.generate.video(QUICK, { idempotencyKey }),
    ];
    assert.equal(first.id, second.id);
  });

  it("makes many clips, and one that fails does not lose the others", async () => {
    const prompts = ["A dog", "test:fail", "A cat"];
    const seen = new Set();
    const settled = await client.generate.many(
      prompts.map((prompt) => ({ ...QUICK, prompt })),
      { concurrency: 2, onProgress: (job, index) => seen.add(index) },
    );
    assert.deepEqual(
      settled.map(({ status }) => status),
      ["fulfilled", "rejected", "fulfilled"],
    );
    assert.ok(settled[0].value.url);
    assert.ok(settled[1].reason instanceof GenerationFailed);
    assert.deepEqual([...seen].sort(), [0, 1, 2]);
  });

  it("tells the exact price for nothing", async () => {
    const own = new FairStack({ apiKey: server.testKey, baseURL: server.url });
    assert.deepEqual(await own.estimate({ model: MODEL, prompt: "test" }), {
      micro: 48_000,
      display: "$0.048",
    });
    assert.equal((await own.generate.estimate({ model: MODEL, prompt: "test" })).micro, 48_000);
  });

  it("finds jobs again, newest first, page by page", async () => {
    const job = await client.generate.video({ ...QUICK, prompt: "test:fail" });
    assert.equal((await client.jobs.get(job.id, { wait: 30 })).id, job.id);
    const pages = client.jobs.list({ limit: 2, created_after: new Date(Date.now() - 3_600_000) }).pages();
    const first = (await pages.next()).value;
    assert.equal(first.items.length, 2);
    const second = (await pages.next()).value;
    const times = [...first.items, ...second.items].map((found) => found.created_at);
    assert.deepEqual(times, [...times].sort().reverse());
  });

  it("lists models with their prices", async () => {
    const models = await client.models.list({ type: "t2v" });
    assert.ok(models.some(({ key }) => key === MODEL));
    assert.ok(models.every(({ type }) => type === "t2v"));
    assert.deepEqual((await client.models.get(MODEL)).price, {
      micro: 48_000,
      display: "$0.048",
      unit: "clip",
    });
  });

  it("says what is not there", async () => {
    await assert.rejects(client.jobs.get("job_000000000000000000000000"), (error) => {
      return error instanceof NotFound && error.requestId.startsWith("req_") && error.status === 404;
    });
    await assert.rejects(client.generate.video({ ...QUICK, model: "wan-2-1-t2w" }), (error) => {
      return error instanceof UnknownModel && error.allowed.includes(MODEL) && error.param === "model";
    });
  });

  it("reads the wallet, its movements and what was used", async () => {
    await (await client.generate.video(QUICK)).wait();
    const { balance, mode } = await client.credits.get();
    assert.deepEqual([balance.currency, mode], ["USD", "test"]);
    for await (const entry of client.ledger.list()) {
      assert.match(entry.id, /^led_/);
      break;
    }
    const usage = await client.usage({ group_by: "model", from: new Date(Date.now() - 86_400_000) });
    assert.equal(usage.group_by, "model");
    assert.equal(
      usage.total.micro,
      usage.items.reduce((sum, { cost }) => sum + cost.micro, 0),
    );
  });

  it("keeps files and keys", async () => {
    const file = await client.files.upload(new Blob([await readFile(PHOTO)]));
    assert.equal(file.content_type, "image/png");
    assert.equal((await client.files.get(file.id)).sha256, file.sha256);
    await client.files.delete(file.id);
    await assert.rejects(client.files.get(file.id), NotFound);
    const live = new FairStack({ apiKey: server.testKey, baseURL: server.url });
    await assert.rejects(live.send({ method: "GET", path: "/v1/admin/accounts" }), { name: "Forbidden" });
    const made = await client.apiKeys.create({ name: "ci", scopes: ["generate"] });
    assert.match(made.key, /^fs_test_/);
    assert.equal((await client.apiKeys.update(made.id, { name: "tests" })).name, "tests");
    assert.ok((await client.apiKeys.list()).some(({ id }) => id === made.id));
    await client.apiKeys.revoke(made.id);
  });

  it("sends any other call with the same manners", async () => {
    const reply = await client.send({ method: "GET", path: "/v1/webhooks/deliveries", query: { limit: 1 } });
    assert.equal(reply.status, 200);
    assert.ok(Array.isArray(JSON.parse(reply.text).items));
  });
});
