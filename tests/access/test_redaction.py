"""The search for secrets finds what is planted: in logs, in any column, in files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from fairstack_server.db.connections import OwnConnection
from fairstack_server.db.embedded import EmbeddedPostgres
from fairstack_server.ids import new_api_key
from fairstack_server.settings import Settings
from fairstack_server.webhooks.sign import new_secret
from tests.access.redaction import SECRETS, Secrets, SecretSeen, seen_in_files
from tests.conftest import copied_database

PROVIDER_KEY = "planted-key-of-a-provider"
ROOT = Path(__file__).resolve().parents[2]

PLANTED = """
import logging, sys, os, structlog
from fairstack_server.accounts import store
from fairstack_server.ids import new_api_key

def test_clean(): structlog.get_logger().info("key.made", prefix=store.new_api_key("live")[:12])
def test_printed(): print(store.new_api_key("live"))
def test_cut(): structlog.get_logger().info("key.made", key=store.new_api_key("test")[9:30])
def test_logged(caplog): logging.getLogger().warning("%s", store.new_api_key("live"))
def test_of_another_process(): os.write(2, new_api_key("live").encode())
"""


def test_a_test_that_shows_a_key_fails(tmp_path: Path) -> None:
    """Printed, cut, logged or from another process: each of these tests fails, and the clean one does not."""
    (tmp_path / "test_planted.py").write_text(PLANTED)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.access.redaction",
        "--rootdir",
        str(tmp_path),
        "-q",
    ]
    run = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1, run.stdout
    failed = {line.split("::")[1].split()[0] for line in run.stdout.splitlines() if line.startswith("ERROR")}
    assert failed == {"test_printed", "test_cut", "test_logged", "test_of_another_process"}, run.stdout
    assert not SECRETS.seen_in(run.stdout), "the report of a leak must not leak"
    assert "secrets: 4 keys were issued" in run.stdout


KEY = new_api_key("live")
PLANTS = {
    "text": ("update jobs_of_a_test set note = $1", KEY),
    "inside a text": ("update jobs_of_a_test set note = $1", f"Bearer {KEY} was sent"),
    "jsonb": ("update jobs_of_a_test set ask = jsonb_build_object('headers', $1::text)", KEY),
    "bytea": ("update jobs_of_a_test set body = convert_to($1, 'UTF8')", f'{{"key":"{KEY}"}}'),
    "list": ("update jobs_of_a_test set tags = array['a', $1::text]", KEY),
    "a webhook secret elsewhere": ("update jobs_of_a_test set note = $1", new_secret()),
    "a provider's key": ("update jobs_of_a_test set note = $1", PROVIDER_KEY),
    "a provider's key in bytes": ("update jobs_of_a_test set body = convert_to($1, 'UTF8')", PROVIDER_KEY),
}


@pytest.mark.parametrize("where", PLANTS)
async def test_a_stored_secret_is_found(admin: OwnConnection, postgres: EmbeddedPostgres, where: str) -> None:
    """A key in any kind of column, a webhook secret out of its table, a provider's key: the search fails."""
    secrets, statement = Secrets(), PLANTS[where]
    secrets.learn_settings(Settings(providers={"FAL_KEY": PROVIDER_KEY}))
    async with copied_database(admin, postgres) as dsn:
        connection = await asyncpg.connect(dsn.url)
        await connection.execute(
            "create table jobs_of_a_test (note text, ask jsonb, body bytea, tags text[]); "
            "insert into jobs_of_a_test default values"
        )
        await secrets.look_into(dsn)
        await connection.execute(*statement)
        with pytest.raises(SecretSeen, match="jobs_of_a_test"):
            await secrets.look_into(dsn)
        await connection.execute("drop table jobs_of_a_test")
        await connection.close()


async def test_what_has_to_be_there_is_no_finding(admin: OwnConnection, postgres: EmbeddedPostgres) -> None:
    """Hash and first characters of a key, and a webhook secret in its own table, are not taken for a leak."""
    from fairstack_server.accounts.first_start import create_default_account
    from fairstack_server.db.pool import open_pool
    from fairstack_server.webhooks.endpoints import read_secret

    secrets = Secrets()
    async with copied_database(admin, postgres) as dsn:
        pool = await open_pool(dsn, 2)
        keys = await create_default_account(pool)
        assert keys is not None
        async with pool.acquire() as connection, connection.transaction():
            owner = await connection.fetchval("select account_id from api_keys limit 1")
            secrets.learn_signing_secret((await read_secret(connection, owner)).secret)
        await pool.close()
        secrets.learn_key(keys.live)
        await secrets.look_into(dsn)
        assert not secrets.seen_in(f"{keys.live[:12]}…")
        assert secrets.seen_in(keys.live[12:26]) == ["an API key"]


def test_a_log_file_with_a_key_is_found(tmp_path: Path) -> None:
    """As PostgreSQL's own log is searched."""
    (tmp_path / "clean.log").write_text("nothing\n")
    (tmp_path / "postgres.log").write_bytes(b"\xff STATEMENT: select '" + KEY.encode() + b"'\n")
    assert seen_in_files(sorted(tmp_path.iterdir())) == ["an API key in postgres.log"]


def test_the_last_line_of_defence() -> None:
    """Even an event or a traceback that carries a key or a signing secret is written without it."""
    secret = new_secret()
    configure = "from fairstack_server.logs import configure_logging; configure_logging('info', 'json')"
    program = f"""
import structlog
{configure}
log = structlog.get_logger()
log.info("planted", key={KEY!r}, header="Bearer {KEY}", secret={secret!r})
try:
    raise ValueError("refused: {KEY}")
except ValueError as error:
    log.error("planted", exc_info=error)
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stderr.count("planted") == 2
    assert run.stderr.count(KEY[:12]) == 3
    assert not SECRETS.seen_in(run.stderr)
    assert "Traceback" in run.stderr
