/** Find the server and the key: arguments, then the environment, then what the server's first start wrote. */
import { NotConfigured } from "./errors.js";
import type { Platform, StoredKeys } from "./platform.js";

const DEFAULT_PORT = 8787;
/** The key that documentation shows; a program that still has it was never given a real one. */
const PLACEHOLDER = "YOUR_KEY";

export type Mode = "live" | "test";

/** Where the server is and the key to show it. */
export interface Connection {
  readonly baseURL: string;
  readonly apiKey: string;
}

/** Settle on a server and a key. Throws NotConfigured, which says what to set. */
export function connect(
  platform: Platform,
  apiKey: string | undefined,
  baseURL: string | undefined,
  mode: Mode,
): Connection {
  const stored = platform.storedKeys();
  const url = checkedURL(baseURL || platform.setting("FAIRSTACK_BASE_URL") || localURL(platform, stored));
  const given = apiKey || environmentKey(platform, mode);
  const key = given || (belongs(stored, url) ? stored[mode] : undefined);
  if (!key) throw new NotConfigured(noKey(url, stored, mode));
  return { baseURL: url, apiKey: checkedKey(key) };
}

/** Whether this address is on this machine. */
export function isLoopback(url: string): boolean {
  return ["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname);
}

function environmentKey(platform: Platform, mode: Mode): string {
  const key = (platform.setting("FAIRSTACK_API_KEY") ?? "").trim();
  // Who asks for the sandbox must not spend real money with a live key that happens to be set.
  return mode === "test" && !key.startsWith("fs_test_") ? "" : key;
}

function localURL(platform: Platform, stored: StoredKeys): string {
  const port = platform.setting("FAIRSTACK_PORT");
  if (port) return `http://127.0.0.1:${port}`;
  return stored.baseURL ?? `http://127.0.0.1:${DEFAULT_PORT}`;
}

/** Whether the stored keys are of this server; a local key is never shown to a foreign one. */
function belongs(stored: StoredKeys, url: string): boolean {
  return isLoopback(url) || (stored.baseURL ?? "").replace(/\/+$/, "") === url;
}

function checkedURL(given: string): string {
  const url = given.trim();
  const parts = parsedURL(url);
  const usable = parts !== undefined && /^https?:$/.test(parts.protocol) && parts.port !== "0";
  if (!usable || parts.search || parts.hash || parts.username) {
    throw new NotConfigured(
      `The base URL ${JSON.stringify(given)} cannot be used. Write it like http://127.0.0.1:8787`,
    );
  }
  // People copy the address with the version in it.
  return url.replace(/\/+$/, "").replace(/\/v1$/, "");
}

function parsedURL(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}

function checkedKey(given: string): string {
  const key = given.trim();
  if (key.includes(PLACEHOLDER)) {
    throw new NotConfigured("The API key is the one from the documentation's example: put your own there");
  }
  if (!/^[!-~]+$/.test(key)) {
    throw new NotConfigured("The API key has characters that no key has: copy it again");
  }
  return key;
}

function noKey(url: string, stored: StoredKeys, mode: Mode): string {
  const ways = "Give new FairStack({ apiKey }), or set FAIRSTACK_API_KEY";
  if (stored.path === undefined) return `No ${mode} API key for ${url}. Give new FairStack({ apiKey }).`;
  const start = "start the server on this machine once (fairstack serve)";
  if (stored.problem !== undefined) {
    return `No ${mode} API key for ${url}: ${stored.path} is there but cannot be read (${stored.problem}). ${ways}, or ${start}.`;
  }
  if (stored.baseURL !== undefined) {
    return `No ${mode} API key for ${url}: ${stored.path} has no ${mode} key for this server. ${ways}, or ${start}.`;
  }
  return `No ${mode} API key for ${url}. ${ways}, or ${start}, which writes ${stored.path}.`;
}
