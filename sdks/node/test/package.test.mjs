// The package as it is installed: both kinds of modules, types, the browser's entry, no dependency.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { after, before, it } from "node:test";
import { fileURLToPath } from "node:url";

import * as fairstack from "fairstack";

import { refusalClass } from "../dist/esm/refusals.js";
import * as web from "../dist/esm/web.js";
import { Consumer } from "./support/consumer.mjs";
import { json, scripted } from "./support/scripted.mjs";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const EXAMPLES = join(ROOT, "spec", "examples");
const MANIFEST = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const example = (name) => JSON.parse(readFileSync(join(EXAMPLES, `${name}.json`), "utf8"));
/** The type of each example that a client meets. */
const TYPES = {
  credits: "Credits",
  estimated: "{ estimated_cost: Estimate }",
  file: "FileRecord",
  "job-cancel-requested": "JobRecord",
  "job-cancelled": "JobRecord",
  "job-completed": "JobRecord",
  "job-failed": "JobRecord",
  "job-list": "Page<JobRecord>",
  "job-processing": "JobRecord",
  "job-queued": "JobRecord",
  "key-created": "ApiKey",
  "key-list": "{ items: ApiKey[] }",
  "key-request": "ApiKeyRequest",
  ledger: "Page<LedgerEntry>",
  "model-list": "{ models: Model[]; total: number }",
  model: "Model",
  "submit-request": "VideoRequest",
  usage: "Usage",
};

let consumer;
before(() => (consumer = new Consumer()));
after(() => consumer?.remove());

it("is small, has no dependency, and holds what it should", () => {
  const { size, names } = consumer.packed;
  assert.ok(size < 70_000, `${size}`);
  assert.equal(MANIFEST.dependencies, undefined);
  for (const name of ["LICENSE", "README.md", "dist/esm/index.js", "dist/cjs/index.d.ts"])
    assert.ok(names.includes(name), name);
  assert.ok(names.every((name) => /^(dist\/|LICENSE|README\.md|package\.json)/.test(name)));
});

it("has the version of the Python package", () => {
  const version = /^version = "(.*)"$/m.exec(readFileSync(join(ROOT, "pyproject.toml"), "utf8"))[1];
  assert.deepEqual([MANIFEST.version, fairstack.VERSION], [version, version]);
});

it("can be imported and required", () => {
  const show = "console.log(typeof FairStack, typeof verifyWebhook)";
  assert.equal(
    consumer.run("a.mjs", `import { FairStack, verifyWebhook } from "fairstack"; ${show}`),
    "function function\n",
  );
  assert.equal(
    consumer.run("b.cjs", `const { FairStack, verifyWebhook } = require("fairstack"); ${show}`),
    "function function\n",
  );
});

it("has nothing of Node in what a browser loads, and gives the same names", () => {
  const seen = new Set();
  const walk = (file) => {
    if (seen.has(file)) return;
    seen.add(file);
    const text = readFileSync(file, "utf8");
    for (const [, name] of text.matchAll(/(?:from|import) "([^"]+)"/g)) {
      assert.ok(name.startsWith("."), `${file} imports ${name}`);
      walk(resolve(dirname(file), name));
    }
  };
  walk(fileURLToPath(new URL("../dist/esm/web.js", import.meta.url)));
  assert.ok(seen.size > 15);
  assert.deepEqual(Object.keys(web).sort(), Object.keys(fairstack).sort());
});

it("draws every error in its tree, and gives each by name", () => {
  const text = readFileSync(new URL("../src/errors.ts", import.meta.url), "utf8");
  const tree = text.slice(0, text.indexOf("*/"));
  const kinds = Object.values(fairstack).filter((kind) => kind.prototype instanceof Error);
  assert.ok(kinds.length > 25);
  for (const kind of kinds) assert.match(tree, new RegExp(`[─] ${kind.name}\\b|\\b${kind.name} +anything`));
});

it("types the project that uses it, strictly, and every example of the specification", () => {
  const program = readFileSync(new URL("types.ts.txt", import.meta.url), "utf8");
  consumer.write("use.mts", program);
  consumer.write(
    "use.cts",
    program.replace(/^const job = await/m, "async function main() { const job = await") + "\n}",
  );
  const names = Object.values(TYPES)
    .join(" ")
    .match(/[A-Z]\w+/g);
  const lines = Object.entries(TYPES).map(
    ([name, type], n) => `export const e${n}: ${type} = ${JSON.stringify(example(name))};`,
  );
  consumer.write(
    "examples.mts",
    `import type { ${[...new Set(names)].join(", ")} } from "fairstack";\n${lines.join("\n")}`,
  );
  typed("nodenext", "use.mts", "use.cts", "examples.mts");
});

it("types a project that has a bundler, and says so when something does not fit", () => {
  const wrong = 'import type { Cost } from "fairstack";\nexport const cost: Cost = { micro: "1" };';
  consumer.write("wrong.mts", wrong);
  assert.throws(
    () => typed("bundler", "use.mts", "wrong.mts"),
    (error) => {
      const places = error.message.match(/^\w+\.mts\(\d+/gm);
      return places.length > 0 && places.every((place) => place === "wrong.mts(2");
    },
  );
});

it("gives every example of an answer as it stands", async () => {
  const answers = {
    "/v1/jobs/job_1": "job-completed",
    "/v1/models/m": "model",
    "/v1/models": "model-list",
    "/v1/credits": "credits",
    "/v1/usage": "usage",
    "/v1/files/f": "file",
    "/v1/jobs": "job-list",
    "/v1/ledger": "ledger",
    "/v1/api-keys": "key-list",
  };
  const { client } = scripted(({ path }) => json(example(answers[path])));
  const job = await client.jobs.get("job_1");
  assert.deepEqual(job.record, example("job-completed"));
  assert.deepEqual(JSON.parse(JSON.stringify(job)), example("job-completed"));
  assert.deepEqual({ ...job.result }, example("job-completed"));
  assert.deepEqual(await client.models.get("m"), example("model"));
  assert.deepEqual(await client.models.list(), example("model-list").models);
  assert.deepEqual(await client.credits.get(), example("credits"));
  assert.deepEqual(await client.usage(), example("usage"));
  assert.deepEqual(await client.files.get("f"), example("file"));
  assert.deepEqual(await client.apiKeys.list(), example("key-list").items);
  const page = (await client.jobs.list().pages().next()).value;
  assert.deepEqual(
    page.items.map(({ record }) => record),
    example("job-list").items,
  );
  assert.deepEqual((await client.ledger.list().pages().next()).value, example("ledger"));
});

it("gives the example of an error with all its facts", async () => {
  const { error } = example("error");
  const { client } = scripted(() => json({ error }, { status: error.status }));
  await assert.rejects(client.credits.get(), (raised) => {
    const { message, code, status, requestId, param, allowed } = raised;
    assert.deepEqual({ message, code, status, request_id: requestId, param, allowed }, error);
    return raised instanceof fairstack.BadRequest;
  });
});

it("has a class that says what to do for every code of the page of errors", () => {
  const page = readFileSync(join(ROOT, "docs", "reference", "errors.md"), "utf8");
  const codes = [...page.matchAll(/^\| (\d+) \| `(\w+)`/gm)].filter(([, status]) => status !== "405");
  assert.ok(codes.length > 15);
  for (const [, status, code] of codes)
    assert.notEqual(refusalClass(code, Number(status)), fairstack.Refused, code);
});

/** Type-check files of the consumer's. Throws with what the compiler says. */
function typed(resolution, ...files) {
  const module = resolution === "nodenext" ? "nodenext" : "esnext";
  const types = fileURLToPath(new URL("../node_modules/@types", import.meta.url));
  const flags = [
    "--noEmit",
    "--strict",
    "--exactOptionalPropertyTypes",
    "--target",
    "es2022",
    "--lib",
    "es2022,dom",
  ];
  const args = [
    ...flags,
    "--typeRoots",
    types,
    "--types",
    "node",
    "--module",
    module,
    "--moduleResolution",
    resolution,
  ];
  const tsc = fileURLToPath(new URL("../node_modules/.bin/tsc", import.meta.url));
  try {
    execFileSync(tsc, [...args, ...files], { cwd: consumer.folder, encoding: "utf8", stdio: "pipe" });
  } catch (error) {
    throw new Error(error.stdout || error.stderr);
  }
}
