/** Turn pictures, clips and sounds of this machine into something that a request can name. */
import type { FileRecord } from "./api.js";
import { callJson } from "./call.js";
import { BadArgument } from "./errors.js";
import type { NamedBytes, Platform } from "./platform.js";
import type { Transport } from "./transport.js";
import type { Source } from "./types.js";

const REMOTE = /^(https?:\/\/|data:)/i;
const FILE_ID = /^file_[0-9A-Za-z]+$/;

/** How files begin: at this byte, with these. */
const MAGIC: readonly (readonly [number, string, string])[] = [
  [0, "\x89PNG\r\n\x1a\n", "image/png"],
  [0, "\xff\xd8\xff", "image/jpeg"],
  [0, "GIF8", "image/gif"],
  [8, "WEBP", "image/webp"],
  [4, "ftypavif", "image/avif"],
  [4, "ftyphei", "image/heic"],
  [4, "ftypqt", "video/quicktime"],
  [4, "ftypM4A", "audio/mp4"],
  [4, "ftyp", "video/mp4"],
  [0, "\x1a\x45\xdf\xa3", "video/webm"],
  [8, "WAVE", "audio/wav"],
  [0, "fLaC", "audio/flac"],
  [0, "OggS", "audio/ogg"],
  [0, "ID3", "audio/mpeg"],
  [0, "\xff\xfb", "audio/mpeg"],
  [0, "\xff\xf1", "audio/aac"],
];
const EXTENSIONS: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  avif: "image/avif",
  heic: "image/heic",
  mp4: "video/mp4",
  mov: "video/quicktime",
  webm: "video/webm",
  wav: "audio/wav",
  mp3: "audio/mpeg",
  m4a: "audio/mp4",
  aac: "audio/aac",
  flac: "audio/flac",
  ogg: "audio/ogg",
};

/** Send a file as it is, with the content type that its first bytes show; errors name the parameter. */
export async function upload(
  transport: Transport,
  source: Source,
  param: string,
  signal: AbortSignal | undefined,
): Promise<FileRecord> {
  const content = await contentOf(transport.platform, source, param);
  const request = {
    method: "POST",
    path: "/v1/files",
    body: content.bytes,
    contentType: mediaType(content),
    replay: "safe", // a file that arrived twice costs nobody anything
  } as const;
  return callJson<FileRecord>(transport, request, signal);
}

/**
 * What a request says for this source: a URL or id as it stands; a local file uploaded, or inlined.
 *
 * Inlined as a data URL, the request has the same bytes each time, as a caller's own idempotency key needs.
 */
export async function nameOf(
  transport: Transport,
  param: string,
  source: Source,
  inline: boolean,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (source instanceof URL && source.protocol !== "file:") return source.href;
  if (typeof source === "string" && (REMOTE.test(source) || FILE_ID.test(source))) return source;
  if (source === "") throw new BadArgument(`${param} is empty`, { param });
  if (!inline) return (await upload(transport, source, param, signal)).id;
  const content = await contentOf(transport.platform, source, param);
  return `data:${mediaType(content)};base64,${base64(content.bytes)}`;
}

type Content = NamedBytes & { readonly said?: string };

async function contentOf(platform: Platform, source: Source, param: string): Promise<Content> {
  if (typeof source === "string") return platform.readFile(source, param);
  if (source instanceof URL) return platform.readFile(decodeURIComponent(source.pathname), param);
  if (source instanceof ArrayBuffer) return { bytes: new Uint8Array(source), name: "" };
  if (ArrayBuffer.isView(source)) {
    return { bytes: new Uint8Array(source.buffer, source.byteOffset, source.byteLength), name: "" };
  }
  if (typeof Blob !== "undefined" && source instanceof Blob) {
    const name = "name" in source ? String(source.name) : "";
    return { bytes: new Uint8Array(await source.arrayBuffer()), name, said: source.type };
  }
  throw new BadArgument(`${param} must be a URL, a file id, a path, a Blob or bytes, not ${typeof source}`, {
    param,
  });
}

/** The content type that the first bytes show, else that of the name, else what was said of it. */
export function mediaType({ bytes, name, said }: Content): string {
  for (const [offset, magic, kind] of MAGIC) {
    if (String.fromCharCode(...bytes.subarray(offset, offset + magic.length)) === magic) return kind;
  }
  return EXTENSIONS[name.split(".").pop()?.toLowerCase() ?? ""] ?? (said || "application/octet-stream");
}

/** Bytes as base64. */
export function base64(bytes: Uint8Array): string {
  let text = "";
  // As many at a time as a call may have arguments.
  for (let start = 0; start < bytes.length; start += 32_768) {
    text += String.fromCharCode(...bytes.subarray(start, start + 32_768));
  }
  return btoa(text);
}
