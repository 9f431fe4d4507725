"""Keeps the overview as the lake is, reading it now and then."""

import asyncio
import time

from streakline.dashboard.lake_runs import lake_runs
from streakline.dashboard.lake_thread import LakeThread
from streakline.dashboard.overview import Overview, SourceState
from workers.lake.statements import EmptyLake, QueryError

PAUSE_SECONDS = 10.0
_SHARE = 0.05
"""of the time, at most, goes into reading"""


class LakeReader:
    """Has a thread of its own, so that whoever opens a page does not wait for the list."""

    def __init__(self, thread: LakeThread, overview: Overview) -> None:
        self._thread = thread
        self._overview = overview

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            started = time.monotonic()
            await self.read()
            await asyncio.sleep(max(PAUSE_SECONDS, (time.monotonic() - started) / _SHARE))

    async def read(self) -> None:
        """Look once; where the lake cannot be read, what was read last stays."""
        try:
            found = await self._thread.run(lake_runs)
        except EmptyLake as error:
            self._overview.show_lake({}, SourceState(state="empty", detail=f"{error}."))
        except QueryError as error:
            self._overview.show_lake_state(SourceState(state="away", detail=f"{error}."))
        else:
            state = SourceState(state="ok" if found.runs else "empty", malformed=found.malformed)
            self._overview.show_lake(found.runs, state)
