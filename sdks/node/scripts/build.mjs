// Builds dist/esm and dist/cjs from src, each with its types.
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
rmSync(`${root}dist`, { recursive: true, force: true });
for (const format of ["esm", "cjs"]) {
  execFileSync(`${root}node_modules/.bin/tsc`, ["-p", `tsconfig.${format}.json`], {
    cwd: root,
    stdio: "inherit",
  });
}
// The package is of ES modules; what is below this file is not.
writeFileSync(`${root}dist/cjs/package.json`, '{ "type": "commonjs" }\n');
