"""Reports of single runs, read from the lake when a page wants one, and kept for the next that does."""

import time
from collections import OrderedDict
from functools import partial
from typing import Generic, TypeVar

from msgspec import Struct

from streakline.dashboard.lake_thread import LakeThread
from streakline.dashboard.overview import Overview
from streakline.dashboard.rows import LakeRun
from streakline.report.asking import RunNotFound
from streakline.report.content import Report
from streakline.report.page import render
from streakline.report.reading import read_report
from workers.lake.session import Session

T = TypeVar("T")

KEPT_REPORTS, KEPT_PAGES = 32, 4
FRESH_SECONDS = 10.0
"""for which what was read serves a run that goes on; of one that has not changed in the lake, longer"""


class _Kept(Struct, Generic[T]):
    run: LakeRun | None
    read_at: float
    value: T


class _Shelf(Generic[T]):
    """The latest few."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[str, _Kept[T]] = OrderedDict()

    def get(self, run_id: str, run: LakeRun | None) -> T | None:
        kept = self._kept.get(run_id)
        if kept is None:
            return None
        is_over = run is not None and run.ending is not None and run == kept.run
        return kept.value if is_over or time.monotonic() - kept.read_at < FRESH_SECONDS else None

    def put(self, run_id: str, run: LakeRun | None, value: T) -> T:
        self._kept[run_id] = _Kept(run, time.monotonic(), value)
        self._kept.move_to_end(run_id)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return value


class Reports:
    """Whoever asks for one that is being read waits for it."""

    def __init__(self, thread: LakeThread, overview: Overview) -> None:
        self._thread = thread
        self._overview = overview
        self._reports: _Shelf[Report | None] = _Shelf(KEPT_REPORTS)
        self._pages: _Shelf[str | None] = _Shelf(KEPT_PAGES)

    async def get(self, run_id: str) -> Report | None:
        """What the lake has of a run; None where it has nothing. Raises QueryError."""
        run = self._overview.archived(run_id)
        kept = self._reports.get(run_id, run)
        if kept is not None:
            return kept
        return self._reports.put(run_id, run, await self._thread.run(partial(_read, run_id)))

    async def page(self, run_id: str) -> str | None:
        """The same as a document of its own."""
        run = self._overview.archived(run_id)
        kept = self._pages.get(run_id, run)
        if kept is not None:
            return kept
        report = await self.get(run_id)
        if report is None:
            return None
        return self._pages.put(run_id, run, await self._thread.run(lambda _: render(report)))


def _read(run_id: str, session: Session) -> Report | None:
    try:
        return read_report(session, run_id)
    except RunNotFound:
        return None
