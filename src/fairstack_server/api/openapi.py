"""The OpenAPI document, from the route table and the shapes of the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar
from litestar.routes import HTTPRoute

from fairstack_server.api.doc import STRICT_PATHS, Answer, Doc, Param
from fairstack_server.api.wire import ErrorAnswer

#: HTTP status of every error code.
STATUS_OF_CODE = {
    "validation_error": 400,
    "unknown_model": 400,
    "image_refused": 400,
    "webhook_url_refused": 400,
    "authentication_error": 401,
    "insufficient_credits": 402,
    "cap_reached": 402,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "idempotency_in_flight": 409,
    "job_not_cancellable": 409,
    "catalog_broken": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "content_filtered": 422,
    "idempotency_key_reused": 422,
    "rate_limited": 429,
    "internal_error": 500,
    "model_unavailable": 503,
    "provider_unavailable": 503,
}
#: Headers that some or all answers always have.
HEADERS: Mapping[str, Mapping[str, Any]] = {
    "X-Request-Id": {
        "description": "Names this request; quote it when you report something.",
        "schema": {"type": "string", "pattern": "^req_[0-9A-Za-z]{24}$"},
    },
    "Location": {"description": "Where the job is read.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
    "WWW-Authenticate": {"description": "How to authenticate.", "schema": {"type": "string"}},
}
_OF_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",)}
_REF = "#/components/schemas/{name}"


def documented(app: Litestar) -> list[tuple[str, str, Doc]]:
    """Every route of the API: path, method, what it does. In the order of the paths."""
    found: list[tuple[str, str, Doc]] = []
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for handler in route.route_handlers:
            doc = handler.opt.get("doc")
            if isinstance(doc, Doc):
                methods = sorted(method for method in handler.http_methods if method != "OPTIONS")
                found.extend((_openapi_path(route, doc), method, doc) for method in methods)
    return sorted(found, key=lambda each: (each[0], each[1]))


def openapi(app: Litestar) -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    table = documented(app)
    shapes = [shape for _, _, doc in table for shape in _shapes(doc)]
    schemas, components = msgspec.json.schema_components([*shapes, ErrorAnswer], ref_template=_REF)
    by_shape = {_name(shape): schema for shape, schema in zip([*shapes, ErrorAnswer], schemas, strict=True)}
    paths: dict[str, Any] = {}
    for path, method, doc in table:
        paths.setdefault(path, {})[method.lower()] = _operation(path, method, doc, by_shape)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FairStack",
            "version": version("fairstack"),
            "summary": "One HTTP API in front of every AI video model.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {name: {**said, "required": True} for name, said in HEADERS.items()},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "fs_live_… or fs_test_…"}
            },
        },
    }


def _operation(path: str, method: str, doc: Doc, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": _operation_id(path, method),
        "summary": doc.summary,
        "tags": [doc.tag],
    }
    if doc.description:
        operation["description"] = doc.description
    if doc.scope is not None:
        operation["security"] = [{"key": []}]
        operation["description"] = f"{doc.description} Scope: `{doc.scope}`.".strip()
    if doc.params:
        operation["parameters"] = [_param(param) for param in doc.params]
    if doc.body is not None:
        content = {kind: {"schema": _body(doc, kind, schemas)} for kind in doc.body_media_types}
        operation["requestBody"] = {"required": doc.body_required, "content": content}
    operation["responses"] = {
        **{str(status): _answer(answer, schemas) for status, answer in doc.answers.items()},
        **_errors(path, doc, schemas),
    }
    return operation


def _body(doc: Doc, media_type: str, schemas: dict[str, Any]) -> dict[str, Any]:
    if doc.body is not bytes:
        shape: dict[str, Any] = schemas[_name(doc.body)]
        return shape
    content = {"type": "string", "format": "binary"}
    if media_type != "multipart/form-data":
        return content
    return {"type": "object", "properties": {"file": content}, "required": ["file"]}


def _errors(path: str, doc: Doc, schemas: dict[str, Any]) -> dict[str, Any]:
    codes: list[str] = list(doc.errors)
    if path.startswith(STRICT_PATHS):
        codes.append("validation_error")
    if doc.body is not None:
        codes.append("payload_too_large")
    if doc.scope is not None:
        codes += ["authentication_error", "forbidden", "rate_limited"]
    codes.append("internal_error")
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(STATUS_OF_CODE[code], []).append(code)
    error = {"application/json": {"schema": schemas[_name(ErrorAnswer)]}}
    return {
        str(status): {
            "description": ", ".join(f"`{code}`" for code in found),
            "headers": _headers(_OF_STATUS.get(status, ())),
            "content": error,
        }
        for status, found in sorted(by_status.items())
    }


def _answer(answer: Answer, schemas: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"description": answer.meaning, "headers": _headers(answer.headers)}
    if answer.events:
        data = {"anyOf": [schemas[_name(shape)] for shape in answer.events]}
        told["content"] = {answer.media_type: {"schema": _event(data)}}
    elif answer.shape is not None:
        told["content"] = {answer.media_type: {"schema": schemas[_name(answer.shape)]}}
    elif answer.media_type != "application/json":
        kinds = (answer.media_type, *answer.other_types)
        told["content"] = {kind: {"schema": {"type": "string"}} for kind in kinds}
    return told


def _headers(names: Sequence[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def _event(data: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI 3.1 has no word for the items of a stream; its readers take the schema for that of an event."""
    return {
        "type": "object",
        "description": "One event of the stream.",
        "properties": {
            "id": {"type": "string", "description": "For `Last-Event-ID`; `status` alone has it."},
            "event": {"enum": ["status", "progress"]},
            "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": data},
        },
        "required": ["event", "data"],
    }


def _param(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "in": param.where,
        "required": param.required,
        "description": param.meaning,
        "schema": dict(param.schema),
    }


def _shapes(doc: Doc) -> list[Any]:
    found = [answer.shape for answer in doc.answers.values() if answer.shape is not None]
    found += [shape for answer in doc.answers.values() for shape in answer.events]
    return found if doc.body in (None, bytes) else [doc.body, *found]


def _name(shape: Any) -> str:
    return repr(shape)


def _openapi_path(route: HTTPRoute, doc: Doc) -> str:
    """Litestar's `{job_id:str}` as OpenAPI writes it."""
    parts = ["{" + part.name + "}" if not isinstance(part, str) else part for part in route.path_components]
    return "/" + "/".join(parts)


def _operation_id(path: str, method: str) -> str:
    words = path.replace("{", "").replace("}", "").replace("-", "_").replace(".", "_").strip("/").split("/")
    return "_".join([method.lower(), *(word for word in words if word != "v1")])
