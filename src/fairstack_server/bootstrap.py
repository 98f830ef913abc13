"""The one composition root: from settings to a gateway whose parts know only what they were given."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import structlog

from fairstack_local import RenderPool
from fairstack_local.kernel_cache import default_cache_dir
from fairstack_server.accounts.store import Accounts
from fairstack_server.api.access import Access
from fairstack_server.api.wire import ended_job
from fairstack_server.catalog.catalog import Catalog
from fairstack_server.clock import Clock, SystemClock
from fairstack_server.db.connections import OwnConnection, Pool
from fairstack_server.db.dsn import Dsn
from fairstack_server.db.notices import Notices
from fairstack_server.db.pool import open_connection, open_pool
from fairstack_server.doctor import has_local_engine
from fairstack_server.egress import Egress
from fairstack_server.files import Files
from fairstack_server.generations import Generations, Terms
from fairstack_server.inputs import Inputs, WebhookGate
from fairstack_server.jobs.admission import Admission
from fairstack_server.jobs.cancel import Cancelling
from fairstack_server.jobs.gates import Gates
from fairstack_server.jobs.gone import GoneRoutes
from fairstack_server.jobs.keeping import ClipKeeper, Desk
from fairstack_server.jobs.late import LateResults
from fairstack_server.jobs.lifecycle import Lifecycle, Pace
from fairstack_server.jobs.orders import SANDBOX, Planner, Planning, routes_of
from fairstack_server.jobs.placement import NewJob, Placement
from fairstack_server.jobs.queue import Queue
from fairstack_server.jobs.reading import JobReader
from fairstack_server.jobs.reports import ProviderReports
from fairstack_server.jobs.settle import Settlement
from fairstack_server.jobs.standing import Standing
from fairstack_server.jobs.store import JobStore
from fairstack_server.jobs.worker import Worker, WorkerLimits
from fairstack_server.judging import RequestJudge
from fairstack_server.media.card_maker import CardMaker
from fairstack_server.media.certificate import read_certificate
from fairstack_server.media.fetch import MediaFetch
from fairstack_server.media.fetch_recording import RecordingFetch, RecordingLimits
from fairstack_server.media.poster import PosterMaker
from fairstack_server.media.prober import RecordingProber
from fairstack_server.media.provenance import ClipSigner
from fairstack_server.media.sandbox import ChildFailed, ImageDecoder
from fairstack_server.media.store import MediaStore
from fairstack_server.moderation import TRUSTED_AS, Moderation, build_moderation
from fairstack_server.pricing import UsableRoute
from fairstack_server.providers.base import Provider
from fairstack_server.providers.http import provider_sessions
from fairstack_server.providers.limits import read_limits
from fairstack_server.providers.registry import ADDRESS_SETTINGS, SPOKEN, build_providers
from fairstack_server.settings import Settings
from fairstack_server.webhooks.deliver import Deliverer
from fairstack_server.webhooks.sign import signature

log = structlog.get_logger()

_POSTER_CHILDREN = 2
_SIGNING_CHILDREN = 2


@dataclass(slots=True)
class Gateway:
    """Everything that a face of the server calls, wired."""

    settings: Settings
    pool: Pool
    clock: Clock
    notices: Notices
    catalog: Catalog
    providers: Mapping[str, Provider]
    configured: frozenset[str]
    gates: Gates
    gone: GoneRoutes
    reports: ProviderReports
    access: Access
    accounts: Accounts
    generations: Generations
    jobs: JobStore
    reader: JobReader
    cancelling: Cancelling
    files: Files
    media: MediaStore
    webhook_gate: WebhookGate
    deliverer: Deliverer
    worker: Worker | None
    home_id: str

    async def run_worker(self) -> None:
        """Work on jobs until `stop_working`."""
        if self.worker is not None:
            await self.worker.run()

    async def deliver_webhooks(self) -> None:
        """Send what is in the outbox until `stop_working`."""
        await self.deliverer.run()

    async def stop_working(self) -> None:
        """Stop the worker and the webhook sender; what they had goes back to the tables."""
        if self.worker is not None:
            await self.worker.stop()
        await self.deliverer.stop()


@contextlib.asynccontextmanager
async def open_gateway(
    settings: Settings, dsn: Dsn, *, works: bool = True, egress: Egress | None = None
) -> AsyncIterator[Gateway]:
    """A gateway on a migrated database; closed in order when the block ends. `works`: with a worker.

    `egress`: another way out than the settings make; the gateway closes it.
    """
    async with contextlib.AsyncExitStack() as stack:
        pool = await open_pool(dsn, settings.database_connections)
        stack.push_async_callback(pool.close)
        egress = egress or Egress(
            trusted_origins=_trusted_origins(settings), webhook_allow=settings.webhook_allow
        )
        stack.push_async_callback(egress.aclose)
        yield _gateway(await _share(settings, dsn, pool, egress, stack), stack, works=works)


@dataclass(slots=True)
class _Shared:
    """What several parts of the gateway are built on."""

    settings: Settings
    dsn: Dsn
    pool: Pool
    egress: Egress
    clock: Clock
    notices: Notices
    catalog: Catalog
    providers: Mapping[str, Provider]
    configured: frozenset[str]
    gates: Gates
    gone: GoneRoutes
    reports: ProviderReports
    media: MediaStore
    fetch: MediaFetch
    recordings: RecordingFetch
    poster: PosterMaker
    signer: ClipSigner
    moderation: Moderation
    files: Files
    queue: Queue
    jobs: JobStore
    settlement: Settlement


async def _share(
    settings: Settings, dsn: Dsn, pool: Pool, egress: Egress, stack: contextlib.AsyncExitStack
) -> _Shared:
    clock = SystemClock()
    limits = read_limits(settings.provider_limits, SPOKEN)
    providers = await _providers(settings, clock, stack)
    media = MediaStore(settings.media_url or str(settings.home / "media"), f"{settings.base_url}/media")
    decoder, poster, signer = _confined_children(settings, stack)
    fetch = MediaFetch(
        egress,
        decoder,
        image_max_bytes=settings.image_max_bytes,
        image_timeout_seconds=settings.image_timeout_seconds,
        clip_max_bytes=settings.result_max_bytes,
        clip_timeout_seconds=settings.result_timeout_seconds,
    )
    recordings = _recording_fetch(settings, egress, stack)
    catalog = Catalog(operator=settings.catalog_dir)
    gone, reports = GoneRoutes(pool, catalog), ProviderReports(pool, settings.worker_timeout_seconds)
    await _keep_fresh(Standing(gone, reports, clock), stack)
    return _Shared(
        settings=settings,
        dsn=dsn,
        pool=pool,
        egress=egress,
        clock=clock,
        notices=await _notices(dsn, stack),
        catalog=catalog,
        providers=providers,
        configured=frozenset(providers) - {SANDBOX},
        gates=Gates(providers, clock, limits, stages={SANDBOX}),
        gone=gone,
        reports=reports,
        media=media,
        fetch=fetch,
        recordings=recordings,
        poster=poster,
        signer=signer,
        moderation=build_moderation(settings, egress, signature, clock.now),
        files=Files(pool, media, fetch, recordings, settings.home / "work", settings.image_max_bytes),
        queue=Queue(pool),
        jobs=JobStore(pool, settings.worker_timeout_seconds),
        settlement=Settlement(pool, ended_job),
    )


def _gateway(shared: _Shared, stack: contextlib.AsyncExitStack, *, works: bool) -> Gateway:
    settings, pool, dsn, clock = shared.settings, shared.pool, shared.dsn, shared.clock
    reader, accounts, gate = JobReader(pool), Accounts(pool), WebhookGate(shared.egress)
    stack.push_async_callback(reader.close)
    return Gateway(
        settings=settings,
        pool=pool,
        clock=clock,
        notices=shared.notices,
        catalog=shared.catalog,
        providers=shared.providers,
        configured=shared.configured,
        gates=shared.gates,
        gone=shared.gone,
        reports=shared.reports,
        access=Access(accounts, settings.rate_limit_per_minute),
        accounts=accounts,
        generations=_generations(shared, gate, stack),
        jobs=shared.jobs,
        reader=reader,
        cancelling=Cancelling(pool, shared.jobs, shared.settlement, clock),
        files=shared.files,
        media=shared.media,
        webhook_gate=gate,
        deliverer=Deliverer(
            pool,
            shared.egress.post,
            clock,
            connect=lambda: open_connection(dsn, application="fairstack webhooks"),
            timeout_seconds=settings.webhook_timeout_seconds,
        ),
        worker=_worker(shared) if works else None,
        home_id=hashlib.sha256(str(settings.home).encode()).hexdigest()[:16],
    )


def _generations(shared: _Shared, gate: WebhookGate, stack: contextlib.AsyncExitStack) -> Generations:
    settings = shared.settings

    def routes_of_new(job: NewJob) -> tuple[UsableRoute, ...]:
        on = shared.clock.now().date()
        return routes_of(shared.catalog, shared.configured, job, on, allow_loss=settings.allow_loss)

    admission = Admission(routes_of_new, lambda: shared.reports.refusing)
    placement = Placement(shared.pool, shared.queue, admission.judge)
    stack.push_async_callback(placement.close)
    return Generations(
        shared.catalog,
        shared.configured,
        shared.configured | SPOKEN,
        Terms(settings.margin_percent, settings.allow_loss),
        Inputs(
            shared.files,
            shared.media,
            shared.fetch,
            shared.recordings,
            shared.providers,
            max_bytes=settings.image_max_bytes,
            public=bool(settings.public_url),
        ),
        gate,
        RequestJudge(shared.moderation, shared.media),
        placement,
        shared.clock,
    )


def _worker(shared: _Shared) -> Worker:
    settings, clock, dsn = shared.settings, shared.clock, shared.dsn
    callback_base = settings.public_url.rstrip("/") or None
    planning = Planning(settings.submit_attempts, settings.allow_loss, callback_base)
    planner = Planner(shared.catalog, shared.configured, shared.files, planning)
    keeper = ClipKeeper(
        shared.media,
        Desk(shared.fetch, shared.signer, shared.moderation, shared.poster),
        shared.egress,
        settings.home,
        keeps_refused=settings.moderation_keep_refused,
    )
    lifecycle = Lifecycle(
        shared.jobs,
        shared.settlement,
        planner,
        keeper,
        shared.providers,
        shared.gates,
        shared.gone,
        shared.notices,
        clock,
        Pace(),
    )
    late = LateResults(
        shared.jobs,
        shared.settlement,
        planner,
        keeper,
        shared.providers,
        clock,
        pause_seconds=settings.late_seconds,
    )
    limits = WorkerLimits(
        settings.worker_jobs,
        settings.worker_timeout_seconds,
        settings.sweep_seconds,
        settings.sandbox_in_flight,
    )

    async def connect() -> OwnConnection:
        return await open_connection(dsn, application="fairstack worker")

    return Worker(
        shared.pool,
        connect,
        shared.queue,
        shared.jobs,
        lifecycle,
        late,
        shared.gates,
        shared.reports,
        shared.notices,
        clock,
        limits,
    )


async def _keep_fresh(standing: Standing, stack: contextlib.AsyncExitStack) -> None:
    await standing.refresh()
    keeping = asyncio.create_task(standing.keep_fresh(), name="standing")
    stack.callback(keeping.cancel)


def _recording_fetch(settings: Settings, egress: Egress, stack: contextlib.AsyncExitStack) -> RecordingFetch:
    prober = RecordingProber(longest_seconds=settings.input_max_seconds)
    stack.push_async_callback(prober.aclose)
    limits = RecordingLimits(settings.input_max_bytes, settings.input_timeout_seconds)
    return RecordingFetch(egress, prober, settings.home / "work" / "incoming", limits)


def _confined_children(
    settings: Settings, stack: contextlib.AsyncExitStack
) -> tuple[ImageDecoder, PosterMaker, ClipSigner]:
    """The children that read what came from outside, being started and ended with the gateway."""
    decoder, poster = ImageDecoder(), PosterMaker(children=_POSTER_CHILDREN)
    signer = ClipSigner(
        read_certificate(settings), max_bytes=settings.c2pa_max_bytes, children=_SIGNING_CHILDREN
    )
    for each in (decoder, poster, signer):
        stack.push_async_callback(each.aclose)
    warming = asyncio.create_task(_warm(decoder, poster, signer), name="warm")
    stack.callback(warming.cancel)
    return decoder, poster, signer


async def _notices(dsn: Dsn, stack: contextlib.AsyncExitStack) -> Notices:
    async def connect() -> OwnConnection:
        return await open_connection(dsn, application="fairstack notices")

    notices = Notices(connect)
    await notices.start()
    stack.push_async_callback(notices.stop)
    return notices


async def _providers(
    settings: Settings, clock: Clock, stack: contextlib.AsyncExitStack
) -> Mapping[str, Provider]:
    sessions = await stack.enter_async_context(provider_sessions())
    pool: RenderPool | None = None
    if has_local_engine():
        pool = RenderPool(settings.local_processes, default_cache_dir())
        stack.push_async_callback(pool.aclose)
    return build_providers(settings, sessions, clock, render_pool=pool, make_card=_card_maker(stack))


async def _warm(*children: ImageDecoder | PosterMaker | ClipSigner) -> None:
    """Start the confined children beside everything else, so that the first file waits for none."""
    try:
        for each in children:
            await each.start()
    except (ChildFailed, OSError) as error:
        log.warning("media.not_warm", error=str(error))


def _card_maker(stack: contextlib.AsyncExitStack) -> CardMaker:
    maker = CardMaker()
    stack.callback(maker.close)
    return maker


def _trusted_origins(settings: Settings) -> dict[str, list[str]]:
    """Addresses that the operator configured for a provider; trusted for that provider alone (ruling 27)."""
    addresses = {provider: settings.providers.get(name) for provider, name in ADDRESS_SETTINGS.items()}
    addresses[TRUSTED_AS] = settings.moderation_url
    return {name: [address] for name, address in addresses.items() if address}
