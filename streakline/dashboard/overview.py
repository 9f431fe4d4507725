"""All that the pages know of all runs, kept by the readers of Redis and the lake."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from streakline.dashboard.bell import Bell
from streakline.dashboard.rows import LakeRun, Row, merged
from streakline.dashboard.table import RunTable
from stream_app.live import LiveRun
from workers.coordination.board import JobProgress

BEGUN_WITHIN_SECONDS = 10.0


class SourceState(Struct, frozen=True, kw_only=True):
    """How reading Redis or the lake went last."""

    state: Literal["starting", "ok", "empty", "away"] = "starting"
    detail: str = ""
    """a sentence, where there is something to do about it"""
    malformed: int = 0
    """entries that are not what they have to be, and are not shown"""


class Overview:
    """Written and read in the event loop; `bell` rings when something changed."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.runs = RunTable()
        self.diffs: tuple[JobProgress, ...] = ()
        """in progress"""
        self.redis = SourceState()
        self.lake = SourceState()
        self.bell = Bell()
        self._clock = clock
        self._live: Mapping[str, LiveRun] = {}
        self._archived: Mapping[str, LakeRun] = {}

    async def begun(self) -> None:
        """Wait until Redis and the lake were asked once, or for as long as anyone should wait for it."""
        wake = asyncio.Event()
        with contextlib.suppress(TimeoutError), self.bell.heard_by(wake):
            async with asyncio.timeout(BEGUN_WITHIN_SECONDS):
                while "starting" in {self.redis.state, self.lake.state}:
                    wake.clear()
                    await wake.wait()

    def archived(self, run_id: str) -> LakeRun | None:
        """What the lake knows of a run."""
        return self._archived.get(run_id)

    def projects(self) -> list[str]:
        """Of all runs."""
        return sorted({row.project for row in self.runs})

    def show_live(self, live: Mapping[str, LiveRun]) -> None:
        """Redis has these, and no other."""
        before, self._live = self._live, live
        self._merge(
            {run_id for run_id in {*before, *live} if before.get(run_id) is not live.get(run_id)},
        )

    def show_lake_state(self, state: SourceState) -> None:
        """How reading the lake went, where it gave nothing."""
        self.lake, changed = state, state != self.lake
        if changed:
            self.bell.ring()

    def show_lake(self, archived: Mapping[str, LakeRun], state: SourceState) -> None:
        """The lake has these, and no other."""
        before, self._archived = self._archived, archived
        self.lake, changed = state, state != self.lake
        self._merge({*before, *archived}, ring=changed)

    def show_redis(self, state: SourceState, diffs: tuple[JobProgress, ...]) -> None:
        """How Redis is, and which diffs are in progress."""
        if (state, diffs) != (self.redis, self.diffs):
            self.redis, self.diffs = state, diffs
            self.bell.ring()

    def _merge(self, run_ids: set[str], *, ring: bool = False) -> None:
        now = self._clock()
        rows: dict[str, Row | None] = {}
        for run_id in run_ids:
            live, lake = self._live.get(run_id), self._archived.get(run_id)
            rows[run_id] = None if live is None and lake is None else merged(live, lake, now)
        if self.runs.put(rows) or ring:
            self.bell.ring()
