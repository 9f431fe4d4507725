"""Asks the lake in SQL: DuckDB in memory, with a view of each table; it reads the lake and touches nothing else.

Extensions are neither fetched nor loaded, files outside the lake are not opened, and what would write one is refused.
Tables, views, macros and variables can be made: they live as long as the session.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
from msgspec import Struct

from workers.lake.paths import Location, locate_local
from workers.lake.statements import EmptyLake, QueryError, distinct, one_line, quoted, statements
from workers.lake.views import Within, narrow_views, pattern_of, run_tables, views

T = TypeVar("T")

BATCH_ROWS = 10_000
"""that are fetched at once"""
MEMORY = "4GiB"
"""what does not fit goes to a temporary folder: trainers may be at work on the machine"""
NUMBERS = frozenset(
    "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT FLOAT DOUBLE DECIMAL".split()
)
_MAY_PASS = (duckdb.IOException, duckdb.InvalidInputException)
"""what comes of a file that is merged, cleared away or written anew while it is read, among others"""


class Column(Struct, frozen=True):
    """One column of an answer."""

    name: str
    """different for each"""
    is_number: bool


class Answer(Struct, frozen=True):
    """What came of a question. Rows are fetched as they are taken, until the next question is asked."""

    columns: tuple[Column, ...]
    rows: Iterator[tuple[Any, ...]]
    """raises QueryError"""


class Session:
    """One at a time is asked by one thread. Use it as a context manager.

    It may live long: each question sees all files that there are when it is asked, of the tables that had files when
    the session was opened. What of tables that came since is seen after `refresh`, as are rows of diffs where there was
    no `runs`, of which none counted.

    Of a session for one run, the archive's tables have the rows of that run as they were when it was opened, each read
    once; of diffs there is `runs`, and what `narrow` was asked for.
    """

    root: str
    """of the lake that is asked"""

    def __init__(self, root: str, *, run_id: str | None = None) -> None:
        """Raises EmptyLake where there is nothing to ask, QueryError, ValueError where `root` is not local, OSError."""
        location = locate_local(root, "asked")
        self.root = root
        # Views open every file that they show as they are made: not before they are wanted.
        self._pending = views(root) if run_id is None else ""
        if run_id is None and not self._pending:
            raise EmptyLake(
                f"the lake {root} has no table yet: `streakline diff`, diff workers and `streakline archive` write "
                "them; --lake or STREAKLINE_LAKE says where it is"
            )
        self._temporary = tempfile.TemporaryDirectory(prefix="streakline-query-")
        self._pool = ThreadPoolExecutor(1)
        self._connection = duckdb.connect()
        self._reader: pa.RecordBatchReader | None = None
        try:
            self._prepare(location)
            if run_id is not None and (sql := run_tables(root, run_id)):
                self.ask(sql)
        except QueryError as error:
            self.close()
            raise QueryError(f"the lake {root} cannot be read: {error}") from None

    def _prepare(self, location: Location) -> None:
        for name in ("autoinstall_known_extensions", "autoload_known_extensions", "allow_community_extensions"):
            self._connection.execute(f"SET {name} = false")
        self._connection.execute(f"SET memory_limit = '{MEMORY}'")
        self._connection.execute(f"SET temp_directory = {quoted(self._temporary.name)}")
        self._connection.execute("SET TimeZone = 'UTC'")
        # As it is, and as the views spell it.
        allowed = ", ".join(map(quoted, (location.url, pattern_of(location.url))))
        self._connection.execute(f"SET allowed_directories = [{allowed}]")
        self._connection.execute("SET enable_external_access = false")
        self._connection.execute("SET lock_configuration = true")

    def narrow(self, within: Within, tables: Iterable[str]) -> None:
        """See `tables` and `runs` as far as they have what is `within`, and read no files besides. Raises QueryError.

        Views of the same names are replaced, but for those of tables that have no such file.
        """
        if sql := narrow_views(self.root, within, tables):
            self.ask(sql)

    def refresh(self) -> None:
        """See the tables that have come since. What was made in the session stays; costs a listing of the lake.

        What is left of the last answer is dropped. Raises QueryError, where a table that was made has the name of one
        that came too, and OSError.
        """
        sql = views(self.root)
        if sql:
            self.ask(sql)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._pool.shutdown()
        self._connection.close()
        self._temporary.cleanup()

    def interrupt(self) -> None:
        """Drop the question under way, which ends with a QueryError; any thread may, also once it is closed."""
        with contextlib.suppress(duckdb.ConnectionException):
            self._connection.interrupt()

    def ask(self, sql: str) -> Answer:
        """The answer to the last statement of `sql`, once those before it were carried out.

        Raises QueryError, and KeyboardInterrupt once the question has been dropped.
        """
        last = self._last(statements(sql))
        first = self._retried(lambda: self._connection.execute(last).fetchmany(BATCH_ROWS))
        kinds = [(name, str(kind).partition("(")[0]) for name, kind, *_ in self._connection.description or ()]
        names = distinct([name for name, _ in kinds])
        columns = tuple(Column(name, kind in NUMBERS) for name, (_, kind) in zip(names, kinds, strict=True))
        return Answer(columns, self._rest(first))

    def ask_arrow(self, sql: str) -> Iterator[pa.Table]:
        """The same as `ask` in pieces of a table, the first of which may be empty; of a question, no command."""
        found = statements(sql)
        if found[-1].type != duckdb.StatementType.SELECT:
            raise QueryError("only the answer to a SELECT can be had as Parquet: leave out --format, or ask for one")
        return self._batches(self._last(found))

    def tables(self) -> list[str]:
        """The names of all tables and views."""
        return [row[0] for row in self.ask("SELECT name FROM (SHOW TABLES) ORDER BY name").rows]

    def _last(self, found: Sequence[duckdb.Statement]) -> duckdb.Statement:
        """The last of them; those before it are carried out, and what is left of the answer before is dropped."""
        self._connection.abort()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._pending:
            pending = self._pending
            try:
                self._retried(lambda: self._connection.execute(pending))
            except QueryError as error:
                raise QueryError(f"the lake {self.root} cannot be read: {error}") from None
            self._pending = ""
        for statement in found[:-1]:
            self._retried(partial(self._carry_out, statement))
        return found[-1]

    def _carry_out(self, statement: duckdb.Statement) -> None:
        self._connection.execute(statement)
        self._connection.complete()

    def _rest(self, rows: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        while rows:
            yield from rows
            rows = self._told(lambda: self._connection.fetchmany(BATCH_ROWS))

    def _batches(self, statement: duckdb.Statement) -> Iterator[pa.Table]:
        def begin() -> tuple[pa.RecordBatchReader, pa.Table]:
            reader = self._connection.sql(statement).to_arrow_reader(BATCH_ROWS)
            return reader, pa.Table.from_batches([*_next_of(reader)], reader.schema)

        reader, table = self._retried(begin)
        self._reader = reader
        names = distinct(reader.schema.names)
        yield table.rename_columns(names)
        while batches := self._told(lambda: _next_of(reader)):
            yield pa.Table.from_batches(batches).rename_columns(names)

    def _retried(self, work: Callable[[], T]) -> T:
        """`work`, once more where it failed for what may have passed. Raises QueryError."""
        try:
            return self._interruptible(work)
        except _MAY_PASS:
            return self._told(work)
        except duckdb.Error as error:
            raise self._error(error) from None

    def _told(self, work: Callable[[], T]) -> T:
        """`work`; raises QueryError."""
        try:
            return self._interruptible(work)
        except duckdb.Error as error:
            raise self._error(error) from None

    def _interruptible(self, work: Callable[[], T]) -> T:
        """DuckDB does not hear Ctrl-C, so it works in another thread."""
        doing = self._pool.submit(work)
        try:
            return doing.result()
        except KeyboardInterrupt:
            self._connection.interrupt()
            doing.exception()
            raise

    def _error(self, error: duckdb.Error) -> QueryError:
        said = one_line(error)
        if isinstance(error, duckdb.CatalogException) and "Table with name" in said:
            said = f"{said.partition('!')[0]}: there are {', '.join(self.tables())}"
        if isinstance(error, duckdb.IOException):
            said = f"{said}: run it again, files may have been merged meanwhile"
        return QueryError(said)


def _next_of(reader: pa.RecordBatchReader) -> list[pa.RecordBatch]:
    try:
        return [reader.read_next_batch()]
    except StopIteration:
        return []
    except OSError as error:
        # Whatever goes wrong in DuckDB comes through Arrow as that.
        raise (duckdb.IOException if str(error).startswith("IO Error") else duckdb.Error)(str(error)) from None
