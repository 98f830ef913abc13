// Says how big the package is, and what publint and attw think of it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { pack } from "../test/support/consumer.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "fairstack-pack-"));
try {
  const { archive, size, names } = pack(folder);
  console.log(`packed: ${(size / 1000).toFixed(1)} kB in ${names.length} files`);
  run("publint", archive, "--strict");
  run("attw", archive, "--no-emoji", "--no-color", "--format", "table-flipped");
} finally {
  rmSync(folder, { recursive: true });
}

function run(tool, ...args) {
  execFileSync(join(root, "node_modules", ".bin", tool), args, { cwd: root, stdio: "inherit" });
}
