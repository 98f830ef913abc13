"""/v1/admin/audit: who changed access or money by hand. Scope `admin`."""

from __future__ import annotations

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from fairstack_server.accounts.audit import ACTIONS, read_entries
from fairstack_server.api import query
from fairstack_server.api.answers import HttpRequest, json_answer
from fairstack_server.api.audit_view import AuditList, audit_entry_view
from fairstack_server.api.doc import Answer, Doc, Param
from fairstack_server.bootstrap import Gateway

AUDIT = Doc(
    summary="Every change of access or money that was made by hand, newest first",
    tag="Admin",
    scope="admin",
    description="Keys, accounts, grants, corrections, webhook secrets and endpoints, cleared marks, catalog "
    "reloads: by the API, by commands and by the first start. Entries are only added, and hold no secret.",
    params=(
        Param("account", "query", "Only what concerns this account, by its id."),
        Param("action", "query", "Only this kind of change.", {"type": "string", "enum": list(ACTIONS)}),
        Param("limit", "query", "Entries on a page.", {"type": "integer", "minimum": 1, "maximum": 100}),
        Param("cursor", "query", "`next_cursor` of the page before."),
    ),
    answers={200: Answer("A page.", AuditList)},
    errors=("validation_error",),
)


def routes(gateway: Gateway) -> list[HTTPRouteHandler]:
    """The route of the audit log."""

    @get("/v1/admin/audit", opt=AUDIT.opt())
    async def read_audit(request: HttpRequest) -> Response[bytes]:
        page = await read_entries(
            gateway.pool,
            limit=query.page_limit(request),
            account_id=query.text(request, "account"),
            action=query.text(request, "action", ACTIONS),
            cursor=query.text(request, "cursor"),
        )
        items = [audit_entry_view(entry) for entry in page.items]
        return json_answer(AuditList(items, page.next_cursor is not None, page.next_cursor))

    return [read_audit]
