"""Arrow schemas of the lake's tables, read off the row structs, and the way from rows to columns and back."""

from collections.abc import Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import pyarrow as pa
from msgspec import Struct

from workers.lake.archive_tables import ARCHIVE_TABLES, Archived
from workers.lake.tables import TABLES, Common

Row = TypeVar("Row", bound=Struct)

CREATED_AT = "created_at"
TIMESTAMP = pa.timestamp("us", tz="UTC")
SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _arrow_type(hint: object) -> pa.DataType:
    """Arrow's type of a struct's field, None left out. Raises TypeError for what no column holds."""
    if get_origin(hint) is Literal:
        (kind,) = {type(value) for value in get_args(hint)}
        return SCALARS[kind]
    if get_origin(hint) is Annotated:
        return _arrow_type(get_args(hint)[0])
    if get_origin(hint) is tuple:
        element, *_ = get_args(hint)
        return pa.list_(_arrow_type(element))
    if get_origin(hint) is dict:
        key, value = get_args(hint)
        return pa.map_(_arrow_type(key), _field("value", value))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return pa.struct(list(row_schema(hint)))
    if isinstance(hint, type) and hint in SCALARS:
        return SCALARS[hint]
    raise TypeError(
        f"No column holds a {hint}; use one of str, int, float, bool, a Literal, or a tuple, dict or struct of them."
    )


def _field(name: str, hint: object) -> pa.Field:
    if get_origin(hint) in {Union, UnionType}:
        (some,) = (arm for arm in get_args(hint) if arm is not NoneType)
        return pa.field(name, _arrow_type(some), nullable=True)
    return pa.field(name, _arrow_type(hint), nullable=False)


@cache
def row_schema(kind: type[Struct]) -> pa.Schema:
    """One column for each field of `kind`, in its order.

    >>> from workers.lake.tables import CalibrationBinRow
    >>> row_schema(CalibrationBinRow).field("accuracy")
    pyarrow.Field<accuracy: double>
    """
    return pa.schema([_field(name, hint) for name, hint in get_type_hints(kind).items()])


COMMON = pa.schema(
    [
        pa.field(CREATED_AT, TIMESTAMP, nullable=False) if field.name == CREATED_AT else field
        for field in row_schema(Common)
    ]
)
"""what every table begins with"""

SCHEMAS: dict[str, pa.Schema] = {table: pa.schema([*COMMON, *row_schema(kind)]) for table, kind in TABLES.items()}
"""name of a table → schema of its files"""

PUBLISHED_AT = "published_at"
ARCHIVED = pa.schema(
    [
        pa.field(PUBLISHED_AT, pa.timestamp("ms", tz="UTC")) if field.name == PUBLISHED_AT else field
        for field in row_schema(Archived)
    ]
)
"""what every table of the archive begins with"""

ARCHIVE_SCHEMAS: dict[str, pa.Schema] = {
    table: pa.schema([*ARCHIVED, *row_schema(kind)]) for table, kind in ARCHIVE_TABLES.items()
}
"""the same for those"""


def rows_to_table(rows: Sequence[Struct], kind: type[Struct]) -> pa.Table:
    """`rows`, all of `kind`, as columns; without the common ones."""
    schema = row_schema(kind)
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def table_to_rows(table: pa.Table, kind: type[Row]) -> list[Row]:
    """The rows that `rows_to_table` was given; other columns of `table`, such as the common ones, are left out.

    Raises KeyError for a missing column, and `msgspec.ValidationError` for a value that its field does not allow.
    """
    return msgspec.convert(table.select(row_schema(kind).names).to_pylist(), list[kind])  # type: ignore[valid-type]


def with_common(data: pa.Table, table: str, common: Common) -> pa.Table:
    """`data`, rows of `table`, as its files hold them: the common columns first.

    Raises ValueError where a column of the table is missing or cannot hold what it should.
    """
    kind = TABLES[table]
    schema = row_schema(kind)
    if missing := set(schema.names) - set(data.column_names):
        raise ValueError(
            f"The rows for {table} lack {', '.join(sorted(missing))}; fill every column of {kind.__name__}."
        )
    values = {field.name: getattr(common, field.name) for field in COMMON}
    values[CREATED_AT] = round(common.created_at * 1_000_000)
    shared = [pa.repeat(pa.scalar(values[field.name], field.type), data.num_rows) for field in COMMON]
    own = data.select(schema.names).cast(schema).columns
    return pa.Table.from_arrays([*shared, *own], schema=SCHEMAS[table])
