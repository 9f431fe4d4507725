import os
import pty
import subprocess
from pathlib import Path

from producers.codec import encode
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
