"""The rows of all runs, and which of them changed since a reader last looked: nobody's changes are queued for him."""

import secrets
from collections.abc import Iterator, Mapping

from msgspec import Struct

from streakline.dashboard.rows import Row


class Changes(Struct, frozen=True, kw_only=True):
    """What a reader has to take over to know all there is."""

    cursor: str
    """where it stands then"""
    is_whole: bool
    """these are all rows there are"""
    rows: tuple[Row, ...]


class RunTable:
    """Rows by run, each with the version of the table in which it last changed."""

    def __init__(self) -> None:
        # Cursors of another process are of another table.
        self._epoch = secrets.token_hex(4)
        self._version = 0
        self._shrunk_at = 0
        # Those that changed last are at the end.
        self._rows: dict[str, tuple[int, Row]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return (row for _, row in self._rows.values())

    def get(self, run_id: str) -> Row | None:
        """The row of a run."""
        found = self._rows.get(run_id)
        return None if found is None else found[1]

    @property
    def cursor(self) -> str:
        """Where a reader stands that knows all."""
        return f"{self._epoch}.{self._version}"

    def put(self, rows: Mapping[str, Row | None]) -> bool:
        """Take over the rows that differ, and drop those that are None; gives whether anything changed."""
        changed = {run_id: row for run_id, row in rows.items() if self.get(run_id) != row}
        if not changed:
            return False
        self._version += 1
        for run_id, row in changed.items():
            self._rows.pop(run_id, None)
            if row is None:
                self._shrunk_at = self._version
            else:
                self._rows[run_id] = (self._version, row)
        return True

    def since(self, cursor: str | None) -> Changes:
        """What changed since `cursor`; everything, where that is none of this table's or rows have gone since."""
        after = self._seen(cursor)
        if after is None:
            rows = [row for _, row in self._rows.values()]
        else:
            rows = []
            for version, row in reversed(self._rows.values()):
                if version <= after:
                    break
                rows.append(row)
        return Changes(cursor=self.cursor, is_whole=after is None, rows=tuple(rows))

    def _seen(self, cursor: str | None) -> int | None:
        epoch, _, version = (cursor or "").partition(".")
        if epoch != self._epoch or not (version.isascii() and version.isdecimal()):
            return None
        return int(version) if self._shrunk_at <= int(version) <= self._version else None
