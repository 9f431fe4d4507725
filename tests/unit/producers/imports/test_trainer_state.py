import json
import math
import os
from pathlib import Path
from typing import Any

import pytest

from producers.imports import trainer_state
from producers.imports.readings import UnreadableRecording
from producers.imports.recording import Recording, open_recording

EVALUATION = {"epoch": 0.3, "eval_loss": 1.5, "eval_runtime": 0.01, "step": 30}
SUMMARY = {"epoch": 1.0, "total_flos": 0.0, "train_loss": 1.9, "train_runtime": 0.1, "step": 40}


def row(step: int, **values: object) -> dict[str, Any]:
    return {"epoch": step / 100, "grad_norm": 2.0, "learning_rate": 5e-05, "loss": 2.5, "step": step, **values}


def write(folder: Path, rows: list[dict[str, Any]], **others: object) -> Path:
    """As `TrainerState.save_to_json` does."""
    path = folder / "trainer_state.json"
    state = {"best_metric": None, "epoch": 1.0, "global_step": 40, "log_history": rows, "max_steps": 40, **others}
    path.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n")
    return path


def opened(path: Path) -> Recording:
    recording = open_recording(path)
    assert recording is not None
    return recording


def test_rows_of_training_are_steps_and_the_others_are_told_of(tmp_path: Path) -> None:
    path = write(tmp_path, [row(10), row(20), row(30, loss=1.25), EVALUATION, row(40), SUMMARY])
    recording = opened(path)
    events = list(recording.events())
    assert [(event.step, event.loss, event.attempt) for event in events] == [
        (10, 2.5, 0),
        (20, 2.5, 0),
        (30, 1.25, 0),
        (40, 2.5, 0),
    ]
    assert (events[0].max_grad, events[0].learning_rate, events[0].epoch) == (2.0, 5e-05, 0.1)
    assert events[0].grad_norms is None
    assert "4 losses (loss)" in recording.found
    assert "gradient norms of all parameters together (grad_norm)" in recording.found
    assert "gradient norms of layers (attention_head_dead and dead_layers cannot fire)" in recording.missing
    assert "one in 10 is" in recording.missing
    assert "logging_nan_inf_filter" in recording.missing
    assert recording.left_out == "2 rows without a training loss (evaluations, summaries)"
    assert not recording.is_partial


def test_what_is_not_finite_stays_so(tmp_path: Path) -> None:
    path = write(tmp_path, [row(1, loss=math.nan, grad_norm=math.inf), row(2, loss="NaN", grad_norm=-math.inf)])
    assert "NaN" in path.read_text()
    first, second = opened(path).events()
    assert math.isnan(first.loss)
    assert first.max_grad == math.inf
    assert math.isnan(second.loss)


def test_times_are_a_second_apart_and_end_when_the_file_was_written(tmp_path: Path) -> None:
    path = write(tmp_path, [row(10), row(20), row(30)])
    os.utime(path, (0, 1_700_000_000))
    recording = opened(path)
    assert [event.ts for event in recording.events()] == [1_699_999_998.0, 1_699_999_999.0, 1_700_000_000.0]
    assert "times (steps are taken to be a second apart" in recording.missing


@pytest.mark.parametrize(
    ("folder", "run_id"), [("sft-7", "sft-7"), ("sft 7/checkpoint-500", "sft-7"), ("x=1/out", "out")]
)
def test_the_run_is_called_as_its_folder(tmp_path: Path, folder: str, run_id: str) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert {event.run_id for event in opened(write(tmp_path / folder, [row(1)])).events()} == {run_id}


def test_what_is_missing_is_named_with_what_it_prevents(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, [{"loss": 1.0, "step": step} for step in range(3)]))
    assert "gradient norms (gradient_spike, attention_head_dead and dead_layers cannot fire)" in recording.missing
    assert "the learning rate" in recording.missing
    assert "steps between" not in recording.missing


def test_rows_that_make_no_sense_are_counted(tmp_path: Path) -> None:
    rows = [row(1), row(5, loss=None), row(6, loss=10**400), *({"loss": 1.0, "step": step} for step in (None, -3, 0.5))]
    recording = opened(write(tmp_path, [*rows, row(1 << 70)]))
    assert [event.step for event in recording.events()] == [1]
    assert recording.left_out == "2 values that are no numbers, 4 of no valid step"
    assert recording.is_partial


def test_a_norm_below_zero_is_not_known(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, [row(1), row(2, grad_norm=-1.0)]))
    assert [event.max_grad for event in recording.events()] == [2.0, None]
    assert recording.left_out == "1 gradient norms below zero"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"log_history": [{"loss": 1.0, "step": 1}', "Expecting ',' delimiter in line 1"),
        ('{"log_history": [{"loss": 1.0, "step": 1} {}]}', "Expecting ',' delimiter"),
        ('{"log_history": [1, {"step"', "Expecting ':' delimiter"),
        ('{"log_history": 3}', "no list log_history"),
        ('{"log_history" [', "Expecting ':' delimiter"),
        ("[]", "no list log_history"),
        ("", "no list log_history"),
        ("{}", "no list log_history"),
        ('{"log_history": [' + "[" * 100_000, "nested too deeply"),
        ('{"log_history": [' + "1" * 5_000 + "]}", "Exceeds the limit"),
        ("\ufeff{", "Expecting value"),
    ],
)
def test_a_file_that_is_cut_or_none_is_one_sentence(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text(text)
    with pytest.raises(UnreadableRecording) as raised:
        opened(path)
    assert str(raised.value).startswith("is no whole trainer_state.json (")
    assert what in str(raised.value)
    assert str(raised.value).endswith(": take that of an earlier checkpoint")


def test_bytes_that_are_no_text_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_bytes(b'{"log_history": [{"loss": 1.0, "step": 1, "x": "\xff"}]}')
    with pytest.raises(UnreadableRecording, match="it is not UTF-8"):
        opened(path)


def test_a_file_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, [row(step) for step in range(100)])
    monkeypatch.setattr(trainer_state, "MAX_FILE_BYTES", path.stat().st_size)
    assert len(list(opened(path).events())) == 100
    monkeypatch.setattr(trainer_state, "MAX_FILE_BYTES", path.stat().st_size - 1)
    with pytest.raises(UnreadableRecording, match="keep its log_history alone"):
        opened(path)


def test_no_training_loss_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnreadableRecording, match=r"holds no training loss \(left out: 2 rows without a training loss"):
        opened(write(tmp_path, [EVALUATION, SUMMARY]))
