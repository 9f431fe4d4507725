"""The lake, asked from a thread of its own: DuckDB would stop the event loop for as long as a question takes."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from workers.lake.archive_tables import ARCHIVE_TABLES
from workers.lake.paths import locate_local
from workers.lake.session import Session
from workers.lake.statements import QueryError
from workers.lake.tables import TABLES

T = TypeVar("T")

SESSION_SECONDS = 600.0
"""after which DuckDB lets go of what it keeps of files, some of which are merged and gone by then"""
_LOOK_SECONDS = 5.0


class LakeThread:
    """One thread with one session, made when first asked, and anew when there are tables that it does not know.

    A view lists its files whenever it is asked, so that new files need no new session; new tables do.
    """

    def __init__(self, root: str, name: str) -> None:
        """Raises ValueError where `root` is not a local folder."""
        self._root = root
        self._folder = Path(locate_local(root, "asked").base)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._session: Session | None = None
        self._tables: frozenset[str] = frozenset()
        self._made = self._looked = 0.0
        self._is_closed = False

    async def run(self, work: Callable[[Session], T]) -> T:
        """What `work` gives, which must have taken all it wants from the session.

        Raises QueryError where there is nothing to ask, or the lake cannot be read; whatever `work` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    async def close(self) -> None:
        """Drop the question under way, and let go of everything."""
        self._is_closed = True
        dropped = asyncio.get_running_loop().run_in_executor(self._thread, self._drop)
        while not dropped.done():
            # Work may be between two questions, and ask another.
            if (session := self._session) is not None:
                session.interrupt()
            await asyncio.wait({dropped}, timeout=0.05)
        self._thread.shutdown()

    def _work(self, work: Callable[[Session], T]) -> T:
        try:
            return work(self._current())
        except QueryError:
            # Whatever was wrong with it is not wrong with the next one.
            self._drop()
            raise

    def _current(self) -> Session:
        if self._is_closed:
            raise QueryError("the dashboard is stopping")
        now = time.monotonic()
        if self._session is not None and (now - self._made > SESSION_SECONDS or self._has_new_tables(now)):
            self._drop()
        if self._session is None:
            try:
                self._session = Session(self._root)
            except OSError as error:
                raise QueryError(f"the lake {self._root} cannot be read ({error}): see to its disk") from None
            self._tables = frozenset(self._session.tables())
            self._made = self._looked = now
        return self._session

    def _has_new_tables(self, now: float) -> bool:
        """Whether there are folders of tables that the session knows nothing of; looked at now and then."""
        if now - self._looked < _LOOK_SECONDS:
            return False
        self._looked = now
        missing = {*TABLES, *ARCHIVE_TABLES} - self._tables
        return any((self._folder / table).is_dir() for table in missing)

    def _drop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
