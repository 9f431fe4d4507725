import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from producers.codec import encode
from streakline.cli.progress import diff_progress
from stream_app.engine.replay import steps
from tests.commands import COMMAND


def shown_on_a_terminal(*arguments: str | Path, stdout: int | None = None) -> str:
    """What a command shows on stderr where that is a terminal."""
    terminal, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    out = theirs if stdout is None else stdout
    subprocess.run([*COMMAND, *map(str, arguments)], stdout=out, stderr=theirs, env=environ, check=False)
    os.close(theirs)
    shown = os.read(terminal, 65_536).decode()
    os.close(terminal)
    return shown


def test_progress_is_shown_where_somebody_looks_and_not_between_the_results(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(encode(step) + b"\n" for step in steps(loss=[float("nan")])) + b"no event\n")
    bar = shown_on_a_terminal("detect", path, stdout=subprocess.DEVNULL)
    assert "detecting" in bar
    assert "run.jsonl:2: not_json: " in bar.replace("\r\n", "")
    assert "detecting" in shown_on_a_terminal("detect", path, "--output", tmp_path / "signals.jsonl")
    results = shown_on_a_terminal("detect", path)
    assert "detecting" not in results
    assert "non_finite" in results


@pytest.mark.parametrize("looks", [True, False])
def test_a_diff_shows_its_stage_where_somebody_looks(
    looks: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: looks)
    with diff_progress() as progress:
        progress("reading", 0.0)
        progress("behaviour", 0.5)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("behaviour" in shown.err, " 50%" in shown.err, shown.err == "") == (looks, looks, not looks)
