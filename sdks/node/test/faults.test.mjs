// Whatever breaks on the way: one job in the server's books, and the clip or a clear error in the caller's hand.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";

import * as fairstack from "fairstack";

import { faultProxy } from "./support/fault-proxy.mjs";
import { sharedServer, startServer } from "./support/server.mjs";

const FOLDER = new URL("../../../spec/faults/", import.meta.url);
const FAULTS = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".json"))
  .map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")));
/** One second, small: rendered quickly. */
const ORDER = { model: "grok-imagine-t2v", prompt: "A dog", duration: 1, resolution: "480p" };
const FIELDS = {
  code: "code",
  status: "status",
  request_id: "requestId",
  retry_after_seconds: "retryAfterSeconds",
  idempotency_key: "idempotencyKey",
  job_id: "jobId",
};

it("there are faults of every kind", () => {
  const kinds = new Set(FAULTS.map(({ act }) => act.kind));
  assert.ok(FAULTS.length >= 15);
  assert.deepEqual([...kinds].sort(), ["answer", "close", "half", "pieces", "restart"]);
});

describe("a fault on the way", { concurrency: 6 }, () => {
  // The server that is killed is one of its own.
  const servers = { shared: undefined, doomed: undefined };
  before(async () => ([servers.shared, servers.doomed] = await Promise.all([sharedServer(), startServer()])));
  after(() => Promise.all(Object.values(servers).map((server) => server?.stop())));
  for (const fault of FAULTS) {
    const server = fault.act.kind === "restart" ? "doomed" : "shared";
    it(`${fault.name}: ${fault.about}`, () => actOut(fault, servers[server]));
  }
});

async function actOut(fault, server) {
  const proxy = await faultProxy(server.url, { restart: () => server.restart() });
  proxy.act(fault);
  try {
    const order = { ...ORDER, ...fault.order, tags: { fault: `${fault.name}-${randomUUID()}` } };
    const client = new fairstack.FairStack({
      apiKey: server.testKey,
      baseURL: proxy.url,
      ...(fault.client?.timeout_seconds && { timeout: fault.client.timeout_seconds * 1000 }),
      ...(fault.client?.max_retries && { maxRetries: fault.client.max_retries }),
    });
    const end = await result(client, order, fault.client?.wait_seconds).then(
      (clip) => ({ clip }),
      (error) => ({ error }),
    );
    await judge(fault, { ...end, proxy, server, client, order });
  } finally {
    await proxy.close();
  }
}

async function result(client, order, waitSeconds) {
  const job = await client.generate.video(order);
  return job.wait({ timeout: waitSeconds === undefined ? undefined : waitSeconds * 1000 });
}

async function judge({ ends }, { clip, error, proxy, server, client, order }) {
  if (ends.with === "clip") {
    assert.ifError(error);
    await isFetched(clip);
  } else {
    isTold(ends, error, server.testKey);
  }
  sameOrders(proxy.submits(), ends);
  assert.equal((await booked(server, order)).length, ends.jobs);
  if (ends.resume) {
    proxy.mend();
    await isFetched(await resumed(ends.resume, client, order, error));
    assert.equal((await booked(server, order)).length, 1);
  }
}

async function isFetched(clip) {
  assert.equal(clip.status, "completed");
  const file = await fetch(clip.url);
  assert.equal((await file.arrayBuffer()).byteLength, clip.metadata.bytes);
}

function isTold(ends, error, secret) {
  assert.ok(error instanceof fairstack[ends.error], String(error?.stack));
  for (const fact of ends.tells) {
    if (fact === "how_to_resume")
      assert.ok(error.message.includes(`client.jobs.get("${error.jobId}")).wait()`));
    else assert.ok(error[FIELDS[fact]], `${fact} is not told`);
  }
  assert.ok(!error.stack.includes(secret));
}

/** All with one key and one body, apart as long as asked. */
function sameOrders(submits, ends) {
  assert.equal(submits.length, ends.submits);
  assert.equal(new Set(submits.map(({ headers }) => headers["idempotency-key"])).size, 1);
  assert.equal(new Set(submits.map(({ body }) => body)).size, 1);
  if (ends.pause_seconds) assert.ok(submits[1].at - submits[0].at >= ends.pause_seconds * 1000);
}

/** The jobs of this order in the server's books, asked without the proxy. */
async function booked(server, order) {
  const client = new fairstack.FairStack({ apiKey: server.testKey, baseURL: server.url });
  const found = [];
  for await (const job of client.jobs.list({ limit: 100 })) {
    if (job.tags.fault === order.tags.fault) found.push(job);
  }
  return found;
}

function resumed(how, client, order, error) {
  if (how === "wait") return client.jobs.get(error.jobId).then((job) => job.wait());
  return client.generate.video(order, { idempotencyKey: error.idempotencyKey }).then((job) => job.wait());
}
