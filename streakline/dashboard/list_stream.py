"""What the list of runs is told as it changes."""

import time

import msgspec
from aiohttp import web
from msgspec import Struct

from streakline.dashboard.events import EventStreams, News, frame, last_event_id
from streakline.dashboard.overview import Overview, SourceState
from streakline.dashboard.rows import Row
from workers.coordination.board import JobProgress


class ListUpdate(Struct, frozen=True, kw_only=True):
    """One event ``update``; its id is the cursor."""

    now: float
    """Unix seconds here, for ages"""
    is_whole: bool
    """there are no other rows than these"""
    rows: tuple[Row, ...]
    """those that changed"""
    diffs: tuple[JobProgress, ...]
    """all in progress"""
    redis: SourceState
    lake: SourceState


class ListStream:
    """Encodes what changed once for all who stand at the same place."""

    def __init__(self, overview: Overview, streams: EventStreams) -> None:
        self._overview = overview
        self._streams = streams
        self._latest: tuple[object, bytes] = (None, b"")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The events."""
        return await self._streams.serve(request, self._news(last_event_id(request)), self._overview.bell)

    def _news(self, cursor: str | None) -> News:
        told: object = None

        async def news() -> bytes:
            nonlocal cursor, told
            overview = self._overview
            beside = (overview.diffs, overview.redis, overview.lake)
            if beside == told and cursor == overview.runs.cursor:
                return b""
            told, after, cursor = beside, cursor, overview.runs.cursor
            return self._frame(after, beside)

        return news

    def _frame(self, after: str | None, beside: tuple[tuple[JobProgress, ...], SourceState, SourceState]) -> bytes:
        key = (after, self._overview.runs.cursor, beside)
        if key != self._latest[0]:
            changes = self._overview.runs.since(after)
            diffs, redis, lake = beside
            update = ListUpdate(
                now=time.time(), is_whole=changes.is_whole, rows=changes.rows, diffs=diffs, redis=redis, lake=lake
            )
            self._latest = key, frame("update", msgspec.json.encode(update), changes.cursor)
        return self._latest[1]
