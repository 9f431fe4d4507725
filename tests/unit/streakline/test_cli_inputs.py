"""Recordings of other tools, given to the commands that read events."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from producers.codec import encode
from stream_app.engine.replay import signals_of, steps
from tests.commands import streakline

LOSSES = [1.0 + 0.1 * step for step in range(40)]
# The same steps as the engine is fed in its own tests; times are the recording's.
EXPECTED = [
    (signal.type, signal.step, signal.value) for signal in signals_of(steps(loss=LOSSES, max_grad=[1.0] * len(LOSSES)))
]


def write_state(folder: Path) -> Path:
    rows = [{"loss": loss, "grad_norm": 1.0, "step": step} for step, loss in enumerate(LOSSES)]
    path = folder / "trainer_state.json"
    path.write_text(json.dumps({"epoch": 1.0, "log_history": rows}, indent=2))
    return path


def write_table(folder: Path) -> Path:
    path = folder / "run.csv"
    path.write_text("step,loss,grad_norm\n" + "".join(f"{step},{loss},1\n" for step, loss in enumerate(LOSSES)))
    return path


def write_event_files(folder: Path) -> Path:
    with SummaryWriter(str(folder / "run")) as writer:
        for step, loss in enumerate(LOSSES):
            writer.add_scalar("train/loss", loss, step)
            writer.add_scalar("train/grad_norm", 1.0, step)
    return folder / "run"


def fired(out: str) -> list[tuple[str, int, float]]:
    signals = [json.loads(line) for line in out.splitlines()]
    return [(signal["type"], signal["step"], signal["value"]) for signal in signals]


@pytest.mark.parametrize("write", [write_state, write_table, write_event_files])
def test_the_signals_are_those_of_the_steps_in_it(tmp_path: Path, write: Callable[[Path], Path]) -> None:
    ended = streakline("detect", write(tmp_path))
    assert ended.code == 0
    assert [each[:2] for each in fired(ended.out)] == [each[:2] for each in EXPECTED]
    assert [value for *_, value in fired(ended.out)] == pytest.approx([value for *_, value in EXPECTED], rel=1e-5)
    assert EXPECTED


def test_what_was_found_and_what_was_missing_is_told_on_stderr(tmp_path: Path) -> None:
    path = write_state(tmp_path)
    told = streakline("detect", path).err.splitlines()
    assert told[0] == (
        f"{path}: a Hugging Face trainer_state.json: 40 losses (loss) of run {tmp_path.name}, "
        "gradient norms of all parameters together (grad_norm)"
    )
    assert told[1].startswith(f"{path}: missing: gradient norms of layers (attention_head_dead and dead_layers cannot")
    assert len(told) == 2


def test_several_formats_are_one_stream(tmp_path: Path) -> None:
    lines = tmp_path / "own.jsonl"
    lines.write_bytes(b"".join(encode(event) + b"\n" for event in steps(loss=LOSSES)))
    ended = streakline("detect", write_table(tmp_path), lines, write_state(tmp_path))
    runs = [json.loads(line)["run_id"] for line in ended.lines]
    # Both the table and the lines are of the run "run"; those that come second have been seen.
    assert runs == ["run"] * len(EXPECTED) + [tmp_path.name] * len(EXPECTED)


def test_what_is_wrong_in_a_recording_is_told_and_the_rest_is_judged(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    path.write_text(path.read_text() + "x,1.0,1\n")
    ended = streakline("detect", path)
    assert (ended.code, [each[:2] for each in fired(ended.out)]) == (1, [each[:2] for each in EXPECTED])
    told = ended.err.splitlines()
    assert told[-2] == f"{path}: left out: 1 of no valid step"
    assert told[-1] == (
        "streakline: 1 of the recordings hold what cannot be read (above): everything else in them was processed"
    )


def test_what_the_second_pass_drops_is_told(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    path.write_text(path.read_text() + f"{len(LOSSES) - 1},7.0,1\n")
    ended = streakline("detect", path)
    assert ended.code == 0
    assert ended.err.splitlines()[-1] == f"{path}: left out: 1 losses of steps that had one"


def test_a_recording_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text('{"log_history": [')
    for command in ("detect", "replay"):
        ended = streakline(command, write_table(tmp_path), path)
        assert (ended.code, ended.out) == (1, "")
        assert ended.err == (
            f"streakline: {path} is no whole trainer_state.json (Expecting value in line 1): "
            "take that of an earlier checkpoint\n"
        )


def test_names_from_a_file_do_nothing_to_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("step,lo\x1b[2Jss,grad_norm\n1,2,3\n")
    ended = streakline("detect", path)
    assert ended.code == 1
    assert "\x1b" not in ended.err
    assert r"lo\x1b[2Jss" in ended.err


def test_only_lines_can_be_published_as_they_are(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    ended = streakline("replay", "--raw", path)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1].startswith(
        f"streakline: Invalid value for --raw: publishes JSON lines as they are, which {path} has none of"
    )


def test_two_runs_of_a_table_cannot_become_one(tmp_path: Path) -> None:
    path = tmp_path / "chart.csv"
    path.write_text("Step,a - loss,b - loss\n1,2,3\n")
    ended = streakline("replay", "--run-id", "c", path)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == (
        f"streakline: {path}:2: another run (b after a): --run-id and --attempt take files of one run; "
        "nothing was published"
    )
