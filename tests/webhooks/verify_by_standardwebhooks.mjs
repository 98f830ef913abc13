// The npm library of the standard as receiver; as verify_by_library.py, for `verified_by.py`.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(new URL("../../sdks/node/package.json", import.meta.url));
const { Webhook, WebhookVerificationError } = require("standardwebhooks");
const { version } = JSON.parse(
  readFileSync(new URL("../../sdks/node/node_modules/standardwebhooks/package.json", import.meta.url)),
);

function takes(trial) {
  Date.now = () => trial.now * 1000;
  try {
    new Webhook(trial.secret).verify(trial.body, trial.headers);
    return true;
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    return false;
  }
}

const taken = JSON.parse(readFileSync(0, "utf8")).map(takes);
process.stdout.write(JSON.stringify({ version, taken }));
