// A project of somebody's that has the packed package installed, and nothing else.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));

/** Pack the package into this folder; what npm tells of it. */
export function pack(folder) {
  const args = ["pack", "--json", "--ignore-scripts", "--offline", "--pack-destination", folder];
  const told = execFileSync("npm", args, {
    cwd: PACKAGE,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  // npm has answered with a list, and with a map by name.
  const [{ filename, size, files }] = Object.values(JSON.parse(told));
  return { archive: join(folder, filename), size, names: files.map(({ path }) => path) };
}

export class Consumer {
  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "fairstack-consumer-"));
    const home = join(this.folder, "node_modules", "fairstack");
    mkdirSync(home, { recursive: true });
    // Packed once for the whole run (test/run.mjs), or here for a file that is run alone.
    const { FAIRSTACK_TEST_PACKED: packed } = process.env;
    this.packed = packed ? JSON.parse(packed) : pack(this.folder);
    execFileSync("tar", ["-xzf", this.packed.archive, "-C", home, "--strip-components=1"]);
  }

  write(name, text) {
    writeFileSync(join(this.folder, name), text);
    return join(this.folder, name);
  }

  /** Run a program of this project; what it prints. Throws with what it complained. */
  run(name, text, env = {}) {
    const file = this.write(name, text);
    const options = { cwd: this.folder, encoding: "utf8", env: { ...process.env, ...env }, timeout: 60_000 };
    return execFileSync(process.execPath, [file], options);
  }

  remove() {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
