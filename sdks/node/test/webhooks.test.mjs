// Webhooks: what Standard Webhooks accepts we accept, and what it refuses we refuse.
import assert from "node:assert/strict";
import { createHmac, randomBytes, randomInt } from "node:crypto";
import { it } from "node:test";

import { BadArgument, FairStack, signWebhook, verifyWebhook, WebhookRefused } from "fairstack";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

import * as web from "../dist/esm/web.js";
import { hmacSha256 } from "../dist/esm/sha256.js";

const SECRET = `whsec_${Buffer.from("0123456789abcdef01234567").toString("base64")}`;
const BODY = JSON.stringify({ id: "job_1", status: "completed", url: "https://x.example/a.mp4", é: "✓" });
const VECTORS = 1000;
const DAMAGES = [
  "",
  "",
  "",
  "body",
  "id",
  "stamp",
  "signature",
  "secret",
  "old",
  "new",
  "version",
  "rotated",
  "missing",
];

const now = () => Math.floor(Date.now() / 1000);

it("gives the job of a true webhook, from text, bytes and a buffer, with headers of any kind", () => {
  const headers = signWebhook(BODY, "msg_1", now(), SECRET);
  const client = new FairStack({ apiKey: "fs_live_a" });
  const shouted = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]]),
  );
  const bytes = new TextEncoder().encode(BODY);
  for (const job of [
    verifyWebhook(BODY, headers, SECRET),
    verifyWebhook(bytes, new Headers(headers), SECRET),
    verifyWebhook(bytes.buffer, shouted, SECRET),
    client.webhooks.verify(Buffer.from(BODY), headers, SECRET),
    web.verifyWebhook(BODY, headers, SECRET),
  ]) {
    assert.deepEqual([job.id, job.status, job.url], ["job_1", "completed", "https://x.example/a.mp4"]);
  }
});

it(`judges ${VECTORS} random webhooks as the reference does, whichever side signed them`, () => {
  const tally = { taken: 0, refused: 0 };
  for (let n = 0; n < VECTORS; n++) {
    const damage = DAMAGES[randomInt(DAMAGES.length)];
    const vector = damaged(damage, n % 2 === 0 ? ours(n) : theirs(n));
    const verdicts = [verifyWebhook, web.verifyWebhook].map((verify) => takes(verify, vector));
    const reference = takes((body, headers, secret) => new Webhook(secret).verify(body, headers), vector);
    assert.deepEqual(verdicts, [reference, reference], damage);
    assert.equal(reference, ["", "rotated"].includes(damage), damage);
    tally[reference ? "taken" : "refused"] += 1;
  }
  assert.equal(tally.taken + tally.refused, VECTORS);
  assert.ok(tally.taken > 200 && tally.refused > 200);
});

function ours(n) {
  const { id, stamp, body, secret } = random(n);
  return { body, secret, headers: signWebhook(body, id, stamp, secret) };
}

function theirs(n) {
  const { id, stamp, body, secret } = random(n);
  const signature = new Webhook(secret).sign(id, new Date(stamp * 1000), body);
  return {
    body,
    secret,
    headers: { "webhook-id": id, "webhook-timestamp": String(stamp), "webhook-signature": signature },
  };
}

function random(n) {
  const secret = `whsec_${randomBytes(randomInt(1, 100)).toString("base64")}`;
  const body = JSON.stringify({
    id: `job_${n}`,
    status: "failed",
    text: randomBytes(randomInt(200)).toString("latin1"),
  });
  return { id: `msg_${n}`, stamp: now() + randomInt(-250, 250), body, secret };
}

/** The webhook with one thing wrong (or, rotated, two signatures of which one is right). */
function damaged(damage, { body, headers, secret }) {
  const signature = headers["webhook-signature"];
  const other = `v1,${randomBytes(32).toString("base64")}`;
  const stamped = (stamp) => signWebhook(body, headers["webhook-id"], stamp, secret);
  switch (damage) {
    case "body":
      return { body: body.replace("failed", "completed"), headers, secret };
    case "id":
      return { body, headers: { ...headers, "webhook-id": "msg_other" }, secret };
    case "stamp":
      return {
        body,
        headers: { ...headers, "webhook-timestamp": `${Number(headers["webhook-timestamp"]) + 1}` },
        secret,
      };
    case "signature":
      return { body, headers: { ...headers, "webhook-signature": other }, secret };
    case "secret":
      return { body, headers, secret: SECRET };
    case "old":
      return { body, headers: stamped(now() - 302 - randomInt(10_000)), secret };
    case "new":
      return { body, headers: stamped(now() + 302 + randomInt(10_000)), secret };
    case "version":
      return { body, headers: { ...headers, "webhook-signature": signature.replace("v1,", "v2,") }, secret };
    case "rotated":
      return { body, headers: { ...headers, "webhook-signature": `${other} ${signature}` }, secret };
    case "missing":
      return { body, headers: { ...headers, "webhook-signature": "" }, secret };
    default:
      return { body, headers, secret };
  }
}

function takes(verify, { body, headers, secret }) {
  try {
    verify(body, headers, secret);
    return true;
  } catch (error) {
    assert.ok(
      error instanceof WebhookRefused ||
        error instanceof web.WebhookRefused ||
        error instanceof WebhookVerificationError,
    );
    return false;
  }
}

it("computes HMAC-SHA-256 as the runtime does, for keys and messages of every length around a block", () => {
  for (let length = 0; length < 200; length++) {
    const [key, message] = [randomBytes(length), randomBytes(200 - length)];
    const expected = createHmac("sha256", key).update(message).digest("hex");
    assert.equal(Buffer.from(hmacSha256(key, message)).toString("hex"), expected);
  }
});

it("refuses a stale stamp, unless told to be patient", () => {
  const headers = signWebhook(BODY, "msg_1", now() - 1000, SECRET);
  assert.throws(() => verifyWebhook(BODY, headers, SECRET), /300 s away/);
  assert.equal(verifyWebhook(BODY, headers, SECRET, { toleranceSeconds: 2000 }).id, "job_1");
  assert.throws(() => verifyWebhook(BODY, headers, SECRET, { toleranceSeconds: NaN }), WebhookRefused);
});

it("names a secret that is none, and a body that was parsed already, without showing them", () => {
  const headers = signWebhook(BODY, "msg_1", now(), SECRET);
  assert.throws(
    () => verifyWebhook(BODY, headers, "whsec_!!!"),
    (error) => {
      return error instanceof BadArgument && error.param === "secret" && !error.message.includes("!!!");
    },
  );
  assert.throws(() => verifyWebhook(JSON.parse(BODY), headers, SECRET), /raw body/);
});
