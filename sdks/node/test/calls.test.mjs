// The same calls in every language: spec/client_calls.json is the list.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { it } from "node:test";

import { job, json, scripted } from "./support/scripted.mjs";

const { calls, only } = JSON.parse(
  readFileSync(new URL("../../../spec/client_calls.json", import.meta.url), "utf8"),
);

for (const [place, listed] of Object.entries(calls)) {
  it(`${place} has the calls that every language has, and none besides`, async () => {
    const expected = [...listed, ...(only.node[place] ?? [])].map(camelCase).sort();
    assert.deepEqual(callsOf(await find(place)), expected);
  });
}

it("the client has no part that is not listed", async () => {
  const client = await find("client");
  const parts = Object.keys(client).map((name) => `client.${snakeCase(name)}`);
  const known = Object.keys(calls).filter((place) => place.startsWith("client."));
  assert.deepEqual(parts.sort(), known.sort());
});

async function find(place) {
  const { client } = scripted(() => json(job("completed")));
  const [root, part] = place.split(".");
  if (root === "client") return part ? client[camelCase(part)] : client;
  const found = await client.jobs.get("job_1");
  return root === "job" ? found : found.result;
}

/** Public methods of an object and of the classes that it is of. */
function callsOf(object) {
  const names = new Set();
  for (let at = object; at && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (typeof value === "function" && !["constructor", "toJSON"].includes(name)) names.add(name);
    }
  }
  return [...names].sort();
}

function camelCase(name) {
  return name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
}

function snakeCase(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
