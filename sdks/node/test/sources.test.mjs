// Pictures of this machine, where the key is found, and what differs in browsers.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

import { BadArgument, DownloadFailed, FairStack, NotConfigured } from "fairstack";

import * as web from "../dist/esm/web.js";
import { broken, job, json, KEY, scripted } from "./support/scripted.mjs";

const PHOTO = fileURLToPath(new URL("../../../tests/gateway/photo.png", import.meta.url));
const BYTES = readFileSync(PHOTO);
const REQUEST = { model: "kling-2-1-std-i2v", prompt: "Zoom in" };
const folder = mkdtempSync(join(tmpdir(), "fairstack-sources-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Keeps uploads as file_1, file_2, … and takes any order. */
function taking(settings) {
  let files = 0;
  return scripted(({ path }) => {
    return path === "/v1/files" ? json({ id: `file_${++files}` }) : json({ id: "job_1", status: "queued" });
  }, settings);
}

for (const [what, source, type] of [
  ["a path", PHOTO, "image/png"],
  ["a file URL", pathToFileURL(PHOTO), "image/png"],
  ["a Buffer", BYTES, "image/png"],
  ["an ArrayBuffer", Uint8Array.from(BYTES).buffer, "image/png"],
  ["a Blob", new Blob([BYTES]), "image/png"],
  ["a sound", Buffer.from("RIFF\0\0\0\0WAVEfmt "), "audio/wav"],
  ["a Blob that says what it is", new Blob(["?"], { type: "image/tiff" }), "image/tiff"],
]) {
  it(`uploads ${what}, and names the file in the order`, async () => {
    const { client, asked } = taking();
    const field = type.startsWith("audio/") ? "audio_url" : "image";
    await client.generate.video({ ...REQUEST, [field]: source });
    const [uploaded, order] = asked;
    assert.deepEqual([uploaded.path, uploaded.headers["Content-Type"]], ["/v1/files", type]);
    assert.equal(JSON.parse(order.body)[field], "file_1");
  });
}

it("passes URLs and file ids as they are", async () => {
  const { client, asked } = taking();
  const [image, end_image] = [new URL("https://example.com/a.png"), "file_4Zb9pXw2Lk7Qe1TnVd3RsYuM"];
  await client.generate.video({
    ...REQUEST,
    image,
    end_image,
    images: ["data:image/png;base64,AA==", BYTES],
  });
  assert.equal(asked.length, 2);
  const body = JSON.parse(asked[1].body);
  assert.deepEqual([body.image, body.end_image], [image.href, end_image]);
  assert.deepEqual(body.images, ["data:image/png;base64,AA==", "file_1"]);
});

it("writes a picture into an order that has a key of the caller's, so that its repeats are the same bytes", async () => {
  const { client, asked } = taking();
  for (let n = 0; n < 2; n++)
    await client.generate.video({ ...REQUEST, image: PHOTO }, { idempotencyKey: "order-1" });
  assert.deepEqual(
    asked.map(({ path }) => path),
    ["/v1/generations/video", "/v1/generations/video"],
  );
  assert.equal(asked[0].body, asked[1].body);
  assert.equal(JSON.parse(asked[0].body).image, `data:image/png;base64,${BYTES.toString("base64")}`);
});

it("tells what was uploaded when the fate of the order is unknown", async () => {
  const { client } = scripted(({ path }) => {
    if (path === "/v1/files") return json({ id: "file_1" });
    throw broken();
  });
  await assert.rejects(
    client.generate.video({ ...REQUEST, image: PHOTO }),
    /Name what was uploaded then: image: "file_1"/,
  );
});

it("says which file cannot be read", async () => {
  const { client, asked } = taking();
  const missing = join(folder, "none.png");
  await assert.rejects(client.generate.video({ ...REQUEST, image: missing }), (error) => {
    return error instanceof BadArgument && error.param === "image" && error.message.includes(missing);
  });
  assert.equal(asked.length, 0);
});

it("finds key and server in the arguments, the environment, and what the first start wrote", () => {
  const home = mkdtempSync(join(folder, "home-"));
  const names = ["FAIRSTACK_HOME", "FAIRSTACK_API_KEY", "FAIRSTACK_BASE_URL", "FAIRSTACK_PORT"];
  const before = names.map((name) => process.env[name]);
  const settings = (given) =>
    names.forEach((name) => (given[name] ? (process.env[name] = given[name]) : delete process.env[name]));
  try {
    settings({ FAIRSTACK_HOME: home });
    assert.throws(
      () => new FairStack(),
      (error) => error instanceof NotConfigured && error.message.includes("fairstack serve"),
    );
    assert.equal(new FairStack({ apiKey: KEY }).baseURL, "http://127.0.0.1:8787");
    const stored = { base_url: "http://127.0.0.1:9999", live_key: "fs_live_a", test_key: "fs_test_a" };
    writeFileSync(join(home, "credentials.json"), JSON.stringify(stored));
    assert.equal(new FairStack().baseURL, "http://127.0.0.1:9999");
    assert.throws(
      () => new FairStack({ baseURL: "https://elsewhere.example" }),
      NotConfigured,
      "a stored key is for its server",
    );
    settings({ FAIRSTACK_HOME: home, FAIRSTACK_PORT: "8788", FAIRSTACK_API_KEY: "fs_live_b" });
    assert.equal(new FairStack({ mode: "test" }).baseURL, "http://127.0.0.1:8788");
    settings({
      FAIRSTACK_HOME: folder,
      FAIRSTACK_API_KEY: "fs_live_b",
      FAIRSTACK_BASE_URL: "https://api.example/v1/",
    });
    assert.equal(new FairStack().baseURL, "https://api.example");
    assert.throws(() => new FairStack({ mode: "test" }), NotConfigured, "a live key is no test key");
  } finally {
    names.forEach((name, index) =>
      before[index] === undefined ? delete process.env[name] : (process.env[name] = before[index]),
    );
  }
});

it("refuses keys and addresses that cannot be, without showing the key", () => {
  for (const apiKey of ["fs_live_YOUR_KEY", "fs_live_ä", "fs live"]) {
    assert.throws(
      () => new FairStack({ apiKey }),
      (error) => error instanceof NotConfigured && !error.message.includes(apiKey),
    );
  }
  for (const baseURL of ["nonsense", "ftp://a.example", "https://a.example/?q=1", "https://me@a.example"]) {
    assert.throws(() => new FairStack({ apiKey: KEY, baseURL }), NotConfigured);
  }
  for (const timeout of [0, -1, NaN, Infinity])
    assert.throws(() => new FairStack({ apiKey: KEY, timeout }), BadArgument);
});

it("saves a clip whole or not at all, and without the key", async () => {
  const clip = Buffer.from("a clip of some bytes");
  const good = job("completed", { metadata: { bytes: clip.length } });
  let tries = 0;
  const { client, asked } = scripted(({ path }) => {
    if (!path.startsWith("/media/")) return json(good);
    return new Response(tries++ === 0 ? clip.subarray(3) : clip);
  });
  const place = join(folder, "clip.mp4");
  const { result } = await client.jobs.get("job_1");
  assert.deepEqual(await result.save(place), { path: place, bytes: clip.length });
  assert.deepEqual(readFileSync(place), clip);
  assert.ok(asked.slice(1).every(({ headers }) => headers.Authorization === undefined));
  const wrong = scripted(({ path }) => (path.startsWith("/media/") ? new Response("x") : json(good)));
  const other = join(folder, "other.mp4");
  await assert.rejects((await wrong.client.jobs.get("job_1")).result.save(other), DownloadFailed);
  assert.throws(() => readFileSync(other));
  await assert.rejects(result.save(join(folder, "nowhere", "clip.mp4")), BadArgument);
});

it("works in browsers: no file is read there, no header is sent that they forbid", async () => {
  const asked = [];
  const fetch = async (url, { headers }) => {
    asked.push({ url, headers });
    return json(url.endsWith("/v1/files") ? { id: "file_1" } : { id: "job_1", status: "queued" });
  };
  const client = new web.FairStack({ apiKey: KEY, baseURL: "https://api.example", fetch });
  await client.generate.video({ ...REQUEST, image: new Blob([BYTES]) });
  assert.equal(asked.length, 2);
  assert.ok(asked.every(({ headers }) => !("User-Agent" in headers)));
  await assert.rejects(client.generate.video({ ...REQUEST, image: "photo.png" }), /no paths here/);
  assert.throws(() => new web.FairStack(), web.NotConfigured);
});
