// A real server of this repository on loopback, with a data folder of its own.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../../../", import.meta.url));
const COMMAND = process.env.FAIRSTACK_TEST_COMMAND ?? join(ROOT, ".venv", "bin", "fairstack");
const START_MS = 60_000;
/** A server of the tests' own: asked much in a minute, and quick to find what a killed one left. */
const SETTINGS = {
  FAIRSTACK_RATE_LIMIT_PER_MINUTE: "6000",
  FAIRSTACK_SWEEP_SECONDS: "0.5",
  FAIRSTACK_WORKER_TIMEOUT_SECONDS: "3",
};

export async function startServer() {
  const home = await mkdtemp(join(tmpdir(), "fairstack-node-"));
  const server = new Server(home, await freePort());
  await server.start();
  const { test_key, live_key } = JSON.parse(await readFile(join(home, "credentials.json"), "utf8"));
  return Object.assign(server, { testKey: test_key, liveKey: live_key });
}

/** The server of the whole run (test/run.mjs), or one of this file's own; `stop` leaves the run's alone. */
export async function sharedServer() {
  const { FAIRSTACK_TEST_BASE_URL: url, FAIRSTACK_TEST_API_KEY: testKey } = process.env;
  return url ? { url, testKey, stop: () => undefined } : startServer();
}

class Server {
  #process;
  #said = "";

  constructor(home, port) {
    this.home = home;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  async start() {
    const env = { ...process.env, ...SETTINGS, FAIRSTACK_HOME: this.home, FAIRSTACK_PORT: String(this.port) };
    this.#process = spawn(COMMAND, ["serve"], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#process.on("error", (error) => (this.#said += String(error)));
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on("data", (text) => (this.#said += text));
    }
    const until = Date.now() + START_MS;
    while (!(await this.#isReady())) {
      if (this.#process.exitCode !== null || Date.now() > until) {
        throw new Error(
          `${COMMAND} serve did not start (make setup installs it):\n${this.#said.slice(-2000)}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Killed without a word, and started again with the same data. */
  async restart() {
    await this.#end("SIGKILL");
    await this.start();
  }

  async stop() {
    await this.#end("SIGTERM");
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }

  #end(signal) {
    return new Promise((resolve) => {
      this.#process.once("exit", resolve);
      this.#process.kill(signal);
    });
  }

  #isReady() {
    return fetch(`${this.url}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
