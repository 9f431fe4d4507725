import os
import pty
import subprocess
import sys

import pytest

from streakline.cli.table import print_table

HOSTILE = "x\x1b]0;owned\x07[red]y[/red]\u202e\n"
PROGRAM = (
    f"from streakline.cli.table import print_table; print_table(['run', 'message'], [[{HOSTILE!r}, 'word ' * 40]])"
)


def test_a_row_is_a_line_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["run", "step", "message"], [["a", "3", "long " * 100], ["layer/b", "12", HOSTILE]], numbers=["step"])
    header, first, second = capsys.readouterr().out.splitlines()
    assert header == "run      step  message"
    assert first == "a           3  " + ("long " * 100).rstrip()
    assert second == r"layer/b    12  x\x1b]0;owned\x07[red]y[/red]\u202e\n"


def test_a_terminal_gets_a_table_that_fits_and_obeys_nothing() -> None:
    terminal, theirs = pty.openpty()
    environ = {**os.environ, "COLUMNS": "70", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", PROGRAM], stdout=theirs, env=environ, check=True)
    os.close(theirs)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    assert r"x\x1b]0;owned\x07[red]y[/red]" in shown
    assert "\x1b]" not in shown
    assert "\u202e" not in shown
    assert max(len(line) for line in shown.splitlines() if "\x1b" not in line) <= 70
