import json
import os
import pty
import signal
from pathlib import Path

import pytest

from producers.codec import MAX_EVENT_BYTES, encode
from producers.events import MAX_LAYERS, RunStarted, StepEvent
from stream_app.engine.replay import signals_of, steps
from stream_app.engine.thresholds import ThresholdPolicy, Thresholds
from tests.commands import start, streakline

DIVERGING = steps(loss=[1.0 + 0.1 * i for i in range(40)], run_id="diverging")
GOOD = b'{"run_id":"a","step":%d,"ts":1,"loss":1}'


def jsonl(events: list[StepEvent]) -> bytes:
    return b"".join(encode(event) + b"\n" for event in events)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(jsonl(DIVERGING))
    return path


def test_the_signals_are_those_of_the_engine(recording: Path) -> None:
    ended = streakline("detect", recording)
    assert (ended.code, ended.err) == (0, "")
    assert ended.lines == [encode(signal).decode() for signal in signals_of(DIVERGING)]
    assert ended.lines


def test_stdin_and_several_files_are_one_stream(tmp_path: Path) -> None:
    path = tmp_path / "first.jsonl"
    path.write_bytes(jsonl(DIVERGING[:15]))
    ended = streakline("detect", path, "-", stdin=jsonl(DIVERGING[15:]))
    assert ended.lines == [encode(signal).decode() for signal in signals_of(DIVERGING)]


def test_lifecycle_events_count(recording: Path) -> None:
    started = encode(RunStarted(run_id="diverging", ts=0.0, project="llm", early_stop=("loss_diverging",)))
    recording.write_bytes(started + b"\n" + recording.read_bytes())
    first = json.loads(streakline("detect", recording).lines[0])
    assert (first["project"], first["action"]) == ("llm", "stop")


def test_signals_go_to_a_file(recording: Path, tmp_path: Path) -> None:
    output = tmp_path / "signals.jsonl"
    ended = streakline("detect", recording, environ={"STREAKLINE_DETECT_OUTPUT": str(output)})
    assert (ended.code, ended.out) == (0, "")
    assert output.read_bytes().decode() == streakline("detect", recording).out


def test_thresholds_come_from_a_file(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_text("[default]\ncooldown_steps = 2\n")
    policy = ThresholdPolicy(default=Thresholds(cooldown_steps=2))
    ended = streakline("detect", recording, "--thresholds", path)
    assert ended.lines == [encode(signal).decode() for signal in signals_of(DIVERGING, policy)]


def test_malformed_lines_are_told_of_and_the_others_are_judged(recording: Path) -> None:
    lines = recording.read_bytes().splitlines()
    lines[5:5] = [b"", b"{", b" \r", b'{"run_id":"a b","step":1,"ts":1,"loss":1}', b'\xff{"type":"x"}', b"[" * 2000]
    recording.write_bytes(b"\n".join(lines))
    ended = streakline("detect", recording)
    assert ended.code == 1
    assert ended.lines == [encode(signal).decode() for signal in signals_of(DIVERGING)]
    told = ended.err.splitlines()
    assert [line.split(": ")[:2] for line in told[:-1]] == [
        [f"{recording}:7", "not_json"],
        [f"{recording}:9", "invalid"],
        [f"{recording}:10", "not_json"],
        [f"{recording}:11", "invalid"],
    ]
    assert told[-1] == (
        "streakline: skipped 4 of 44 lines, which hold no event (above): "
        "`streakline schema` says what an event is; all other lines were processed"
    )


def test_twenty_malformed_lines_are_shown(tmp_path: Path) -> None:
    ended = streakline("detect", "-", stdin=b"nonsense\n" * 30 + GOOD % 1)
    told = ended.err.splitlines()
    assert (ended.code, len(told)) == (1, 21)
    assert told[0].startswith("<stdin>:1: not_json: ")
    assert told[-1].startswith("streakline: skipped 30 of 31 lines, which hold no event (the first 20 are above)")


def test_a_line_that_is_too_large_is_skipped(recording: Path) -> None:
    padding = b" " * MAX_EVENT_BYTES
    recording.write_bytes(GOOD % 1 + padding + b"\n" + recording.read_bytes())
    ended = streakline("detect", recording)
    size = len(GOOD % 1) + MAX_EVENT_BYTES
    assert ended.err.startswith(f"{recording}:1: too_large: {size:,} bytes; at most 1,048,576 are read\n")
    assert (ended.code, len(ended.lines)) == (1, len(list(signals_of(DIVERGING))))


def test_the_largest_event_is_read(recording: Path) -> None:
    recording.write_bytes((GOOD % 1).ljust(MAX_EVENT_BYTES) + b"\n")
    assert streakline("detect", recording).code == 0


def test_more_dead_layers_than_a_run_may_have_is_a_malformed_line(tmp_path: Path) -> None:
    layers = [f"layer.{i}" for i in range(MAX_LAYERS)]
    dead = [StepEvent(run_id="a", step=0, ts=0.0, loss=1.0, grad_norms=dict.fromkeys(layers, 0.0))]
    dead.append(StepEvent(run_id="a", step=1, ts=0.0, loss=1.0, grad_norms={"one more": 0.0}))
    ended = streakline("detect", "-", stdin=jsonl(dead))
    assert ended.code == 1
    assert ended.err.startswith("<stdin>:2: 16,385 dead layers")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["detect", "/no/such.jsonl"], 1, "cannot read /no/such.jsonl: No such file or directory"),
        (["detect", "/dev"], 1, "/dev is a folder: name the files in it"),
        (["detect"], 2, "Missing argument 'FILE...': see `streakline detect --help`"),
        (["detect", "-", "--output", "/no/where"], 1, "cannot write /no/where (No such file or directory)"),
        (["detect", "-", "--thresholds", "/no/such.toml"], 1, "cannot read the thresholds in /no/such.toml: No such"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], code: int, sentence: str) -> None:
    ended = streakline(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith(f"streakline: {sentence}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("toml", ["[default", "[default]\ncooldown = 3\n", "[default]\nloss_window = 3\n", "\xff"])
def test_thresholds_that_are_none_are_one_sentence(tmp_path: Path, toml: str) -> None:
    path = tmp_path / "thresholds.toml"
    path.write_bytes(toml.encode("latin-1"))
    ended = streakline("detect", "-", "--thresholds", path)
    assert ended.code == 1
    assert ended.err.startswith(f"streakline: these are no thresholds: {path}: ")
    assert ended.err.count("\n") == 1


def test_an_input_is_never_written_over(recording: Path) -> None:
    before = recording.read_bytes()
    ended = streakline("detect", recording, "--output", recording)
    assert ended.code == 2
    assert "this is one of the files to read" in ended.err
    assert recording.read_bytes() == before


def test_a_full_disk_is_one_sentence(recording: Path) -> None:
    ended = streakline("detect", recording, "--output", "/dev/full")
    assert ended.code == 1
    assert ended.err == (
        "streakline: cannot write /dev/full (No space left on device): make room, or choose another place\n"
    )


def test_a_closed_pipe_ends_it_quietly(recording: Path) -> None:
    recording.write_bytes(jsonl([step for i in range(300) for step in steps(loss=[float("nan")], run_id=f"run-{i}")]))
    process = start("detect", recording)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert (process.stderr.read(), process.wait()) == (b"", 141)
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()


def test_signals_come_before_the_input_ends_and_ctrl_c_is_quiet() -> None:
    with start("detect", "-") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(jsonl(steps(loss=[float("nan")])))
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["type"] == "non_finite"
        process.send_signal(signal.SIGINT)
        assert (process.wait(), process.stdout.read(), process.stderr.read()) == (130, b"", b"")


def test_a_terminal_is_not_told_what_to_do(recording: Path) -> None:
    hostile = [{"a\x9b2J\u202eb": 0.0} for _ in range(5)]
    recording.write_bytes(jsonl(steps(grad_norms=hostile)))
    terminal, theirs = pty.openpty()
    process = start("detect", recording, "--output", os.ttyname(theirs))
    process.communicate()
    shown = os.read(terminal, 65_536)
    os.close(terminal)
    os.close(theirs)
    assert rb"a\u009b2J\u202eb" in shown
    assert "\u202e".encode() not in shown
