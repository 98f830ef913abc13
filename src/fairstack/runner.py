"""Perform the effects of flows: once in the calling thread, once on an event loop."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

from fairstack.clock import AsyncClock, AsyncSystemClock, Clock, SystemClock
from fairstack.connection import Connection
from fairstack.flow import (
    AskManners,
    Broken,
    Do,
    Download,
    Effect,
    Emit,
    Flow,
    Manners,
    Now,
    OpenStream,
    ReadLine,
    Reply,
    Request,
    Send,
    Sleep,
    Tell,
    Together,
)
from fairstack.together import Crew, values_of
from fairstack.transport import api_call, breaks, broken, loopback_without_proxy, media_call, reply_of

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
_NOT_RUN = "a flow that emits is iterated, not run"


class Runner:
    """Runs flows in the calling thread; may be shared by threads."""

    def __init__(
        self,
        connection: Connection,
        manners: Manners,
        http_client: httpx.Client | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.connection = connection
        self.manners = manners
        self.clock = clock or SystemClock()
        self._given = http_client
        self._own: httpx.Client | None = None
        self._making = threading.Lock()

    def run(self, flow: Flow[T], crew: Crew | None = None) -> T:
        """Drive the flow to its value; what an effect raises is raised inside the flow first.

        As one of a `crew` the flow tells what it tells through it, and ends when it is stopped.
        """
        with closing(flow), closing(_Session(self, crew)) as session:
            step: Callable[[], Effect] = partial(next, flow)
            while True:
                try:
                    effect = step()
                except StopIteration as stop:
                    value: T = stop.value
                    return value
                step = session.answer(flow, effect)

    def iterate(self, flow: Flow[None]) -> Iterator[Any]:
        """Drive the flow, yielding what it emits."""
        with closing(flow), closing(_Session(self)) as session:
            step: Callable[[], Effect] = partial(next, flow)
            while True:
                try:
                    effect = step()
                except StopIteration:
                    return
                if isinstance(effect, Emit):
                    yield effect.item
                    step = partial(next, flow)
                else:
                    step = session.answer(flow, effect)

    def http(self) -> httpx.Client:
        """The client that was given, else our own, made when first needed."""
        if self._given is not None:
            return self._given
        with self._making:
            if self._own is None:
                import httpx

                self._own = httpx.Client(mounts=loopback_without_proxy())
            return self._own

    def close(self) -> None:
        """Close the connections that were opened here; a client that was given stays open."""
        with self._making:
            own, self._own = self._own, None
        if own is not None:
            own.close()


class _Session:
    """One run of one flow, and the stream it may have open."""

    def __init__(self, runner: Runner, crew: Crew | None = None) -> None:
        self._runner = runner
        self._crew = crew
        self._stream: httpx.Response | None = None
        self._lines: Iterator[str] = iter(())

    def answer(self, flow: Flow[Any], effect: Effect) -> Callable[[], Effect]:
        """Perform the effect; the step that tells the flow what came of it."""
        try:
            if self._crew is not None:
                self._crew.check()
            return partial(flow.send, self._perform(effect))
        except BaseException as error:
            return partial(flow.throw, error)

    def close(self) -> None:
        """Close the open stream, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                return self._send(request)
            case Download(url):
                return self._download(effect, url)
            case OpenStream(request):
                return self._open(request)
            case ReadLine():
                return self._read_line()
            case Sleep(seconds):
                return self._runner.clock.sleep(seconds)
            case Tell(callback, value):
                return callback(value) if self._crew is None else self._crew.tell(effect)
            case Do(work):
                return work()
            case Together(flows, limit):
                return Crew(self._runner.run, flows, limit).values()
            case Now():
                return self._runner.clock.now()
            case AskManners():
                return self._runner.manners
            case Emit():
                raise TypeError(_NOT_RUN)
            case _:
                assert_never(effect)

    def _api(self, request: Request, *, stream: bool = False) -> httpx.Response:
        http = self._runner.http()
        built = http.build_request(**api_call(self._runner.connection, self._runner.manners, request))
        return http.send(built, stream=stream, follow_redirects=False)

    def _send(self, request: Request) -> Reply | Broken:
        try:
            response = self._api(request)
        except breaks() as error:
            return broken(error)
        return reply_of(response, response.content)

    def _open(self, request: Request) -> Reply | Broken:
        self.close()
        try:
            self._stream = self._api(request, stream=True)
            if self._stream.status_code != 200:
                return reply_of(self._stream, self._stream.read())
        except breaks() as error:
            return broken(error)
        self._lines = self._stream.iter_lines()
        return reply_of(self._stream, b"")

    def _read_line(self) -> str | Broken | None:
        try:
            return next(self._lines, None)
        except breaks() as error:
            return broken(error)

    def _download(self, effect: Download, url: str) -> Reply | Broken:
        http = self._runner.http()
        try:
            request = http.build_request(**media_call(self._runner.manners, url))
            with closing(http.send(request, stream=True, follow_redirects=True)) as response:
                if response.status_code == 200:
                    effect.sink.begin()
                    for chunk in response.iter_bytes():
                        effect.sink.write(chunk)
                return reply_of(response, b"")
        except breaks() as error:
            return broken(error)


class AsyncRunner:
    """Runs flows on an event loop."""

    def __init__(
        self,
        connection: Connection,
        manners: Manners,
        http_client: httpx.AsyncClient | None = None,
        clock: AsyncClock | None = None,
    ) -> None:
        self.connection = connection
        self.manners = manners
        self.clock = clock or AsyncSystemClock()
        self._given = http_client
        self._own: httpx.AsyncClient | None = None

    async def run(self, flow: Flow[T]) -> T:
        """Drive the flow to its value; what an effect raises is raised inside the flow first."""
        async with aclosing(_AsyncSession(self)) as session:
            with closing(flow):
                step: Callable[[], Effect] = partial(next, flow)
                while True:
                    try:
                        effect = step()
                    except StopIteration as stop:
                        value: T = stop.value
                        return value
                    step = await session.answer(flow, effect)

    async def iterate(self, flow: Flow[None]) -> AsyncIterator[Any]:
        """Drive the flow, yielding what it emits."""
        async with aclosing(_AsyncSession(self)) as session:
            with closing(flow):
                step: Callable[[], Effect] = partial(next, flow)
                while True:
                    try:
                        effect = step()
                    except StopIteration:
                        return
                    if isinstance(effect, Emit):
                        yield effect.item
                        step = partial(next, flow)
                    else:
                        step = await session.answer(flow, effect)

    def http(self) -> httpx.AsyncClient:
        """The client that was given, else our own, made when first needed."""
        if self._given is not None:
            return self._given
        if self._own is None:
            import httpx

            self._own = httpx.AsyncClient(mounts=loopback_without_proxy())
        return self._own

    async def aclose(self) -> None:
        """Close the connections that were opened here; a client that was given stays open."""
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()


class _AsyncSession:
    """One run of one flow, and the stream it may have open."""

    def __init__(self, runner: AsyncRunner) -> None:
        self._runner = runner
        self._stream: httpx.Response | None = None
        self._lines: AsyncIterator[str] | None = None

    async def answer(self, flow: Flow[Any], effect: Effect) -> Callable[[], Effect]:
        """Perform the effect; the step that tells the flow what came of it."""
        try:
            return partial(flow.send, await self._perform(effect))
        except BaseException as error:
            return partial(flow.throw, error)

    async def aclose(self) -> None:
        """Close the open stream, if there is one."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.aclose()

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Send(request):
                return await self._send(request)
            case Download(url):
                return await self._download(effect, url)
            case OpenStream(request):
                return await self._open(request)
            case ReadLine():
                return await self._read_line()
            case Sleep(seconds):
                return await self._runner.clock.sleep(seconds)
            case Tell(callback, value):
                told = callback(value)
                return await told if isawaitable(told) else told
            case Do(work):
                return await _in_thread(work)
            case Together(flows, limit):
                return await values_of(self._runner.run, flows, limit)
            case Now():
                return self._runner.clock.now()
            case AskManners():
                return self._runner.manners
            case Emit():
                raise TypeError(_NOT_RUN)
            case _:
                assert_never(effect)

    async def _api(self, request: Request, *, stream: bool = False) -> httpx.Response:
        http = self._runner.http()
        built = http.build_request(**api_call(self._runner.connection, self._runner.manners, request))
        return await http.send(built, stream=stream, follow_redirects=False)

    async def _send(self, request: Request) -> Reply | Broken:
        try:
            response = await self._api(request)
        except breaks() as error:
            return broken(error)
        return reply_of(response, response.content)

    async def _open(self, request: Request) -> Reply | Broken:
        await self.aclose()
        try:
            self._stream = await self._api(request, stream=True)
            if self._stream.status_code != 200:
                return reply_of(self._stream, await self._stream.aread())
        except breaks() as error:
            return broken(error)
        self._lines = self._stream.aiter_lines()
        return reply_of(self._stream, b"")

    async def _read_line(self) -> str | Broken | None:
        if self._lines is None:
            return None
        try:
            return await anext(self._lines, None)
        except breaks() as error:
            return broken(error)

    async def _download(self, effect: Download, url: str) -> Reply | Broken:
        http = self._runner.http()
        try:
            request = http.build_request(**media_call(self._runner.manners, url))
            async with aclosing(await http.send(request, stream=True, follow_redirects=True)) as response:
                if response.status_code == 200:
                    await _in_thread(effect.sink.begin)
                    async for chunk in response.aiter_bytes():
                        await _in_thread(partial(effect.sink.write, chunk))
                return reply_of(response, b"")
        except breaks() as error:
            return broken(error)


async def _in_thread(work: Callable[[], T]) -> T:
    import anyio

    return await anyio.to_thread.run_sync(work)
