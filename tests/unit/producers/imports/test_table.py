import math
import os
from pathlib import Path

import pytest

from producers.imports import table
from producers.imports.readings import UnreadableRecording
from producers.imports.recording import Recording, open_recording

# As W&B's charts are downloaded.
CHART = """\
"Step","sunny fire 12 - train/loss","sunny fire 12 - train/loss__MIN","sunny fire 12 - train/loss__MAX",\
"brisk-pond-1 - train/loss","brisk-pond-1 - train/loss__MIN","brisk-pond-1 - train/loss__MAX"
"0","2.5","2.5","2.5","","",""
"10","NaN","2.0","2.25","3.5","3.5","3.5"
"20","1.5","1.5","1.5","Infinity","3.0","3.0"
"""

# As `run.history()` of W&B writes itself, here of a run of Trainer.
HISTORY = """\
_runtime,_step,_timestamp,train/loss,train/grad_norm,train/global_step,eval/loss,gradients/h.0.attn.weight
1.5,0,1700000001.5,2.5,0.5,10,,"{""_type"": ""histogram"", ""values"": [1]}"
2.5,1,1700000002.5,,,10,1.25,
3.5,2,1700000003.5,2.25,0.75,20,,
"""


def write(folder: Path, text: str, name: str = "my run.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def opened(path: Path) -> Recording:
    recording = open_recording(path)
    assert recording is not None
    return recording


def test_a_plain_table(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, "step,loss,grad_norm,lr,epoch\n1,2.5,0.5,1e-4,0.1\n2,2.25,nan,1e-5,0.2\n"))
    first, second = recording.events()
    assert (first.run_id, first.step, first.loss, first.max_grad) == ("my-run", 1, 2.5, 0.5)
    assert (first.learning_rate, first.epoch) == (1e-4, 0.1)
    assert second.max_grad is not None
    assert math.isnan(second.max_grad)
    assert recording.found == (
        "a table: 2 losses (loss) of run my-run, gradient norms of all parameters together (grad_norm), "
        "learning rate (lr), epoch (epoch)"
    )
    assert recording.left_out == ""


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_other_delimiters_and_a_mark_at_the_beginning(tmp_path: Path, delimiter: str) -> None:
    text = "\ufeff\nIteration,Training Loss,grad-norm\n1,2.5,0.5\n\n2,2.25,0.75\n".replace(",", delimiter)
    assert [(event.step, event.loss, event.max_grad) for event in opened(write(tmp_path, text)).events()] == [
        (1, 2.5, 0.5),
        (2, 2.25, 0.75),
    ]


def test_a_chart_of_two_runs(tmp_path: Path) -> None:
    path = write(tmp_path, CHART)
    os.utime(path, (0, 1_700_000_000))
    recording = opened(path)
    events = list(recording.events())
    assert [(event.run_id, event.step, event.ts) for event in events] == [
        ("sunny-fire-12", 0, 1_699_999_998.0),
        ("sunny-fire-12", 10, 1_699_999_999.0),
        ("brisk-pond-1", 10, 1_699_999_998.0),
        ("sunny-fire-12", 20, 1_700_000_000.0),
        ("brisk-pond-1", 20, 1_699_999_999.0),
    ]
    assert [str(event.loss) for event in events] == ["2.5", "nan", "3.5", "1.5", "inf"]
    assert "5 losses (train/loss) of 2 runs (sunny-fire-12, brisk-pond-1)" in recording.found
    assert "a chart exported from W&B may be thinned out" in recording.missing
    assert recording.left_out == ""


def test_a_chart_over_epochs_takes_each_runs_own_steps(tmp_path: Path) -> None:
    text = '"epoch","a - _step","a - _step__MIN","a - loss","b - _step","b - loss"\n0.5,3,1,2.5,,\n0.75,,,,7,1.5\n'
    events = list(opened(write(tmp_path, text)).events())
    assert [(event.run_id, event.step, event.loss) for event in events] == [("a", 3, 2.5), ("b", 7, 1.5)]


def test_a_history_has_times_and_the_trainers_own_steps(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, HISTORY))
    assert [(event.step, event.ts, event.loss, event.max_grad) for event in recording.events()] == [
        (10, 1_700_000_001.5, 2.5, 0.5),
        (20, 1_700_000_003.5, 2.25, 0.75),
    ]
    assert "times" not in recording.missing
    assert (recording.left_out, recording.is_partial) == ("1 histograms of gradients, which have no norm", False)


def test_what_belongs_to_a_step_may_stand_in_several_rows(tmp_path: Path) -> None:
    text = "epoch,lr-AdamW,step,train_loss_step,val_loss\n,0.25,9,,\n0,,9,2.5,\n0,,9,,1.0\n,0.125,19,,\n0,,19,2.0,\n"
    recording = opened(write(tmp_path, text, "metrics.csv"))
    assert [(event.step, event.loss, event.learning_rate) for event in recording.events()] == [
        (9, 2.5, 0.25),
        (19, 2.0, 0.125),
    ]
    assert "one in 10 is" in recording.missing
    assert {event.run_id for event in recording.events()} == {tmp_path.name}


def test_steps_that_go_back_and_steps_that_come_again(tmp_path: Path) -> None:
    dropped: list[str] = []
    recording = opened(write(tmp_path, "step,loss\n1,5\n2,4\n2,9\n1,3\n2,2\n"))
    events = list(recording.events(on_end=dropped.append))
    assert [(event.attempt, event.step, event.loss) for event in events] == [(0, 1, 5), (0, 2, 4), (1, 1, 3), (1, 2, 2)]
    assert dropped == ["1 losses of steps that had one"]


def test_cells_that_make_no_sense_are_counted(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, "step,loss\n1,2.5\n2,much\n3\n,1.0\nx,1.0\n6,null\n7,1_0\n8,1.5,extra\n"))
    assert [event.step for event in recording.events()] == [1, 8]
    assert recording.left_out == "2 values that are no numbers, 2 of no valid step"
    assert recording.is_partial


def test_runs_of_one_name_stay_apart(tmp_path: Path) -> None:
    events = opened(write(tmp_path, "Step,a b - loss,a+b - loss\n1,2,3\n")).events()
    assert [(event.run_id, event.loss) for event in events] == [("a-b", 2.0), ("a-b-2", 3.0)]


def test_a_run_without_a_loss_is_told_of(tmp_path: Path) -> None:
    recording = opened(write(tmp_path, "Step,a - loss,b - grad_norm\n1,2,3\n"))
    assert [event.run_id for event in recording.events()] == ["a"]
    assert recording.left_out == "1 runs without a training loss"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "epoch,loss\n1,2\n",
            "has no column of steps (its columns are epoch, loss): name the one that holds them step",
        ),
        ("step,val_loss\n1,2\n", "has no column of steps"),
        ("step,grad_norm\n1,2\n", "holds no training loss (what it has: grad_norm, step): call the curve that it is"),
        ("step,loss\n", "holds no training loss (what it has: step): call"),
        (
            'step,loss\n1,"' + "x" * 200_000 + '"\n',
            "is no table from line 2 on (field larger than field limit (131072))",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UnreadableRecording) as raised:
        opened(write(tmp_path, text))
    assert str(raised.value).startswith(sentence)


def test_a_line_or_a_row_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_LINE_CHARACTERS", 50)
    monkeypatch.setattr(table, "MAX_ROW_CHARACTERS", 100)
    for rest in ("1," * 50, '1,"\n' + '","\n' * 100):
        with pytest.raises(UnreadableRecording, match="has a row without end in line"):
            opened(write(tmp_path, "step,loss\n0,1\n" + rest))
    assert len(list(opened(write(tmp_path, "step,loss\n" + "1,2\n2,3\n" * 100)).events())) == 200


@pytest.mark.parametrize(
    "text", ["", "\n", "nonsense\n", '{"run_id":"a","step":1,"ts":1,"loss":1}\n', "a,b\n1,2\n", "\0"]
)
def test_what_has_no_such_columns_is_no_table(tmp_path: Path, text: str) -> None:
    assert open_recording(write(tmp_path, text)) is None
