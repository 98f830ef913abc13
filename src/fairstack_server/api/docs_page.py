"""The documentation page: one HTML file made of the OpenAPI document, without scripts or foreign hosts."""

from __future__ import annotations

import json
from html import escape
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:#0a7d5a}
body{font:16px/1.55 system-ui,sans-serif;max-width:56rem;margin:0 auto;padding:2rem 1.25rem 6rem}
h1{font-size:1.9rem;margin:0}h2{margin:3rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.3rem}
code,pre{font:.86em/1.5 ui-monospace,monospace}
pre{background:var(--soft);padding:.9rem;overflow-x:auto;border-radius:8px}
details{border:1px solid var(--line);border-radius:8px;margin:.5rem 0;padding:.55rem .8rem}
summary{cursor:pointer;display:flex;gap:.7rem;align-items:baseline;flex-wrap:wrap}
.m{font:600 .74rem ui-monospace,monospace;color:var(--accent);min-width:3.6rem}.s{opacity:.75}
table{border-collapse:collapse;width:100%;margin:.6rem 0;display:block;overflow-x:auto}
td,th{border-bottom:1px solid var(--line);padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top}
nav a{margin-right:.9rem}a{color:var(--accent)}
"""

_START = """curl -X POST {base}/v1/generations/video \\
  -H "Authorization: Bearer $FAIRSTACK_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{{
    "model": "local-scene-t2v",
    "prompt": "A golden retriever running on a beach at sunset, slow motion"
  }}'

curl "{base}/v1/jobs/job_…?wait=60" -H "Authorization: Bearer $FAIRSTACK_API_KEY"
"""

#: What a reader comes for first; a tag that is not here is a mistake.
_ORDER = [
    "Generations",
    "Jobs",
    "Models",
    "Money",
    "Webhooks",
    "Files",
    "Media",
    "API keys",
    "Admin",
    "Callbacks",
    "Server",
]


def docs_page(spec: dict[str, Any], base_url: str) -> str:
    """The whole page."""
    schemas = spec["components"]["schemas"]
    by_tag: dict[str, list[str]] = {}
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            section = _operation(path, method, operation)
            by_tag.setdefault(operation["tags"][0], []).append(section)
    tags = sorted(by_tag, key=_ORDER.index)
    sections = "".join(f'<h2 id="{_anchor(tag)}">{escape(tag)}</h2>{"".join(by_tag[tag])}' for tag in tags)
    links = "".join(f'<a href="#{_anchor(tag)}">{escape(tag)}</a>' for tag in [*tags, "Shapes"])
    shapes = "".join(_shape(name, schema) for name, schema in sorted(schemas.items()))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>FairStack API</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>FairStack API</h1>"
        f'<p class="s">{escape(spec["info"]["summary"])} Version {escape(spec["info"]["version"])}. '
        'The same as a file: <a href="/openapi.json">OpenAPI 3.1</a>.</p>'
        "<p>Your keys: the server printed a live and a test key at its first start and keeps them in "
        "<code>credentials.json</code> in its data folder.</p>"
        f"<nav>{links}</nav><pre>{escape(_START.format(base=base_url))}</pre>"
        f'{sections}<h2 id="shapes">Shapes</h2>{shapes}</body></html>'
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    body = operation.get("requestBody", {}).get("content", {})
    shape = next((_type(kind["schema"]) for kind in body.values()), "")
    parts = [f"<p>{_markup(operation.get('description', ''))}</p>"]
    if shape:
        parts.append(f"<p>Body: {shape}</p>")
    if params := operation.get("parameters"):
        rows = "".join(
            f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
            f"<td>{_markup(p['description'])}</td></tr>"
            for p in params
        )
        parts.append(f"<table><tr><th>Parameter</th><th>In</th><th>Meaning</th></tr>{rows}</table>")
    rows = "".join(
        f"<tr><td>{escape(status)}</td><td>{_markup(answer['description'])}</td><td>{_content(answer)}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    parts.append(f"<table><tr><th>Status</th><th>When</th><th>Shape</th></tr>{rows}</table>")
    return (
        f'<details><summary><span class="m">{method.upper()}</span><code>{escape(path)}</code>'
        f'<span class="s">{_markup(operation["summary"])}</span></summary>{"".join(parts)}</details>'
    )


def _shape(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", []))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' *' if field in required else ''}</td>"
        f"<td>{_type(kind)}</td><td>{_markup(kind.get('description', ''))}</td></tr>"
        for field, kind in schema.get("properties", {}).items()
    )
    return (
        f'<details id="shape-{escape(name)}"><summary><code>{escape(name)}</code>'
        f'<span class="s">{escape(schema.get("description", ""))}</span></summary>'
        f"<table><tr><th>Field</th><th>Type</th><th>Meaning</th></tr>{rows}</table></details>"
    )


def _content(answer: dict[str, Any]) -> str:
    return next((_type(kind["schema"]) for kind in answer.get("content", {}).values()), "")


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#shape-{escape(name)}"><code>{escape(name)}</code></a>'
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return f"<code>{escape(str(schema.get('type', 'any')))}</code>"


def _anchor(tag: str) -> str:
    return escape(tag.lower().replace(" ", "-"))


def _markup(text: str) -> str:
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if index % 2 else piece for index, piece in enumerate(pieces))
