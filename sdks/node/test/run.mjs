// Runs the tests (those named, or all) with one real server for all files, and without the developer's settings.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { pack } from "./support/consumer.mjs";
import { startServer } from "./support/server.mjs";

const FOLDER = fileURLToPath(new URL(".", import.meta.url));
const named = process.argv.slice(2);
const files = named.length > 0 ? named : readdirSync(FOLDER).filter((name) => name.endsWith(".test.mjs"));

for (const name of Object.keys(process.env)) {
  if (name.startsWith("FAIRSTACK_") && !name.startsWith("FAIRSTACK_TEST_")) delete process.env[name];
}
const server = await startServer();
const env = { ...process.env, FAIRSTACK_TEST_BASE_URL: server.url, FAIRSTACK_TEST_API_KEY: server.testKey };
// A home where nothing is: neither the developer's keys nor their server are met by a test.
env.FAIRSTACK_HOME = `${server.home}/nobody`;
env.FAIRSTACK_TEST_PACKED = JSON.stringify(pack(server.home));
const reporter = process.stdout.isTTY ? "spec" : "dot";
const args = [
  "--test",
  "--test-concurrency=4",
  `--test-reporter=${reporter}`,
  "--test-reporter-destination=stdout",
];
args.push(...files.map((name) => FOLDER + name.replace(/^.*\//, "")));
const tests = spawn(process.execPath, args, { env, stdio: "inherit" });
tests.once("exit", async (code) => {
  await server.stop();
  process.exitCode = code ?? 1;
});
