"""SQL that people type: what it is made of, and what is wrong with it in a sentence."""

import re
from collections.abc import Sequence

import duckdb

READING = frozenset(
    {
        duckdb.StatementType.SELECT,
        duckdb.StatementType.EXPLAIN,
        duckdb.StatementType.CREATE,
        duckdb.StatementType.DROP,
        duckdb.StatementType.INSERT,
        duckdb.StatementType.UPDATE,
        duckdb.StatementType.DELETE,
        duckdb.StatementType.ALTER,
        duckdb.StatementType.SET,
        duckdb.StatementType.MULTI,  # PIVOT, for one
    }
)
"""what at most changes the session's own tables"""
_CONTAINERS = frozenset({duckdb.StatementType.EXPLAIN, duckdb.StatementType.MULTI})
"""of other statements, which are carried out"""
_WRITES = re.compile(r"\b(copy|export)\b", re.IGNORECASE)


class QueryError(Exception):
    """The question has no answer. The message is a sentence."""


class EmptyLake(QueryError):
    """There is no table yet."""


class UnfinishedSql(QueryError):
    """It ends within a string or a comment."""


def statements(sql: str) -> Sequence[duckdb.Statement]:
    """One or more, all of which only read. Raises QueryError."""
    try:
        found = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        kind = UnfinishedSql if "unterminated" in str(error) else QueryError
        raise kind(one_line(error)) from None
    if not found:
        raise QueryError("there is no SQL in it: `SELECT * FROM runs`, for one")
    for each in found:
        found_type = _type_of(each)
        if found_type not in READING or (found_type in _CONTAINERS and _WRITES.search(each.query)):
            name = "this" if found_type is None else found_type.name
            raise QueryError(f"{name} is not done here, for the lake is only read: -o FILE keeps an answer")
    return found


def _type_of(statement: duckdb.Statement) -> duckdb.StatementType | None:
    """None for the kinds that DuckDB's module has no name for, such as UPDATE EXTENSIONS."""
    try:
        return statement.type
    except ValueError:
        return None


def one_line(error: Exception) -> str:
    r"""What DuckDB says, and the line of the SQL where that has several.

    >>> one_line(Exception("Parser Error: syntax error at\nor near \"FORM\"\n\nLINE 3: FORM x\n        ^"))
    'Parser Error: syntax error at or near "FORM" (line 3)'
    """
    said, _, shown = str(error).partition("\n\nLINE ")
    line = re.match(r"([2-9]|\d\d+):", shown)
    return " ".join(said.split()) + (f" (line {line[1]})" if line else "")


def distinct(names: Sequence[str]) -> list[str]:
    """`names`, those that come again numbered.

    >>> distinct(["a", "b", "a", "a_1"])
    ['a', 'b', 'a_2', 'a_1']
    """
    found: list[str] = []
    for name in names:
        number, other = 1, name
        while other in found or (other != name and other in names):
            other, number = f"{name}_{number}", number + 1
        found.append(other)
    return found


def quoted(text: str) -> str:
    """`text` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"
