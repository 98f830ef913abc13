"""The operator's commands: serve, api, worker, migrate, keys, wallet, catalog, doctor."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from fairstack_server.errors import FairStackError
from fairstack_server.logs import configure_logging
from fairstack_server.settings import Settings, SettingsError, read_settings

T = TypeVar("T")

Host = Annotated[str | None, typer.Option(help="Address to bind; 127.0.0.1 unless told otherwise.")]
Port = Annotated[int | None, typer.Option(min=1, max=65535, help="Port to bind; 8787 unless told otherwise.")]
Home = Annotated[Path | None, typer.Option(help="Folder of all data.")]
Account = Annotated[str, typer.Option(help="Name or id of the account.")]

_USAGE, _FAILED = 2, 1


def register(app: typer.Typer) -> None:
    """Add the operator's commands to the `fairstack` command."""
    app.command("serve")(serve)
    app.command("api")(api)
    app.command("worker")(worker)
    app.command("migrate")(migrate)
    app.command("doctor")(doctor)
    for name, group in (("keys", _keys()), ("wallet", _wallet()), ("catalog", _catalog())):
        app.add_typer(group, name=name)


def serve(host: Host = None, port: Port = None, home: Home = None) -> None:
    """Run the whole server: database, API, worker and the local engine."""
    _run_server(host, port, home, ("api", "worker"))


def api(host: Host = None, port: Port = None, home: Home = None) -> None:
    """Run the API alone; for fleets with FAIRSTACK_DATABASE_URL."""
    _run_server(host, port, home, ("api",))


def worker(home: Home = None) -> None:
    """Run a worker alone; for fleets with FAIRSTACK_DATABASE_URL."""
    _run_server(None, None, home, ("worker",))


def migrate() -> None:
    """Bring the database's schema up to date; every start does it too."""

    async def work(settings: Settings) -> None:
        async with _database(settings):
            typer.echo("The schema is up to date.")

    _run(work)


def doctor() -> None:
    """Say what is set up, what is not, and what would enable it."""
    from fairstack_server.doctor import examine

    async def work(settings: Settings) -> None:
        for line in await examine(settings):
            typer.echo(line)

    _run(work)


def _keys() -> typer.Typer:
    group = typer.Typer(help="API keys of an account.", no_args_is_help=True)

    @group.command("list")
    def list_keys(account: Account = "default") -> None:
        """List an account's keys."""

        async def work(settings: Settings) -> None:
            from fairstack_server.accounts.store import Accounts

            async with _pool(settings) as pool:
                accounts = Accounts(pool)
                for key in await accounts.keys((await accounts.find(account)).id):
                    state = "revoked" if key.revoked_at else "active"
                    typer.echo(f"{key.id}  {key.prefix}…  {state}  {key.name}  [{', '.join(key.scopes)}]")

        _run(work)

    @group.command("create")
    def create_key(
        account: Account = "default",
        name: Annotated[str, typer.Option(help="What the key is for.")] = "API key",
        test: Annotated[bool, typer.Option("--test", help="A sandbox key.")] = False,
        admin: Annotated[bool, typer.Option("--admin", help="With the admin scope.")] = False,
    ) -> None:
        """Make a key and show it, this once."""

        async def work(settings: Settings) -> None:
            from fairstack_server.accounts.store import SCOPES, USER_SCOPES, Accounts

            async with _pool(settings) as pool:
                accounts = Accounts(pool)
                owner = await accounts.find(account)
                _, secret = await accounts.create_key(
                    owner.id, "test" if test else "live", name, SCOPES if admin else USER_SCOPES
                )
                typer.echo(secret)

        _run(work)

    @group.command("revoke")
    def revoke_key(
        key_id: Annotated[str, typer.Argument(help="As `fairstack keys list` shows it.")],
        account: Account = "default",
    ) -> None:
        """End a key."""

        async def work(settings: Settings) -> None:
            from fairstack_server.accounts.store import Accounts

            async with _pool(settings) as pool:
                accounts = Accounts(pool)
                await accounts.revoke_key((await accounts.find(account)).id, key_id)
                typer.echo(f"{key_id} is revoked.")

        _run(work)

    return group


def _wallet() -> typer.Typer:
    group = typer.Typer(help="Money of the accounts.", no_args_is_help=True)

    @group.command("grant")
    def grant(
        account: Annotated[str, typer.Argument(help="Name or id of the account.")],
        dollars: Annotated[str, typer.Argument(help="Dollars, such as 25 or 0.50.")],
        memo: Annotated[str, typer.Option(help="Why.")] = "",
    ) -> None:
        """Put live money into a wallet."""
        micros = _micros(dollars)

        async def work(settings: Settings) -> None:
            from fairstack_server.accounts.store import Accounts
            from fairstack_server.money import display
            from fairstack_server.wallet import store

            async with _pool(settings) as pool:
                owner = await Accounts(pool).find(account)
                async with pool.acquire() as connection, connection.transaction():
                    await store.grant(connection, owner.id, "live", micros, memo)
                    wallet = await store.balance(connection, owner.id, "live")
                typer.echo(
                    f"Granted {display(micros)} to {owner.name}. "
                    f"Available: {display(wallet.available_micros)}."
                )

        _run(work)

    @group.command("show")
    def show(account: Annotated[str, typer.Argument(help="Name or id of the account.")] = "default") -> None:
        """Show an account's live and test balances."""

        async def work(settings: Settings) -> None:
            from fairstack_server.accounts.store import Accounts
            from fairstack_server.money import display
            from fairstack_server.wallet import store

            async with _pool(settings) as pool:
                owner = await Accounts(pool).find(account)
                async with pool.acquire() as connection:
                    live = await store.balance(connection, owner.id, "live")
                    test = await store.balance(connection, owner.id, "test")
                for mode, wallet in (("live", live), ("test", test)):
                    typer.echo(
                        f"{mode}  available {display(wallet.available_micros)}  "
                        f"held {display(wallet.held_micros)}"
                    )

        _run(work)

    @group.command("verify")
    def verify() -> None:
        """Prove the books: every transaction sums to 0, every job has one hold and at most one settle."""

        async def work(settings: Settings) -> None:
            from fairstack_server.wallet import verify as books

            async with _pool(settings) as pool, pool.acquire() as connection:
                findings = await books.verify(connection)
            for finding in findings:
                typer.echo(str(finding))
            if findings:
                raise typer.Exit(_FAILED)
            typer.echo("The books are right.")

        _run(work)

    return group


def _catalog() -> typer.Typer:
    group = typer.Typer(help="The models that this server knows.", no_args_is_help=True)

    @group.command("check")
    def check_catalog() -> None:
        """Check every entry: prices, routes, defaults, sources."""
        _guarded(_check_catalog)

    @group.command("list")
    def list_catalog() -> None:
        """List every model with its type, tier and default price."""
        _guarded(_list_catalog)

    @group.command("show")
    def show_model(key: Annotated[str, typer.Argument(help="Model key or alias.")]) -> None:
        """Show a model: what it takes, its routes, its prices and their sources."""
        _guarded(lambda: _show_model(key))

    @group.command("quote")
    def quote_model(
        key: Annotated[str, typer.Argument(help="Model key or alias.")],
        settings: Annotated[
            list[str] | None, typer.Argument(help="Such as duration=10 resolution=1080p.")
        ] = None,
    ) -> None:
        """Quote a clip at these settings, to the microdollar."""
        _guarded(lambda: _quote_model(key, settings or []))

    @group.command("diff")
    def diff_catalog(folder: Annotated[Path, typer.Argument(help="Another catalog's folder.")]) -> None:
        """Say what differs from another catalog: models, prices, routes."""
        _guarded(lambda: _diff_catalog(folder))

    return group


def _show_model(key: str) -> None:
    from fairstack_server.catalog.catalog import Catalog
    from fairstack_server.catalog.model_page import model_section
    from fairstack_server.clock import SystemClock

    model = Catalog(operator=_settings().catalog_dir).get(key)
    typer.echo(model_section(model, on=SystemClock().now().date()))


def _quote_model(key: str, words: list[str]) -> None:
    from fairstack_server.catalog.ask_words import ask_of_words
    from fairstack_server.catalog.catalog import Catalog
    from fairstack_server.catalog.parameters import resolve
    from fairstack_server.clock import SystemClock
    from fairstack_server.money import display
    from fairstack_server.pricing import quote

    settings = _settings()
    model = Catalog(operator=settings.catalog_dir).get(key)
    settled = resolve(model, ask_of_words(model, words))
    price = quote(model, settled, on=SystemClock().now().date(), margin_percent=settings.margin_percent)
    typer.echo(f"{display(price.micros)}  ({price.micros} micros)")


def _diff_catalog(folder: Path) -> None:
    from fairstack_server.catalog.catalog import Catalog
    from fairstack_server.catalog.differences import differences
    from fairstack_server.clock import SystemClock

    ours = Catalog(operator=_settings().catalog_dir).snapshot
    found = differences(Catalog(folder).snapshot, ours, on=SystemClock().now().date())
    for difference in found:
        typer.echo(f"{difference.model}: {difference.message}")
    typer.echo(f"{len(found)} differences")


def _check_catalog() -> None:
    from fairstack_server.catalog.catalog import Catalog
    from fairstack_server.catalog.check import check
    from fairstack_server.clock import SystemClock

    settings = _settings()
    findings = check(Catalog(operator=settings.catalog_dir), on=SystemClock().now().date())
    for finding in findings:
        typer.echo(f"{finding.level:5}  {finding.model}: {finding.message}")
    errors = sum(finding.level == "error" for finding in findings)
    typer.echo(f"{errors} errors, {len(findings) - errors} notes")
    if errors:
        raise typer.Exit(_FAILED)


def _list_catalog() -> None:
    from fairstack_server.catalog.catalog import Catalog
    from fairstack_server.clock import SystemClock
    from fairstack_server.money import display
    from fairstack_server.pricing import price_of_default_clip

    settings = _settings()
    today = SystemClock().now().date()
    for model in Catalog(operator=settings.catalog_dir).models():
        price = price_of_default_clip(model, on=today, margin_percent=settings.margin_percent)
        typer.echo(f"{model.key:32} {model.type:5} {model.tier:9} {display(price.micros):>9}  {model.name}")


def _run_server(host: str | None, port: int | None, home: Path | None, parts: tuple[str, ...]) -> None:
    from fairstack_server import serve as server

    settings = server.own_settings(_settings(), host=host, port=port, home=home)
    configure_logging(settings.log_level, settings.log_format)
    _guarded(lambda: _loop(server.serve(settings, parts)))  # type: ignore[arg-type]


def _run(work: Callable[[Settings], Awaitable[None]]) -> None:
    settings = _settings()
    configure_logging("warning", settings.log_format)

    async def main() -> None:
        await work(settings)

    _guarded(lambda: _loop(main()))


def _loop(main: Awaitable[None]) -> None:
    async def run() -> None:
        await main

    factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run())


def _guarded(work: Callable[[], None]) -> None:
    """Answer every foreseen fault in one line, never with a traceback."""
    from fairstack_server.catalog.load import CatalogError
    from fairstack_server.db.dsn import DatabaseError
    from fairstack_server.serve import PortTaken

    try:
        work()
    except (CatalogError, DatabaseError, PortTaken, SettingsError, FairStackError) as error:
        typer.echo(f"fairstack: {error}", err=True)
        raise typer.Exit(_FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _settings() -> Settings:
    try:
        return read_settings(os.environ)
    except SettingsError as error:
        typer.echo(f"fairstack: {error}", err=True)
        raise typer.Exit(_USAGE) from None


@contextlib.asynccontextmanager
async def _database(settings: Settings):  # type: ignore[no-untyped-def]
    from fairstack_server.serve import prepare_database

    async with contextlib.AsyncExitStack() as stack:
        yield await prepare_database(settings, stack)


@contextlib.asynccontextmanager
async def _pool(settings: Settings):  # type: ignore[no-untyped-def]
    from fairstack_server.db.pool import open_pool

    async with _database(settings) as dsn:
        pool = await open_pool(dsn, 2)
        try:
            yield pool
        finally:
            await pool.close()


def _micros(dollars: str) -> int:
    from fairstack_server.money import micros_of_usd

    try:
        micros = micros_of_usd(dollars)
    except (ValueError, InvalidOperation):
        micros = Decimal("0.5")
    if micros != micros.to_integral_value() or micros <= 0:
        typer.echo(f"fairstack: {dollars!r} is not an amount of dollars such as 25 or 0.50.", err=True)
        raise typer.Exit(_USAGE)
    return int(micros)
