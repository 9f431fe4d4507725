"""`streakline shell`, through a pipe and at a terminal."""

import os
import pty
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.asked_lake import write_asked_lake
from tests.commands import COMMAND, Ended, streakline


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lake")
    write_asked_lake(root)
    return root


def shell(lake: Path, typed: str, *options: str) -> Ended:
    return streakline("shell", "--lake", lake, *options, stdin=typed.encode())


def test_one_question_after_another(lake: Path) -> None:
    ended = shell(lake, "SELECT 1 AS a;\n\nSELECT\n  2 AS b\n;\nSELECT ';\n' AS c;\nSELECT 3 AS d")
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines == ["a", "1", "b", "2", "c", r";\n", "d", "3"]


def test_what_is_made_is_there_for_the_next(lake: Path) -> None:
    typed = "CREATE VIEW mine AS SELECT run_id FROM runs WHERE project = 'search';\nFROM mine;\n"
    assert shell(lake, typed).lines[-2:] == ["run_id", "other-2"]


def test_commands_with_a_dot(lake: Path) -> None:
    tables = shell(lake, ".tables\n").lines
    assert {"runs", "model_diff", "steps", "signals", "run_events"} <= set(tables)
    assert shell(lake, ".schema regressions;\n").lines[-1].split() == ["significant", "BOOLEAN"]
    assert ".schema T the columns of T" in shell(lake, ".help\n").out
    assert shell(lake, ".quit\nFROM nope;\n") == Ended(0, "", "")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("FROM nope;\nSELECT 1;\n", "streakline: Catalog Error: Table with name nope does not exist: there are"),
        (".nope\n", "streakline: '.nope' is no command here: .help tells which there are"),
        (".schema\n", "streakline: '.schema' is no command here"),
        (".schema nope\n", "streakline: Catalog Error: Table with name nope does not exist"),
        ("SELECT 'a", "streakline: Parser Error: unterminated string literal"),
    ],
)
def test_in_a_pipe_the_first_mistake_ends_it(lake: Path, typed: str, said: str) -> None:
    ended = shell(lake, typed)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(said)


def test_rows_are_cut_as_a_query_cuts_them(lake: Path) -> None:
    ended = shell(lake, "FROM range(9);\n", "--rows", "3")
    assert len(ended.lines) == 4
    assert ended.err.startswith("the first 3 rows")


def test_at_a_terminal_a_mistake_is_told_of_and_what_was_typed_is_remembered(lake: Path, tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*COMMAND, "shell", "--lake", str(lake)], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    try:
        _converse(mine, process)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(mine)
    assert "SELECT 7 AS seven;" in (tmp_path / "streakline" / "shell_history").read_text()


def _converse(mine: int, process: subprocess.Popen[bytes]) -> None:
    shown = _until(mine, b"lake> ")
    assert b"run_events, runs" in shown
    for typed, answer in (
        (b"FROM nope;\n", b"does not exist"),
        (b"SELECT 41 +\n", b"... "),
        (b"1 AS sum;\n", b"42"),
        (b".nope\n", b"is no command here"),
        (b"SELECT nothing\n", b"... "),
    ):
        os.write(mine, typed)
        shown = _until(mine, answer)
        if answer != b"... ":
            _until(mine, b"lake> ", shown.rpartition(answer)[2])
    process.send_signal(signal.SIGINT)
    # One that comes just before the prompt waits for a key is noticed with that key.
    os.write(mine, b"\n")
    shown = _until(mine, b"lake> ")
    while more := _read(mine, 1.0):
        shown += more
    assert shown.endswith(b"lake> ")
    os.write(mine, b"SELECT 7 AS seven;\n")
    shown = _until(mine, b"\n    7")
    _until(mine, b"lake> ", shown.rpartition(b"    7")[2])
    os.write(mine, b"\x04")


def _until(terminal: int, expected: bytes, shown: bytes = b"") -> bytes:
    deadline = time.monotonic() + 30
    while expected not in shown:
        assert time.monotonic() < deadline, shown
        shown += _read(terminal, 1.0)
    return shown


def _read(terminal: int, seconds: float) -> bytes:
    """What is there within that time."""
    ready, _, _ = select.select([terminal], [], [], seconds)
    return os.read(terminal, 4096) if ready else b""
