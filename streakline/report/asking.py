"""The lake asked for typed rows: tables that are not there have none, and what is no number is left out."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from workers.lake.schemas import row_schema, table_to_rows
from workers.lake.session import Session
from workers.lake.statements import QueryError
from workers.lake.views import Within

Row = TypeVar("Row", bound=Struct)


class RunNotFound(QueryError):
    """The lake has nothing of the run. The message says what would put it there."""


class Asked:
    """A session with the lake, asked several questions."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tables = frozenset(session.tables())
        self.left_out = 0
        """rows that were, so far"""

    def narrow(self, within: Within, tables: Iterable[str]) -> None:
        """As `Session.narrow`."""
        self._session.narrow(within, tables)
        self._tables = frozenset(self._session.tables())

    def has(self, table: str) -> bool:
        """Whether there is such a table yet."""
        return table in self._tables

    def table(self, sql: str) -> pa.Table:
        """The whole answer. Raises QueryError."""
        return pa.concat_tables(self._session.ask_arrow(sql)).combine_chunks()

    def column(self, sql: str) -> list[Any]:
        """The first column of the answer. Raises QueryError."""
        return list(self.table(sql).column(0).to_pylist())

    def rows(self, table: str, kind: type[Row], rest: str) -> tuple[Row, ...]:
        """The rows of `table`, `rest` being the SQL behind its name; none where there is no such table.

        Rows in which a figure that must be there is not finite are left out; of the others it is None. Raises
        QueryError, also for what the row's fields do not allow.
        """
        if not self.has(table):
            return ()
        names = ", ".join(row_schema(kind).names)
        return self.typed(self.table(f"SELECT {names} FROM {table} {rest}"), kind)

    def typed(self, found: pa.Table, kind: type[Row]) -> tuple[Row, ...]:
        """The same of an answer that has the columns of `kind`."""
        finite = _finite(found, kind)
        self.left_out += found.num_rows - finite.num_rows
        try:
            return tuple(table_to_rows(finite, kind))
        except msgspec.ValidationError as error:
            raise QueryError(
                f"the lake holds something that this version does not know ({error}): a newer one may have written it"
            ) from None


def _finite(table: pa.Table, kind: type[Struct]) -> pa.Table:
    """Without the rows that lack a finite number, and with null for those that need not be there."""
    wanted: pa.Array = pa.repeat(pa.scalar(True), table.num_rows)
    for field in row_schema(kind):
        if not pa.types.is_floating(field.type):
            continue
        values = table[field.name].cast(field.type)
        is_finite = pc.fill_null(pc.is_finite(values), False)
        if field.nullable:
            at = table.schema.get_field_index(field.name)
            table = table.set_column(at, field.name, pc.if_else(is_finite, values, pa.scalar(None, field.type)))
        else:
            wanted = pc.and_(wanted, is_finite)
    return table.filter(wanted)
