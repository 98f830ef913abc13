"""A plugin of the whole test run: no secret that anybody issues or configures is in a log or in a database.

It remembers every API key, webhook secret and provider key as it is made. It looks for them, and for what has
the form and the check digits of a key, in what each test captured (the test then fails), in each database
before it is dropped, and in PostgreSQL's own log at the end. Two exceptions: the first start shows its two
keys on stdout, and the table of webhook secrets holds those, because they sign.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import structlog

from fairstack_server import ids
from fairstack_server.accounts import store as accounts
from fairstack_server.db.connections import OwnConnection
from fairstack_server.db.dsn import Dsn
from fairstack_server.logs import hide_secrets, processors
from fairstack_server.settings import Settings
from fairstack_server.webhooks import endpoints
from fairstack_server.webhooks import store as webhooks

KEY = re.compile(r"fs_(?:live|test)_[0-9A-Za-z]{36}")
SIGNING_SECRET = re.compile(r"whsec_[0-9A-Za-z+/]{43}=")
_RUN = re.compile(r"[0-9A-Za-z]{12,}")
_PIECE = 12
_SHOWN = 12
"""Of a key its first characters may be seen."""
_FIRST_START = re.compile(r"^    (?:live|test)   fs_(?:live|test)_[0-9A-Za-z]{36}", re.MULTILINE)
_SHORTEST = 8
_NAMES_A_SECRET = re.compile("KEY|TOKEN|SECRET")

_TABLES = """
select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1
"""
_IN_BYTES = "66735f(6c697665|74657374)5f([0-9a-f]{2}){36}|77687365635f([0-9a-f]{2}){44}"


class SecretSeen(AssertionError):
    """A secret was found where none may be; the message says where and what kind, never the secret."""


class Secrets:
    """What must be seen nowhere."""

    def __init__(self) -> None:
        self.issued = 0
        self.characters = 0
        self.databases = 0
        self._pieces: set[str] = set()
        self._signing: set[str] = set()
        self._providers: set[str] = set()

    def learn_key(self, key: str) -> str:
        """Remember an API key: all pieces of it behind the part that may be shown."""
        self.issued += 1
        hidden = key[_SHOWN:]
        self._pieces |= {hidden[at : at + _PIECE] for at in range(len(hidden) - _PIECE + 1)}
        return key

    def learn_signing_secret(self, secret: str) -> str:
        """Remember a webhook secret."""
        self._signing.add(secret)
        return secret

    def learn_settings(self, settings: Settings) -> None:
        """Remember the keys of providers."""
        for name, value in settings.providers.items():
            if _NAMES_A_SECRET.search(name) and len(value) >= _SHORTEST:
                self._providers.add(value)

    def seen_in(self, text: str) -> list[str]:
        """The kinds of secrets that a text holds; empty when there is none."""
        self.characters += len(text)
        kinds = []
        if any(ids.api_key_mode(found[0]) for found in KEY.finditer(text)) or self._has_piece(text):
            kinds.append("an API key")
        if SIGNING_SECRET.search(text) or any(secret in text for secret in self._signing):
            kinds.append("a webhook secret")
        if any(secret in text for secret in self._providers):
            kinds.append("a provider's key")
        return kinds

    def _has_piece(self, text: str) -> bool:
        if not self._pieces:
            return False
        return any(
            run[at : at + _PIECE] in self._pieces
            for run in _RUN.findall(text)
            for at in range(len(run) - _PIECE + 1)
        )

    async def look_into(self, dsn: Dsn) -> None:
        """Every column of every table. Raises SecretSeen naming the table."""
        self.databases += 1
        connection = await asyncpg.connect(dsn.url)
        try:
            for table in [row["relname"] for row in await connection.fetch(_TABLES)]:
                await self._look_into_table(connection, table)
        finally:
            await connection.close()

    async def _look_into_table(self, connection: OwnConnection, table: str) -> None:
        shown = "(to_jsonb(t) - 'secret')::text" if table == "webhook_secrets" else "t::text"
        plain = [*self._providers, *(secret.encode().hex() for secret in self._providers)]
        found = await connection.fetchval(
            f"select count(*) from (select {shown} as r from {table} t) x "
            "where r ~ $1 or exists (select from unnest($2::text[]) p where strpos(r, p) > 0)",
            f"{KEY.pattern}|{SIGNING_SECRET.pattern}|{_IN_BYTES}",
            plain,
        )
        if found:
            raise SecretSeen(f"{found} rows of the table {table} hold a key or a secret")

    def said(self) -> dict[str, int]:
        """How much was looked for, and where."""
        return {"keys": self.issued, "characters": self.characters, "databases": self.databases}


SECRETS = Secrets()
"""Of this process: the hooks below and the fixtures of databases share it."""


async def check_database(dsn: Dsn) -> None:
    """Look for secrets in a database that is about to be dropped."""
    await SECRETS.look_into(dsn)


def _after(call: Callable[..., Any], told: Callable[[Any], Any]) -> Callable[..., Any]:
    @functools.wraps(call)
    def called(*arguments: Any, **named: Any) -> Any:
        result = call(*arguments, **named)
        told(result)
        return result

    return called


def pytest_configure(config: pytest.Config) -> None:
    """Be told of every secret from now on."""
    accounts.new_api_key = _after(ids.new_api_key, SECRETS.learn_key)  # type: ignore[attr-defined]
    for module in (endpoints, webhooks):
        module.new_secret = _after(module.new_secret, SECRETS.learn_signing_secret)  # type: ignore[attr-defined]
    made = Settings.__init__

    def make(self: Settings, *arguments: Any, **named: Any) -> None:
        made(self, *arguments, **named)
        SECRETS.learn_settings(self)

    Settings.__init__ = make  # type: ignore[method-assign]
    # Events as the server writes them, but for its last line of defence: it would hide what is looked for.
    steps = [step for step in processors() if step is not hide_secrets]
    structlog.configure(processors=[*steps, structlog.dev.ConsoleRenderer(colors=False)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test in whose output a secret is seen fails, whatever else it proved."""
    report = yield
    if report.when == "teardown":
        seen = [f"{kind} in {name}" for name, text in report.sections for kind in _seen_in_output(text)]
        if seen:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} shows {', '.join(seen)}"
            report.sections = []
    return report


def _seen_in_output(text: str) -> list[str]:
    return SECRETS.seen_in(_FIRST_START.sub("", text))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Read PostgreSQL's own log, and hand on how much was looked at."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["redaction"] = SECRETS.said()
        return
    from tests.conftest import FOLDER

    folder = session.config.stash.get(FOLDER, None)
    seen = seen_in_files(folder.rglob("*.log")) if folder is not None else []
    if seen:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        session.config.stash[_SEEN] = seen


def seen_in_files(paths: Iterable[Path]) -> list[str]:
    """What kinds of secrets are in which of these files."""
    return [
        f"{kind} in {path.name}"
        for path in paths
        for kind in SECRETS.seen_in(path.read_text("utf-8", "replace"))
    ]


_SEEN = pytest.StashKey[list[str]]()
_TOLD = pytest.StashKey[list[dict[str, int]]]()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Collect from a worker of pytest-xdist how much it looked at."""
    told = getattr(node, "workeroutput", {}).get("redaction")
    if told is not None:
        node.config.stash.setdefault(_TOLD, []).append(told)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """One line: how many keys were looked for, in how much."""
    told = [SECRETS.said(), *config.stash.get(_TOLD, [])]
    keys, characters, databases = (sum(each[name] for each in told) for name in SECRETS.said())
    seen = config.stash.get(_SEEN, [])
    terminalreporter.write_line(
        f"secrets: {keys:,} keys were issued; looked for in {characters:,} characters of logs "
        f"and {databases:,} databases" + (f"; SEEN: {', '.join(seen)}" if seen else "")
    )
