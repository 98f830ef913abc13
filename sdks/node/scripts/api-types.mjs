// Writes src/api.ts from spec/openapi.json; with --check, says whether it is fresh.
import { readFileSync, writeFileSync } from "node:fs";

const SPEC = new URL("../../../spec/openapi.json", import.meta.url);
const TARGET = new URL("../src/api.ts", import.meta.url);

/** Name in the spec -> name that users of the package see. */
const NAMES = {
  VideoRequest: "VideoRequestBody",
  Estimate: "Estimate",
  Cost: "Cost",
  Metadata: "Metadata",
  JobError: "JobError",
  JobView: "JobView",
  Submitted: "Submitted",
  FileView: "FileRecord",
  PriceView: "Price",
  RateView: "Rate",
  CapabilitiesView: "Capabilities",
  ModelView: "Model",
  CapView: "Cap",
  CapsView: "Caps",
  CreditsView: "Credits",
  UsageItemView: "UsageRow",
  UsageView: "Usage",
  LedgerItemView: "LedgerEntry",
  KeyRequest: "ApiKeyRequest",
  KeyChange: "ApiKeyChange",
  KeyView: "ApiKey",
  ErrorBody: "ErrorBody",
};
/** What a request may leave out, an answer always has: its defaults are written out. */
const REQUESTS = new Set(["VideoRequest", "KeyRequest", "KeyChange"]);

const fresh = apiTypes(JSON.parse(readFileSync(SPEC, "utf8")));
if (!process.argv.includes("--check")) {
  writeFileSync(TARGET, fresh);
} else if (readFileSync(TARGET, "utf8") !== fresh) {
  console.error("src/api.ts is not what spec/openapi.json says. Run: npm run types");
  process.exitCode = 1;
}

function apiTypes(spec) {
  const parts = Object.entries(NAMES).map(([name, ours]) => {
    const schema = spec.components.schemas[name];
    if (schema === undefined) throw new Error(`spec/openapi.json has no schema ${name}`);
    return interfaceOf(ours, schema, REQUESTS.has(name));
  });
  return [
    "// Written by scripts/api-types.mjs from spec/openapi.json. Do not edit.",
    ...parts,
    queryOf(spec, "JobQuery", "/v1/jobs", ["cursor"]),
    queryOf(spec, "ModelQuery", "/v1/models", ["modality"]),
    queryOf(spec, "UsageQuery", "/v1/usage", []),
    "",
  ].join("\n\n");
}

function interfaceOf(name, schema, isRequest) {
  const required = new Set(schema.required ?? []);
  const fields = Object.entries(schema.properties).map(([field, of]) => {
    const there = required.has(field) || (!isRequest && of.default !== undefined && of.default !== null);
    // Who asks may also write `undefined` for "left out".
    const type = isRequest && !there ? `${typeOf(of)} | undefined` : typeOf(of);
    return `${comment(describing(of), "  ")}  ${field}${there ? "" : "?"}: ${type};`;
  });
  return `${comment(schema.description, "")}export interface ${name} {\n${fields.join("\n")}\n}`;
}

function queryOf(spec, name, path, left) {
  const found = spec.paths[path].get.parameters.filter((p) => p.in === "query" && !left.includes(p.name));
  const fields = found.map((p) => {
    const type = typeOf(p.schema);
    const told = ["created_after", "created_before", "from", "to"].includes(p.name) ? `${type} | Date` : type;
    return `${comment(p.description, "  ")}  ${p.name}?: ${told} | undefined;`;
  });
  return `${comment(`What \`GET ${path}\` can be asked.`, "")}export interface ${name} {\n${fields.join("\n")}\n}`;
}

function describing(schema) {
  return schema.description ?? schema.anyOf?.find((one) => one.description)?.description;
}

function comment(text, indent) {
  return text ? `${indent}/** ${text} */\n` : "";
}

function typeOf(schema) {
  if (schema.$ref) {
    const name = schema.$ref.split("/").at(-1);
    if (!NAMES[name]) throw new Error(`${name} is used and not in NAMES`);
    return NAMES[name];
  }
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(typeOf))].join(" | ");
  switch (schema.type) {
    case "string":
    case "boolean":
    case "null":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "array": {
      const item = typeOf(schema.items);
      return item.includes(" ") ? `(${item})[]` : `${item}[]`;
    }
    case "object": {
      const values = schema.additionalProperties;
      return `Record<string, ${values && values !== true ? typeOf(values) : "unknown"}>`;
    }
    default:
      return "unknown";
  }
}
