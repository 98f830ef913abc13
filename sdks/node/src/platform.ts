/** What differs between Node-like runtimes and browsers. */
export interface Platform {
  /** Who calls, such as `node/20.20.2`; undefined where a program may not say so. */
  readonly agent: string | undefined;
  /** A setting of the environment. */
  setting(name: string): string | undefined;
  /** The keys that the server's first start wrote on this machine. */
  storedKeys(): StoredKeys;
  /** So many random bytes, as hex. */
  randomHex(bytes: number): string;
  hmacSha256(key: Uint8Array, message: Uint8Array): Uint8Array;
  /** A file of this machine. Throws BadArgument naming `param`. */
  readFile(path: string, param: string): Promise<NamedBytes>;
  /** A file to be written at `target`, or into it as `<id>.mp4` if it is a folder. Throws BadArgument. */
  partFile(jobId: string, target: string): Promise<PartFile>;
}

export interface StoredKeys {
  /** Where they lie; undefined where there are no files. */
  readonly path: string | undefined;
  readonly baseURL?: string;
  readonly live?: string;
  readonly test?: string;
  /** Why the file that is there cannot be used. */
  readonly problem?: string;
}

export interface NamedBytes {
  readonly bytes: Uint8Array;
  readonly name: string;
}

/** A file written beside its place and moved there when it is whole, so no half clip is ever found. */
export interface PartFile {
  readonly path: string;
  readonly bytes: number;
  /** Start anew, forgetting what was written. */
  begin(): Promise<void>;
  write(chunk: Uint8Array): Promise<void>;
  /** SHA-256 of what was written, in hex. */
  sha256(): string;
  /** Move the file to its place, replacing what was there. */
  commit(): Promise<void>;
  /** Leave nothing behind. */
  discard(): Promise<void>;
}
