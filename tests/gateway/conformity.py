"""Holds every answer that a test sees against the OpenAPI document that the same server gives out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from tests.gateway.schema import faults


@dataclass(frozen=True, slots=True)
class Conformity:
    """The document of a server, asked about its answers."""

    document: Mapping[str, Any]

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Fail unless the document promises this answer, and the answer has what every answer has."""
        assert re.fullmatch("req_[0-9A-Za-z]{24}", headers["X-Request-Id"])
        assert headers["X-Content-Type-Options"] == "nosniff"
        where = f"{method} {path} -> {status}"
        operation = self._operation(method, path.partition("?")[0])
        if operation is None:
            assert status in (404, 405), f"{where}: not in the document, and yet answered"
            self._check_error(where, status, headers, body)
            return
        told = operation["responses"].get(str(status))
        assert told is not None, f"{where} is not documented: {body[:300]!r}"
        for name in told["headers"]:
            assert name in headers, f"{where}: {name} is promised and not there"
        if body and told.get("content"):
            kind = headers["Content-Type"].partition(";")[0]
            assert any(fnmatch(kind, known) for known in told["content"]), (
                f"{where}: {kind} is not documented"
            )
        if method == "HEAD":
            assert body == b"", where
        elif status >= 400 and headers.get("Content-Type") == "application/json":
            self._check_error(where, status, headers, body)
            code = json.loads(body)["error"]["code"]
            assert f"`{code}`" in told["description"], f"{where}: {code} is not documented"
        elif "application/json" in told.get("content", {}):
            assert headers["Content-Type"] == "application/json", where
            self._check_shape(where, json.loads(body), told["content"]["application/json"]["schema"])

    def _check_error(self, where: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        assert headers["Content-Type"] == "application/json", where
        answer = json.loads(body)
        self._check_shape(where, answer, {"$ref": "#/components/schemas/ErrorAnswer"})
        error = answer["error"]
        assert list(answer) == ["error"], where
        assert list(error)[:4] == ["code", "message", "status", "request_id"], where
        assert error["status"] == status, where
        assert error["request_id"] == headers["X-Request-Id"], where
        assert "Traceback" not in error["message"], where

    def _check_shape(self, where: str, value: Any, schema: Mapping[str, Any]) -> None:
        found = faults(value, schema, self.document["components"]["schemas"])
        assert not found, f"{where}: {found}"

    def _operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        for template, operations in self.document["paths"].items():
            anything = ".+" if template.startswith("/media/") else "[^/]+"
            pattern = re.sub(r"\\\{[a-z_]+\\\}", anything, re.escape(template))
            if re.fullmatch(pattern, path) and method.lower() in operations:
                found: Mapping[str, Any] = operations[method.lower()]
                return found
        return None
