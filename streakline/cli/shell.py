"""`streakline shell`: one question to the lake after another."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from streakline.cli.errors import bad_input
from streakline.cli.options import Lake
from streakline.cli.query import MaxRows, open_session

if TYPE_CHECKING:
    from workers.lake.session import Session

_PROMPT, _MORE = "lake> ", "  ... "
_HELP = """\
SQL       ends with ; and may have several lines; tables, views and macros that you make last as long as the shell
.tables   what there is to ask
.schema T the columns of T
.quit     Ctrl-D does the same"""


def shell(*, lake: Lake = None, rows: MaxRows = 100) -> None:
    """Ask the lake in SQL, again and again: as `query`, at a prompt with a history.

    SQL may also come through a pipe; then the first mistake ends it.
    """
    with open_session(lake) as session:
        if sys.stdin.isatty():
            _converse(session, rows)
        else:
            for text in _statements(iter(sys.stdin.readline, "")):
                if text == ".quit":
                    break
                _answer(session, text, rows)


def _converse(session: "Session", rows: int) -> None:
    """At a terminal: a mistake is told of, and the next question may come."""
    from streakline.cli.errors import CommandError
    from streakline.cli.output import note, say
    from streakline.cli.text import printable
    from workers.lake.statements import QueryError

    say(f"{', '.join(session.tables())}; .help says more")
    with _history():
        while True:
            try:
                text = next(_statements(_typed()), ".quit")
                if text == ".quit":
                    return
                _answer(session, text, rows)
            except KeyboardInterrupt:
                say("")
            except (QueryError, CommandError) as error:
                note(printable(str(error)))


def _answer(session: "Session", text: str, rows: int) -> None:
    from streakline.cli.answers import write_table
    from streakline.cli.output import say, standard_output
    from workers.lake.statements import quoted

    if text.startswith("."):
        command, _, table = text.partition(" ")
        if command == ".help":
            say(_HELP)
            return
        columns = f"column_name AS column, column_type AS type FROM (DESCRIBE {_identifier(table)})"
        questions = {".tables": "SHOW TABLES", ".schema": f"SELECT {columns}"}
        if command not in questions or (command == ".schema" and not table):
            raise bad_input(f"{quoted(text)} is no command here: .help tells which there are")
        text = questions[command]
    answer = session.ask(text)
    with standard_output() as output:
        write_table(answer, output, rows)


def _identifier(name: str) -> str:
    return '"' + name.strip().strip('";').replace('"', '""') + '"'


def _statements(lines: Iterator[str]) -> Iterator[str]:
    """Each command with a dot, and the SQL up to each line that ends with ``;`` outside of strings, or to the end."""
    begun = ""
    for line in lines:
        if not begun and line.startswith("."):
            yield line.strip()
            continue
        begun += line
        if begun.rstrip().endswith(";") and not _is_unfinished(begun):
            yield begun
            begun = ""
        elif not begun.strip():
            begun = ""
    if begun.strip():
        yield begun


def _is_unfinished(sql: str) -> bool:
    from workers.lake.statements import QueryError, UnfinishedSql, statements

    try:
        statements(sql)
    except UnfinishedSql:
        return True
    except QueryError:
        return False
    return False


def _typed() -> Iterator[str]:
    prompt = _PROMPT
    while True:
        try:
            yield input(prompt) + "\n"
        except EOFError:
            return
        prompt = _MORE


@contextlib.contextmanager
def _history() -> Iterator[None]:
    """What was typed is remembered, in ``$XDG_STATE_HOME/streakline``; that it cannot be is no failure."""
    try:
        import readline
    except ImportError:
        yield
        return
    state = os.environ.get("XDG_STATE_HOME")
    path = (Path(state) if state else Path.home() / ".local" / "state") / "streakline" / "shell_history"
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            readline.set_history_length(1000)
            readline.write_history_file(path)
