"""What the page of one run is told as it goes on."""

import time
from collections.abc import Sequence

import msgspec
from aiohttp import web
from msgspec import Struct

from streakline.dashboard.addresses import name_in
from streakline.dashboard.events import EventStreams, News, frame, last_event_id
from streakline.dashboard.feed import Entry, Feeds, RunFeed
from streakline.dashboard.history import all_signals, joined
from streakline.dashboard.overview import Overview, SourceState
from streakline.dashboard.reports import Reports
from streakline.dashboard.rows import Row
from streakline.report.content import Marker, Timeline
from streakline.report.markers import marker_of
from stream_app.live import LivePoint
from workers.coordination.board import JobProgress
from workers.lake.statements import QueryError


class Batch(Struct, frozen=True):
    """What happened since the one before."""

    attempt: int
    points: tuple[LivePoint, ...]
    signals: tuple[Marker, ...]


class Whole(Struct, frozen=True):
    """Everything; what was told before is to be forgotten."""

    timelines: tuple[Timeline, ...]
    signals: tuple[Marker, ...]


class RunUpdate(Struct, frozen=True, kw_only=True):
    """One event ``update``; its id is that of the last entry in Redis that it knows of, where there is one."""

    now: float
    row: Row | None
    diff: JobProgress | None
    """in progress"""
    redis: SourceState
    lake: SourceState
    whole: Whole | None = None
    batches: tuple[Batch, ...] = ()
    """after `whole`, where that is given"""


class RunStream:
    """One for each viewer; they share what is read from Redis."""

    def __init__(self, overview: Overview, feeds: Feeds, reports: Reports, streams: EventStreams) -> None:
        self._overview = overview
        self._feeds = feeds
        self._reports = reports
        self._streams = streams

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The events. Raises HTTPNotFound where that is no name of a run."""
        run_id = name_in(request.match_info["run_id"])
        if run_id is None:
            raise web.HTTPNotFound
        async with self._feeds.watching(run_id) as feed:
            news = self._news(run_id, feed, last_event_id(request))
            return await self._streams.serve(request, news, feed.bell, self._overview.bell)

    def _news(self, run_id: str, feed: RunFeed, cursor: str | None) -> News:
        told: object = None

        async def news() -> bytes:
            nonlocal cursor, told
            beside = self._beside(run_id)
            newer = None if cursor is None else feed.since(cursor)
            # Of a run that Redis does not know there is nothing new but its row.
            is_behind = newer is None and (told is None or bool(feed.entries))
            if beside == told and not newer and not is_behind:
                return b""
            whole = await self._whole(run_id, feed) if is_behind else None
            told = beside
            if is_behind:
                cursor = feed.entries[-1].id if feed.entries else None
            elif newer:
                cursor = newer[-1].id
            row, diff, redis, lake = beside
            update = RunUpdate(
                now=time.time(), row=row, diff=diff, redis=redis, lake=lake, whole=whole, batches=_batches(newer or ())
            )
            return frame("update", msgspec.json.encode(update), cursor)

        return news

    def _beside(self, run_id: str) -> tuple[Row | None, JobProgress | None, SourceState, SourceState]:
        overview = self._overview
        diff = next((each for each in overview.diffs if each.run_id == run_id), None)
        return overview.runs.get(run_id), diff, overview.redis, overview.lake

    async def _whole(self, run_id: str, feed: RunFeed) -> Whole:
        try:
            report = await self._reports.get(run_id)
        except QueryError:
            # The state of the lake, which the page is told too, says so.
            report = None
        timelines, signals = ((), ()) if report is None else (report.timelines, report.signals)
        batches = [entry.batch for entry in feed.entries]
        return Whole(joined(timelines, batches), all_signals(signals, batches))


def _batches(entries: Sequence[Entry]) -> tuple[Batch, ...]:
    return tuple(
        Batch(entry.batch.attempt, entry.batch.points, tuple(map(marker_of, entry.batch.signals))) for entry in entries
    )
