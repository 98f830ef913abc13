/** Node, Deno and Bun: files, environment and the runtime's own cryptography. */
import { createHash, createHmac, randomBytes, type Hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { open, readFile, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, dirname, join, sep } from "node:path";

import { BadArgument } from "../errors.js";
import type { NamedBytes, PartFile, Platform, StoredKeys } from "../platform.js";
import { isObject } from "../retry.js";

export const nodePlatform: Platform = {
  agent: agent(),
  setting: (name) => process.env[name] || undefined,
  storedKeys,
  randomHex: (bytes) => randomBytes(bytes).toString("hex"),
  hmacSha256: (key, message) => createHmac("sha256", key).update(message).digest(),
  readFile: readNamed,
  partFile: async (jobId, target) => new NodePartFile(await place(jobId, target)),
};

function agent(): string {
  const versions: Record<string, string | undefined> = process.versions;
  const runtime = ["bun", "deno"].find((name) => versions[name] !== undefined) ?? "node";
  return `${runtime}/${versions[runtime]}`;
}

function storedKeys(): StoredKeys {
  const path = credentialsPath();
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return codeOf(error) === "ENOENT" ? { path } : { path, problem: codeOf(error) };
  }
  return { path, ...credentials(text) };
}

function credentials(text: string): Omit<StoredKeys, "path"> {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    stored = undefined;
  }
  if (!isObject(stored)) return { problem: "not a JSON object" };
  const { base_url, live_key, test_key } = stored;
  return {
    ...(typeof base_url === "string" && { baseURL: base_url }),
    ...(typeof live_key === "string" && { live: live_key }),
    ...(typeof test_key === "string" && { test: test_key }),
  };
}

function credentialsPath(): string {
  const { FAIRSTACK_HOME: home, XDG_DATA_HOME: data } = process.env;
  const folder = home ? expanded(home) : join(data || join(homedir(), ".local", "share"), "fairstack");
  return join(folder, "credentials.json");
}

function expanded(path: string): string {
  return /^~(?=[/\\]|$)/.test(path) ? homedir() + path.slice(1) : path;
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code ?? "unreadable");
}

async function readNamed(path: string, param: string): Promise<NamedBytes> {
  const place = expanded(path);
  try {
    return { bytes: await readFile(place), name: basename(place) };
  } catch (error) {
    throw new BadArgument(
      `${param}: ${JSON.stringify(place)} cannot be read (${codeOf(error)}). Give a file, an https URL or a file id.`,
      { param },
    );
  }
}

async function place(jobId: string, target: string): Promise<string> {
  const path = expanded(target);
  const isFolder = path.endsWith(sep) || path.endsWith("/") || (await isDirectory(path));
  const file = isFolder ? join(path, `${jobId}.mp4`) : path;
  if (!(await isDirectory(dirname(file)))) {
    throw new BadArgument(`The folder ${JSON.stringify(dirname(file))} does not exist`, { param: "path" });
  }
  return file;
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

class NodePartFile implements PartFile {
  readonly path: string;
  bytes = 0;
  readonly #part: string;
  #file: FileHandle | undefined;
  #digest: Hash = createHash("sha256");

  constructor(path: string) {
    this.path = path;
    this.#part = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}.part`);
  }

  async begin(): Promise<void> {
    await this.discard();
    this.bytes = 0;
    this.#digest = createHash("sha256");
    this.#file = await this.#written(open(this.#part, "wx"));
  }

  async write(chunk: Uint8Array): Promise<void> {
    await this.#written(this.#opened().writeFile(chunk));
    this.#digest.update(chunk);
    this.bytes += chunk.byteLength;
  }

  sha256(): string {
    return this.#digest.copy().digest("hex");
  }

  async commit(): Promise<void> {
    const file = this.#opened();
    await this.#written(file.sync());
    await file.close();
    this.#file = undefined;
    await this.#written(rename(this.#part, this.path));
  }

  async discard(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    await rm(this.#part, { force: true });
  }

  #opened(): FileHandle {
    if (this.#file === undefined) throw new Error("a part file is written after begin");
    return this.#file;
  }

  async #written<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw new BadArgument(`${this.path} cannot be written: ${codeOf(error)}`, { param: "path" });
    }
  }
}
