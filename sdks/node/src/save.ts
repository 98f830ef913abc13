/** Copy a finished clip to this machine; behind `result.save(path)`. */
import { rest } from "./call.js";
import { DownloadFailed } from "./errors.js";
import type { Outcome } from "./exchange.js";
import type { PartFile } from "./platform.js";
import { backoffMs } from "./retry.js";
import type { Transport } from "./transport.js";
import type { JobRecord, SavedFile } from "./types.js";

/**
 * Copy the clip to `target`, or into it as `<id>.mp4` if it is a folder; checked, then put in place.
 *
 * A copy is tried again without any new render. Throws DownloadFailed, or BadArgument for a target that
 * cannot be written.
 */
export async function save(transport: Transport, record: JobRecord, target: string): Promise<SavedFile> {
  const url = record.url ?? "";
  if (!/^https?:\/\//.test(url)) {
    const shown = JSON.stringify(url.slice(0, 80));
    throw new DownloadFailed(`${record.id} has no address to save from: ${shown}`, { jobId: record.id });
  }
  const file = await transport.platform.partFile(record.id, target);
  try {
    await fetchInto(transport, record, url, file);
    await file.commit();
  } finally {
    await file.discard();
  }
  return { path: file.path, bytes: file.bytes };
}

async function fetchInto(
  transport: Transport,
  record: JobRecord,
  url: string,
  file: PartFile,
): Promise<void> {
  const { manners } = transport;
  for (let attempt = 0; ; attempt++) {
    const problem = judge(record, await transport.download(url, file, undefined), file);
    if (problem === undefined) return;
    if (!problem.mends || attempt >= manners.maxRetries) {
      const message = `The clip of ${record.id} could not be copied: ${problem.reason}. It is still at ${url}`;
      throw new DownloadFailed(message, { jobId: record.id });
    }
    await rest(transport, backoffMs(manners, attempt));
  }
}

/** What is wrong with this copy, and whether another try may mend it; undefined if nothing is. */
function judge(
  record: JobRecord,
  outcome: Outcome,
  file: PartFile,
): { reason: string; mends: boolean } | undefined {
  if (outcome.kind === "broken") return { reason: outcome.reason, mends: true };
  const { status } = outcome;
  if (status !== 200) {
    return {
      reason: `the media server answered ${status}`,
      mends: status >= 500 || [408, 429].includes(status),
    };
  }
  const promised = record.metadata;
  if (promised?.bytes !== undefined && promised.bytes !== file.bytes) {
    return { reason: `${file.bytes} bytes came of ${promised.bytes}`, mends: true };
  }
  if (promised?.sha256 && promised.sha256 !== file.sha256()) {
    return { reason: "its checksum is not the one promised", mends: true };
  }
  return undefined;
}
