"""The dashboard's HTTP server, from its parts to its end."""

import asyncio
import contextlib
import signal
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from aiohttp import web

from producers.settings import SettingsError
from streakline.dashboard.access import Access
from streakline.dashboard.assets import Assets
from streakline.dashboard.events import EventStreams
from streakline.dashboard.feed import Feeds
from streakline.dashboard.health import Health
from streakline.dashboard.lake_reader import LakeReader
from streakline.dashboard.lake_thread import LakeThread
from streakline.dashboard.list_stream import ListStream
from streakline.dashboard.live import LiveReader
from streakline.dashboard.login import Login
from streakline.dashboard.overview import Overview
from streakline.dashboard.pages import Pages, add_to
from streakline.dashboard.projects import Projects
from streakline.dashboard.redis_client import async_client
from streakline.dashboard.reports import Reports
from streakline.dashboard.run_stream import RunStream
from streakline.dashboard.security import LOGIN, Guard, add_headers
from streakline.dashboard.settings import Place
from streakline.web.environment import environment

_TEMPLATES = Path(__file__).parent / "templates"
_SHUTDOWN_SECONDS = 0.5
"""for answers that are under way"""


class Sources:
    """What is shown: Redis, the lake, and what keeps reading them. Use it in the event loop."""

    def __init__(self, redis_url: str, prefix: str, lake: str) -> None:
        """Raises `RedisAway` and ValueError where one of them cannot be asked at all."""
        self.overview = Overview()
        self._client = async_client(redis_url)
        self._for_list, self._for_pages = LakeThread(lake, "lake-list"), LakeThread(lake, "lake-pages")
        self.feeds = Feeds(self._client, prefix)
        self.reports = Reports(self._for_pages, self.overview)
        self.projects = Projects(self._for_pages)
        self._live = LiveReader(self._client, prefix, self.overview)
        self._lake = LakeReader(self._for_list, self.overview)

    @contextlib.asynccontextmanager
    async def being_read(self) -> AsyncIterator[None]:
        """Read while the block runs."""
        tasks = [_forever(self._live.run()), _forever(self._lake.run())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, self._for_list.close(), self._for_pages.close(), return_exceptions=True)
            await self._client.aclose()


def make_app(sources: Sources, access: Access) -> web.Application:
    """Everything that is answered."""
    assets, streams = Assets(), EventStreams()
    templates = environment(_TEMPLATES)
    add_to(templates, assets)
    pages = Pages(templates, sources.overview, sources.reports, sources.projects)
    login = Login(access, templates)
    app = web.Application(middlewares=[pages.errors, Guard(access).middleware], client_max_size=64 * 1024)
    app.on_response_prepare.append(add_headers)
    app.add_routes(
        [
            web.get("/", pages.runs),
            web.get("/runs/{run_id}", pages.run),
            web.get("/runs/{run_id}/report", pages.report),
            web.get("/projects/{project}", pages.project),
            web.get("/events/runs", ListStream(sources.overview, streams).handle),
            web.get(
                "/events/runs/{run_id}",
                RunStream(sources.overview, sources.feeds, sources.reports, streams).handle,
            ),
            web.get("/static/{version}/{name:.+}", assets.handle),
            web.get("/healthz", Health(sources.overview).handle),
            web.get(LOGIN, login.show),
            web.post(LOGIN, login.take),
        ]
    )

    async def end_streams(_: web.Application) -> None:
        streams.close()

    app.on_shutdown.append(end_streams)
    return app


async def serve(place: Place, sources: Sources, on_listening: Callable[[int], None]) -> None:
    """Answer until SIGTERM or Ctrl-C; `on_listening` hears the port. Raises OSError where that cannot be had."""
    stop = asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with listening(place, sources) as port:
        on_listening(port)
        await stop.wait()


@contextlib.asynccontextmanager
async def listening(place: Place, sources: Sources) -> AsyncIterator[int]:
    """The server while the block runs; gives its port. Raises OSError where that cannot be had."""
    app = make_app(sources, Access(place.token))
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        site = web.TCPSite(runner, place.host, place.port, ssl_context=_tls(place))
        await site.start()
        async with sources.being_read():
            yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _tls(place: Place) -> ssl.SSLContext | None:
    """Raises `SettingsError` where the files are no certificate and its key."""
    if place.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(place.tls_cert, place.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"the certificate {place.tls_cert!r} and its key cannot be used ({error}): they have to be PEM files"
        ) from None
    return context


def _forever(work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    """A task whose failure is a defect, and ends the process aloud rather than leaving pages that never change."""
    task = asyncio.create_task(work)
    task.add_done_callback(_fail_aloud)
    return task


def _fail_aloud(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error
