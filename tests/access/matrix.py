"""The tenant matrix, made from the route table: what each route takes, and what each role is owed.

Nothing here names a route but by the noun that its path begins with. A route of a noun, or with a body, that
is not known here has no row, and `row_of` fails for it: whoever adds a route decides who may use it.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fairstack_server.api import file_view, money_view, wire
from fairstack_server.api.doc import Doc
from fairstack_server.api.openapi import documented
from fairstack_server.ids import Mode
from fairstack_server.spec import described_app
from tests.access import estate as things
from tests.access.estate import Estate, Mark, Role
from tests.gateway.pictures import PHOTO

Make = Callable[[Estate, str, Mode], Awaitable[str]]
Owed = Literal["served", "401", "403", "404"]
_MODES: tuple[Mode, ...] = ("live", "test")


class NoRow(Exception):
    """A route that the matrix does not know how to ask."""


@dataclass(frozen=True, slots=True)
class Noun:
    """What a path parameter names: how to make one, what a missing one is called, who has it."""

    make: Make
    absent: str
    owned: bool = True
    """Whether it belongs to one account. What is nobody's own is there for all who may ask."""
    beside: Mapping[Mode, tuple[Mode, ...]] | None = None
    """Mode of a key -> modes of the things that it reaches; None = its own."""


_ZEROS = "0" * 24
NOUNS: Mapping[str, Noun] = {
    "/v1/jobs/{job_id}": Noun(things.new_job, f"job_{_ZEROS}"),
    "/v1/jobs/{job_id}/events": Noun(things.cancelled_job, f"job_{_ZEROS}"),
    "/v1/jobs/{job_id}/late_result": Noun(things.cancelled_job, f"job_{_ZEROS}"),
    "/v1/files/{file_id}": Noun(things.new_file, f"file_{_ZEROS}"),
    "/v1/webhooks/deliveries/{delivery_id}": Noun(things.new_delivery, f"whd_{_ZEROS}"),
    "/v1/api-keys/{key_id}": Noun(
        things.new_key, f"key_{_ZEROS}", beside={"live": _MODES, "test": ("test",)}
    ),
    "/v1/admin/accounts/{account_id}": Noun(things.the_account, f"acct_{_ZEROS}", owned=False),
    "/v1/admin/providers/{provider}": Noun(things.a_provider, "nobody", owned=False),
    "/v1/models/{key}": Noun(things.a_model, "no-such-model", owned=False),
    "/media/{key}": Noun(things.media_path, f"image/{_ZEROS}/input.png", owned=False),
    "/callbacks/{provider_name}/{nonce}": Noun(things.an_attempt, f"openai_videos/att_{_ZEROS}", owned=False),
}

#: Shape of a body -> one that is taken.
BODIES: Mapping[Any, Callable[[], Any]] = {
    None: lambda: None,
    bytes: lambda: PHOTO,
    wire.VideoRequest: lambda: {"model": "wan-2-1-t2v", "prompt": "test:slow 600"},
    file_view.WebhookTestRequest: lambda: {"url": things.HOOK},
    file_view.EndpointRequest: lambda: {"url": things.HOOK},
    money_view.KeyRequest: dict,
    money_view.KeyChange: dict,
    money_view.AccountRequest: lambda: {"name": f"opened {secrets.token_hex(8)}"},
    money_view.GrantRequest: lambda: {"micro": 2},
    money_view.CorrectionRequest: lambda: {"micro": 1, "memo": "of the matrix"},
}

#: Routes that are closed to one mode whatever the key's scopes; each says so in its 403.
ONE_MODE: Mapping[tuple[str, str], Mode] = {
    ("POST", "/v1/credits/refill"): "test",
    ("POST", "/v1/webhooks/secret"): "live",
}

#: Routes that answer 404 even for what is there, unless a provider has signed the call.
_SIGNED = "/callbacks/"


@dataclass(frozen=True, slots=True)
class Row:
    """One route: how to ask it, and what each role is owed."""

    method: str
    path: str
    doc: Doc
    noun: Noun | None
    body: Callable[[], Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def path_to(self, thing: str) -> str:
        """The path with what it names put in; a noun of two parameters is one text here."""
        if self.noun is None:
            return self.path
        start, end = self.path.index("{"), self.path.rindex("}") + 1
        return self.path[:start] + thing + self.path[end:]

    def owes(self, role: Role, account: str | None, mode: Mode | None) -> Owed:
        """What a role is answered about a thing of this account and mode; None = there is no such thing."""
        refused = self._refusal(role)
        if refused is not None:
            return refused
        if self.noun is None:
            return "served"
        if account is None or self.path.startswith(_SIGNED):
            return "404"
        if not self.noun.owned:
            return "served"
        assert role.mode is not None
        reach = (self.noun.beside or {}).get(role.mode, (role.mode,))
        return "served" if role.account == account and mode in reach else "404"

    def _refusal(self, role: Role) -> Literal["401", "403"] | None:
        if self.doc.scope is None:
            return None
        if not role.opens:
            return "401"
        if self.doc.scope not in role.scopes:
            return "403"
        only = ONE_MODE.get((self.method, self.path))
        return "403" if only is not None and role.mode != only else None


def row_of(method: str, path: str, doc: Doc) -> Row:
    """The row of a route. Raises NoRow for a noun or a body that nobody has thought of here."""
    found = [noun for noun in NOUNS if path == noun or path.startswith(f"{noun}/")]
    noun = NOUNS[max(found, key=len)] if found else None
    if noun is None and "{" in path:
        raise NoRow(f"{method} {path}: say in NOUNS how to make what the path names, and who owns it")
    if doc.body not in BODIES:
        raise NoRow(f"{method} {path}: say in BODIES what {doc.body!r} may hold")
    return Row(method, path, doc, noun, BODIES[doc.body])


def all_rows() -> list[Row]:
    """A row for every route of the application."""
    return [row_of(method, path, doc) for path, method, doc in documented(described_app())]


def may_see(role: Role, mark: Mark) -> bool:
    """Whether a text of somebody may be in an answer to this role."""
    if not role.opens:
        return False
    if role.account == "operator" and "admin" in role.scopes and mark.noun in ("account", "key"):
        return True
    if role.account != mark.account:
        return False
    return mark.mode in (None, role.mode) or (mark.noun == "key" and role.mode == "live")
