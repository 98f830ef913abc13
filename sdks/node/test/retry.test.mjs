// When a request is sent again, and when never.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { it } from "node:test";
import { inspect } from "node:util";

import * as fairstack from "fairstack";

import { broken, job, json, KEY, refusal, scripted } from "./support/scripted.mjs";

const REQUEST = { model: "wan-2-1-t2v", prompt: "A dog on a secret beach" };

/** Answers by turns, the last one for ever. */
function turns(...answers) {
  let turn = 0;
  return (request) => {
    const answer = answers[Math.min(turn++, answers.length - 1)];
    if (answer instanceof Error) throw answer;
    return typeof answer === "function" ? answer(request) : answer.clone();
  };
}

const submitted = json({
  id: "job_1",
  status: "queued",
  estimated_cost: { micro: 48_000, display: "$0.048" },
});

for (const [what, first] of [
  ["a broken connection", broken()],
  ["a refused connection", broken("ECONNREFUSED")],
  ["408", refusal(408, "internal_error")],
  ["429", refusal(429, "rate_limited", { "retry-after": "1" })],
  ["409 idempotency_in_flight", refusal(409, "idempotency_in_flight")],
  ["500", refusal(500, "internal_error")],
  ["503 provider_unavailable", refusal(503, "provider_unavailable")],
  ["a 502 page", new Response("<html>", { status: 502, headers: { "content-type": "text/html" } })],
  ["JSON that breaks off", new Response('{"id": "jo', { headers: { "content-type": "application/json" } })],
]) {
  it(`sends an order again after ${what}, with the same key and body`, async () => {
    const { client, asked, clock } = scripted(turns(first, submitted));
    assert.equal((await client.generate.video(REQUEST)).id, "job_1");
    const [one, two] = asked;
    assert.equal(one.headers["Idempotency-Key"], two.headers["Idempotency-Key"]);
    assert.match(one.headers["Idempotency-Key"], /^node-[0-9a-f]{32}$/);
    assert.equal(one.body, two.body);
    assert.equal(clock.sleeps.length, 1);
  });
}

for (const [status, code, kind] of [
  [400, "validation_error", "BadRequest"],
  [400, "unknown_model", "UnknownModel"],
  [401, "authentication_error", "NotAuthenticated"],
  [402, "insufficient_credits", "InsufficientCredits"],
  [402, "cap_reached", "CapReached"],
  [403, "forbidden", "Forbidden"],
  [404, "not_found", "NotFound"],
  [409, "job_not_cancellable", "JobNotCancellable"],
  [413, "payload_too_large", "PayloadTooLarge"],
  [415, "unsupported_media_type", "UnsupportedMediaType"],
  [422, "content_filtered", "ContentFiltered"],
  [422, "idempotency_key_reused", "IdempotencyKeyReused"],
  [503, "model_unavailable", "ModelUnavailable"],
  [418, "teapot", "Refused"],
]) {
  it(`raises ${kind} for ${status} ${code} at once`, async () => {
    const { client, asked } = scripted(() => refusal(status, code));
    await assert.rejects(client.generate.video(REQUEST), (error) => {
      assert.ok(error instanceof fairstack[kind]);
      assert.deepEqual(
        [error.name, error.code, error.status, error.requestId],
        [kind, code, status, "req_1"],
      );
      return error instanceof fairstack.Refused && error instanceof fairstack.FairStackError;
    });
    assert.equal(asked.length, 1);
  });
}

it("gives up after four retries, with growing pauses, and tells the key", async () => {
  const { client, clock, asked } = scripted(turns(broken()));
  await assert.rejects(client.generate.video(REQUEST), (error) => {
    assert.ok(error instanceof fairstack.Unreachable);
    assert.ok(error.message.includes(`idempotencyKey: "${error.idempotencyKey}"`));
    return error.idempotencyKey === asked[0].headers["Idempotency-Key"];
  });
  assert.equal(asked.length, 5);
  clock.sleeps.forEach((pause, retry) => assert.ok(pause >= 0 && pause <= 500 * 2 ** retry));
});

it("keeps to Retry-After, spread a little, be it seconds or a date", async () => {
  const date = "Sun, 22 Nov 2026 09:30:00 GMT";
  const later = { "retry-after": "Sun, 22 Nov 2026 09:30:07 GMT", date };
  const { client, clock } = scripted(
    turns(
      refusal(429, "rate_limited", { "retry-after": "3" }),
      refusal(503, "provider_unavailable", later),
      submitted,
    ),
  );
  await client.generate.video(REQUEST);
  assert.ok(clock.sleeps[0] >= 3000 && clock.sleeps[0] <= 4000);
  assert.ok(clock.sleeps[1] >= 7000 && clock.sleeps[1] <= 8000);
});

it("does not wait an hour because it is told to: the error says when to come back", async () => {
  const { client, asked } = scripted(() => refusal(429, "rate_limited", { "retry-after": "3600" }));
  await assert.rejects(client.credits.get(), { name: "RateLimited", retryAfterSeconds: 3600 });
  assert.equal(asked.length, 1);
});

it("bounds all retries of one call by two minutes", async () => {
  const { client, clock } = scripted(() => refusal(409, "idempotency_in_flight"));
  await assert.rejects(client.generate.video(REQUEST), fairstack.IdempotencyInFlight);
  const passed = clock.sleeps.reduce((sum, pause) => sum + pause, 0);
  assert.ok(passed > 100_000 && passed <= 120_000, `${passed}`);
});

it("never repeats blindly what has no key of its own", async () => {
  const { client, asked } = scripted(turns(broken()));
  await assert.rejects(client.apiKeys.create({ name: "ci" }), fairstack.Unreachable);
  assert.equal(asked.length, 1, "a key may have been made");
  const refused = scripted(turns(broken("ECONNREFUSED"), json({ id: "key_1" })));
  await refused.client.apiKeys.create({ name: "ci" });
  assert.equal(refused.asked.length, 2, "nothing was sent");
});

it("sends once with maxRetries 0", async () => {
  const { client, asked } = scripted(() => refusal(500, "internal_error"), { maxRetries: 0 });
  await assert.rejects(client.credits.get(), fairstack.InternalError);
  assert.equal(asked.length, 1);
});

it("does not take a page with status 200 for an answer", async () => {
  const page = () => new Response("<html>Welcome!", { headers: { "content-type": "text/html" } });
  const { client } = scripted(page);
  await assert.rejects(client.models.list(), /Is it the address of a FairStack server/);
});

it("does not follow a redirect: the key goes nowhere else", async () => {
  const paths = [];
  const server = createServer(({ url }, response) => {
    paths.push(url);
    response.writeHead(302, { location: "/elsewhere" }).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const baseURL = `http://127.0.0.1:${server.address().port}`;
  try {
    const client = new fairstack.FairStack({ apiKey: KEY, baseURL });
    await assert.rejects(client.credits.get(), {
      name: "UnexpectedAnswer",
      message: /302, pointing to \/elsewhere/,
    });
    assert.deepEqual(paths, ["/v1/credits"]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

it("leaves a silent server after the timeout, and says that it was the timeout", async () => {
  const silent = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const { client } = scripted(silent, { timeout: 20, maxRetries: 0 });
  await assert.rejects(client.credits.get(), { name: "Unreachable", message: /timeout/ });
});

it("says how to start a server that is not there", async () => {
  const { client } = scripted(turns(broken("ECONNREFUSED")));
  await assert.rejects(client.credits.get(), /127\.0\.0\.1:8787.*fairstack serve/);
});

it("ends with Aborted when the caller's signal fires, and tells the key of what may have been sent", async () => {
  const controller = new AbortController();
  const { client, asked } = scripted(({ signal }) => {
    controller.abort(new Error("enough"));
    return Promise.reject(signal.reason);
  });
  await assert.rejects(client.generate.video(REQUEST, { signal: controller.signal }), (error) => {
    assert.ok(error instanceof fairstack.Aborted);
    assert.deepEqual([error.name, error.cause.message], ["AbortError", "enough"]);
    return error.idempotencyKey === asked[0].headers["Idempotency-Key"];
  });
  assert.equal(asked.length, 1);
});

it("keeps the key out of everything that is shown", async () => {
  const { client } = scripted(() => refusal(401, "authentication_error"));
  const record = new fairstack.Job(client, job("completed"));
  const error = await client.credits.get().catch((reason) => reason);
  for (const shown of [
    client,
    client.generate,
    client.jobs,
    record,
    error,
    error.stack,
    client.jobs.list(),
  ]) {
    for (const text of [
      inspect(shown, { depth: 9, showHidden: true }),
      JSON.stringify(shown),
      String(shown),
    ]) {
      assert.ok(!text.includes(KEY) && !text.includes("secret beach"));
    }
  }
});

it("says who calls, and gives the key to the API alone", async () => {
  const { client, asked } = scripted(() => json({ balance: {} }));
  await client.credits.get();
  const { headers } = asked[0];
  assert.equal(headers["User-Agent"], `fairstack-node/${fairstack.VERSION} node/${process.versions.node}`);
  assert.equal(headers.Authorization, `Bearer ${KEY}`);
});

it("refuses what cannot be right before anything is sent", async () => {
  const { client, asked } = scripted(() => submitted.clone());
  for (const [name, attempt] of [
    ["a key with a space", client.generate.video(REQUEST, { idempotencyKey: "a b" })],
    ["a duration that is no number", client.generate.video({ ...REQUEST, duration: NaN })],
    ["confirm", client.generate.video({ ...REQUEST, confirm: false })],
    ["an empty id", client.jobs.get("")],
    ["a hold of an hour", client.jobs.get("job_1", { wait: 3600 })],
    ["no picture", client.generate.video({ ...REQUEST, image: "" })],
    ["one picture for a list", client.generate.video({ ...REQUEST, images: "a.png" })],
    ["a negative limit", new fairstack.Job(client, job("queued")).wait({ timeout: -1 })],
  ]) {
    await assert.rejects(attempt, fairstack.BadArgument, name);
  }
  assert.equal(asked.length, 0);
});
