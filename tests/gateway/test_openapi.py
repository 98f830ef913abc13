"""The OpenAPI document and the page made of it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fairstack_server.api.openapi import documented
from fairstack_server.spec import described_app, main, spec_text
from tests.gateway.running import Running
from tests.gateway.schema import faults

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"get", "post", "put", "patch", "delete", "head"}


async def document(gateway: Running) -> Any:
    """The document as the server gives it."""
    return (await gateway.call("GET", "/openapi.json", key="")).json


async def test_the_committed_document_is_the_servers(gateway: Running) -> None:
    """The file of the repository, the running server and the route table say the same."""
    assert await document(gateway) == json.loads((ROOT / "spec" / "openapi.json").read_text("utf-8"))
    routes = {(path, method.lower()) for path, method, _ in documented(described_app())}
    told = {(path, m) for path, operations in (await document(gateway))["paths"].items() for m in operations}
    assert told == routes


def test_a_stale_document_is_noticed(tmp_path: Path, monkeypatch: Any) -> None:
    """`--check` fails for a missing and for an old file, and passes for the one that was just written."""
    (tmp_path / "src" / "fairstack_server").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    file = tmp_path / "spec" / "openapi.json"
    assert file.read_text("utf-8") == spec_text()
    file.write_text(spec_text().replace("3.1.0", "3.0.0"), "utf-8")
    assert main(["--check"]) == 1


async def test_the_document_is_whole(gateway: Running) -> None:
    """Every operation has what OpenAPI 3.1 asks for: a name of its own, its path parameters, its answers."""
    spec = await document(gateway)
    assert spec["openapi"].startswith("3.1.")
    assert {"title", "version"} <= spec["info"].keys()
    names = []
    for path, operations in spec["paths"].items():
        assert operations.keys() <= METHODS
        for method, operation in operations.items():
            where = f"{method} {path}"
            names.append(operation["operationId"])
            params = operation.get("parameters", [])
            in_path = {param["name"] for param in params if param["in"] == "path"}
            assert in_path == set(re.findall(r"\{(\w+)\}", path)), where
            assert all(param["required"] is (param["in"] == "path") for param in params), where
            assert all({"name", "in", "schema", "description"} <= param.keys() for param in params), where
            assert len({(param["name"], param["in"]) for param in params}) == len(params), where
            assert any(status.startswith("2") for status in operation["responses"]), where
            assert all(answer["description"] for answer in operation["responses"].values()), where
            assert all(re.fullmatch("[1-5][0-9][0-9]", status) for status in operation["responses"]), where
            assert (method in ("post", "put", "patch")) or "requestBody" not in operation, where
            assert operation["summary"], where
            assert operation["tags"], where
            for scheme in operation.get("security", []):
                assert scheme.keys() <= spec["components"]["securitySchemes"].keys(), where
    assert len(set(names)) == len(names)


async def test_every_reference_leads_somewhere(gateway: Running) -> None:
    """Each `$ref` names a shape or a header of the document, and none lies there unused."""
    spec = await document(gateway)
    used = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(spec)))
    components = spec["components"]
    there = {f"#/components/{kind}/{name}" for kind in ("schemas", "headers") for name in components[kind]}
    assert used == there


async def test_every_example_fits_its_schema(gateway: Running) -> None:
    """Examples and defaults that stand in a schema are values of that schema."""
    spec = await document(gateway)
    shapes = spec["components"]["schemas"]
    found = 0
    for name, shape in shapes.items():
        for field, rule in shape.get("properties", {}).items():
            for value in [*rule.get("examples", []), *([rule["default"]] if "default" in rule else [])]:
                assert faults(value, rule, shapes) == [], (name, field)
                found += 1
    assert found > 10


async def test_the_request_of_the_document_is_the_one_that_is_taken(gateway: Running) -> None:
    """The request's shape knows exactly the fields that the server names as known, and closes itself."""
    shape = (await document(gateway))["components"]["schemas"]["VideoRequest"]
    answer = await gateway.submit({"nonsense": 1})
    assert list(shape["properties"]) == answer.json["error"]["allowed"]
    assert shape["additionalProperties"] is False
    assert shape["required"] == ["model", "prompt"]


class _Page(HTMLParser):
    """What a page links to, and whether its tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag != "script"
        self.links += [str(value) for name, value in attrs if name in ("href", "src", "action")]
        self.ids |= {str(value) for name, value in attrs if name == "id"}
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_page_stands_alone(gateway: Running) -> None:
    """/docs shows every operation and shape, runs no script, and names no foreign host."""
    answer = await gateway.call("GET", "/docs", key="")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    text = answer.body.decode()
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert all(link == "/openapi.json" or link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= page.ids
    hosts = set(re.findall(r"https?://([^/\"'<\s]+)", text))
    assert hosts == {gateway.base_url.removeprefix("http://")}
    for path in (await document(gateway))["paths"]:
        assert path in text
