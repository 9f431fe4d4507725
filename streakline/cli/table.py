"""Tables for people."""

import io
from collections.abc import Collection, Iterable, Sequence

from streakline.cli.output import Output, standard_output
from streakline.cli.text import printable


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[str] = ()) -> None:
    """Print `rows` under `columns`, those in `numbers` flush right. A cell is shown as it is, never obeyed."""
    with standard_output() as output:
        write_rows(output, columns, rows, numbers=numbers)


def write_rows(
    output: Output, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Collection[str] = ()
) -> None:
    """The same to `output`, which is fitted to a terminal where it is one."""
    columns = [printable(column) for column in columns]
    cells = [tuple(printable(cell) for cell in row) for row in rows]
    right = [column in numbers for column in columns]
    table = _wrapped(columns, cells, right) if output.is_terminal else _unwrapped([tuple(columns), *cells], right)
    for line in table:
        output.line(line.rstrip().encode(errors="backslashreplace"))


def _unwrapped(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> Iterable[str]:
    """A row a line, for grep and files."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        columns = zip(row, widths, right, strict=True)
        yield "  ".join(cell.rjust(width) if is_right else cell.ljust(width) for cell, width, is_right in columns)


def _wrapped(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool]) -> Iterable[str]:
    """Fitted to the terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column, is_right in zip(columns, right, strict=True):
        table.add_column(column, justify="right" if is_right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    # Rendered here and written by the caller: rich would end the process where the pipe is closed.
    page = io.StringIO()
    Console(file=page, force_terminal=True, highlight=False).print(table)
    return page.getvalue().splitlines()
