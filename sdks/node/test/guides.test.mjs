// The guides are true: every block of them runs, on a real server.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

import { signWebhook } from "fairstack";

import { Consumer } from "./support/consumer.mjs";
import { sharedServer } from "./support/server.mjs";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const GUIDES = {
  node: "docs/guides/node.md",
  webhooks: "docs/guides/webhooks.md",
  readme: "sdks/node/README.md",
};

/** All blocks of one language of a page. */
function blocks(page, language) {
  const text = readFileSync(join(ROOT, GUIDES[page]), "utf8");
  const found = [...text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, block]) => block,
  );
  assert.ok(found.length > 0);
  return found;
}

describe("the guides", { concurrency: true }, () => {
  let server;
  let consumer;
  let env;
  before(async () => {
    server = await sharedServer();
    consumer = new Consumer();
    copyFileSync(join(ROOT, "tests/gateway/photo.png"), join(consumer.folder, "portrait.png"));
    const library = fileURLToPath(new URL("../node_modules/standardwebhooks", import.meta.url));
    symlinkSync(library, join(consumer.folder, "node_modules", "standardwebhooks"));
    env = { ...process.env, FAIRSTACK_BASE_URL: server.url, FAIRSTACK_API_KEY: server.testKey };
  });
  after(async () => {
    await server?.stop();
    consumer?.remove();
  });

  it("has no block that is not run here", () => {
    const languages = (page) => readFileSync(join(ROOT, GUIDES[page]), "utf8").matchAll(/^```(\w+)$/gm);
    assert.deepEqual(new Set([...languages("node")].map(([, name]) => name)), new Set(["js", "sh"]));
    assert.deepEqual(new Set([...languages("readme")].map(([, name]) => name)), new Set(["js", "cjs", "sh"]));
  });

  it("the blocks of the Node guide run, one after the other, and make the clips they speak of", async () => {
    const said = await run("guide.mjs", blocks("node", "js").join("\n"));
    assert.match(said, /^\$0\.048 48000$/m);
    assert.match(said, /^true$/m);
    assert.match(said, /^204 400$/m);
    assert.ok(statSync(join(consumer.folder, "clip.mp4")).size > 10_000);
    assert.equal(readdirSync(consumer.folder).filter((name) => /^job_.*\.mp4$/.test(name)).length, 1);
  });

  it("the programs of the package's own page run, as ES module and as CommonJS", async () => {
    assert.match(await run("readme.mjs", blocks("readme", "js").join("\n")), /\$0\.048/);
    assert.match(await run("readme.cjs", blocks("readme", "cjs").join("\n")), /^\$\d/);
  });

  it("the receivers of the webhook guide take ours and refuse others", async () => {
    const [own, standard] = blocks("webhooks", "js");
    assert.match(await run("own.mjs", own), /^204 400$/m);
    const body = '{"id":"job_1","status":"completed"}';
    const secret = /whsec_\w+/.exec(standard)[0];
    const headers = signWebhook(body, "msg_1", Math.floor(Date.now() / 1000), secret);
    const calls = `
      import { once } from "node:events";
      const statuses = [];
      if (!receiver.listening) await once(receiver, "listening");
      for (const body of ${JSON.stringify([body, `${body} `])}) {
        const url = "http://127.0.0.1:" + receiver.address().port;
        statuses.push((await fetch(url, { method: "POST", body, headers: ${JSON.stringify(headers)} })).status);
      }
      console.log(statuses.join(" "));
      receiver.close();
      receiver.closeAllConnections();`;
    // Any port: the one of the page may be somebody's.
    assert.match(await run("standard.mjs", standard.replace("9000", "0") + calls), /^204 400$/m);
  });

  /** What a program of the project prints. */
  function run(name, text) {
    const program = spawn(process.execPath, [consumer.write(name, text)], { cwd: consumer.folder, env });
    const said = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"]) program[stream].on("data", (piece) => (said[stream] += piece));
    return new Promise((resolve, reject) => {
      program.on("exit", (code) =>
        code === 0 && !said.stderr ? resolve(said.stdout) : reject(new Error(said.stderr)),
      );
    });
  }
});
