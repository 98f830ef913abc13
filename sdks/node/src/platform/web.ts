/** Browsers and workers: no files, no environment; keys are given by the program. */
import { BadArgument } from "../errors.js";
import type { Platform } from "../platform.js";
import { hmacSha256 } from "../sha256.js";

export const webPlatform: Platform = {
  agent: undefined,
  setting: () => undefined,
  storedKeys: () => ({ path: undefined }),
  randomHex: (bytes) =>
    Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join(""),
  hmacSha256,
  readFile: (path, param) => {
    const said = JSON.stringify(path.slice(0, 80));
    const message = `${param}: ${said} is no https URL, data URL or file id, and there are no paths here. Give a File or Blob.`;
    return Promise.reject(new BadArgument(message, { param }));
  },
  partFile: () =>
    Promise.reject(
      new BadArgument("There are no files here: fetch(result.url) gives the clip", { param: "path" }),
    ),
};
