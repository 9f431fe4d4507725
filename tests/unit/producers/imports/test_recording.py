import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from producers.codec import MAX_EVENT_BYTES, decode, encode
from producers.events import MAX_LAYERS, StepEvent
from producers.imports import joining, survey
from producers.imports.readings import UnreadableRecording
from producers.imports.recording import Recording, open_recording

WHOLE_STATE = json.dumps({"epoch": 1.0, "log_history": [{"loss": 1.5, "step": 1}, {"loss": 1.0, "step": 2}]}).encode()
WHOLE_TABLE = b"Step,a - loss,a - grad_norm,b - loss,_timestamp\n1,2.5,0.5,1,1700000000\n2,NaN,1,,1700000001\n"


def event_file(path: Path) -> bytes:
    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(file_version="brain.Event:2").SerializeToString())
        for step in range(3):
            summary = Summary(value=[Summary.Value(tag="loss", simple_value=1.0)])
            writer.write(Event(step=step, wall_time=1.0, summary=summary).SerializeToString())
    return path.read_bytes()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recording") / "file"


def opened(path: Path) -> Recording:
    recording = open_recording(path)
    assert recording is not None
    return recording


def events_of(path: Path) -> list[StepEvent] | None:
    """The events at `path`, each of which the contract must admit; None where there is no recording."""
    try:
        recording = open_recording(path)
    except UnreadableRecording:
        return None
    if recording is None:
        return None
    events = list(recording.events())
    for event in events:
        raw = encode(event)
        assert encode(decode(raw)) == raw
    return events


@settings(deadline=None)  # they write and read files
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_is_made_of_junk(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    assert not events_of(path)


@settings(deadline=None)  # they write and read files
@given(data=st.data(), kind=st.sampled_from(["state", "table", "events"]))
def test_damage_never_crashes_it(path: Path, data: st.DataObject, kind: str) -> None:
    whole = {"state": WHOLE_STATE, "table": WHOLE_TABLE, "events": event_file(path)}[kind]
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 8)))
    path.write_bytes(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])
    assert len(events_of(path) or []) <= 8


NUMBERS = st.floats() | st.integers() | st.none() | st.booleans() | st.text(max_size=5)
NAMES = st.sampled_from(["loss", "grad_norm", "lr", "epoch", "grad_norm/a", "gradients/\ud800", "step"]) | st.text()


@settings(deadline=None)  # they write and read files
@given(rows=st.lists(st.dictionaries(NAMES, NUMBERS, max_size=6), max_size=6))
def test_whatever_a_state_says_its_events_are_those_of_the_contract(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text(json.dumps({"log_history": rows}))
    usable = [row for row in rows if isinstance(row.get("loss"), float) and type(row.get("step")) is int]
    assert len(events_of(path) or []) <= sum("loss" in row for row in rows)
    if usable and all(0 <= int(str(row["step"])) < 2**63 for row in usable):
        assert events_of(path)


@settings(deadline=None)  # they write and read files
@given(
    cells=st.lists(st.tuples(st.integers(0, 9), st.floats(width=32), st.none() | st.floats(0, width=32)), min_size=1)
)
def test_a_table_gives_what_it_was_made_of(path: Path, cells: list[tuple[int, float, float | None]]) -> None:
    rows = [f"{step},{loss!r},{'' if norm is None else repr(norm)}" for step, loss, norm in cells]
    path.write_text("step,loss,grad_norm\n" + "\n".join(rows))
    events = events_of(path)
    assert events is not None
    expected = [cells[0]]
    for cell in cells[1:]:
        if cell[0] != expected[-1][0]:
            expected.append(cell)
    assert [(event.step, repr(event.loss)) for event in events] == [(step, repr(loss)) for step, loss, _ in expected]
    backs = sum(after[0] < before[0] for before, after in pairwise(expected))
    assert events[-1].attempt == backs


def test_the_format_is_told_by_what_is_inside(path: Path) -> None:
    for raw, kind in (
        (WHOLE_STATE, "a Hugging Face trainer_state.json"),
        (WHOLE_TABLE, "a table"),
        (event_file(path), "TensorBoard event files"),
    ):
        path.write_bytes(raw)
        assert opened(path).found.startswith(f"{kind}: ")


def test_json_lines_are_left_to_others(path: Path) -> None:
    path.write_bytes(b'{"run_id":"a","step":1,"ts":1,"loss":1,"config":{"log_history":[]}}\n{"log_history":[]}\n')
    assert open_recording(path) is None


def test_a_pipe_is_left_to_others(tmp_path: Path) -> None:
    pipe = tmp_path / "trainer_state.json"
    os.mkfifo(pipe)
    assert open_recording(pipe) is None


def test_a_folder_without_event_files_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "x.tfevents.folder").mkdir()
    assert open_recording(tmp_path) is None


def layered(path: Path, header: list[str], *rows: str) -> Recording:
    path.write_text(",".join(["step", "loss", *header]) + "\n" + "\n".join(rows))
    return opened(path)


def test_layers_keep_their_names(path: Path) -> None:
    recording = layered(path, ["gradients/h.0.attn.weight", "train/grad_norm/h.0.mlp"], "1,2,0.5,0", "2,2,,0.25")
    assert [event.grad_norms for event in recording.events()] == [
        {"h.0.attn.weight": 0.5, "h.0.mlp": 0.0},
        {"h.0.mlp": 0.25},
    ]
    assert "gradient norms of 2 layers (gradients/h.0.attn.weight, …)" in recording.found


def test_a_curve_below_zero_is_no_norm_of_a_layer(path: Path) -> None:
    recording = layered(path, ["gradients/a", "gradients/b"], "1,2,0.5,0.5", "2,2,-0.5,0.5")
    assert [event.grad_norms for event in recording.events()] == [{"b": 0.5}] * 2
    assert recording.left_out == "1 curves of layers that are below zero, so no norms"


def test_norms_of_layers_and_of_all_are_never_one_series(path: Path) -> None:
    dropped: list[str] = []
    more_of_all = layered(path, ["grad_norm", "gradients/a"], "1,2,5,1", "2,2,5,", "3,2,,1")
    assert [(event.max_grad, event.grad_norms) for event in more_of_all.events(on_end=dropped.append)] == [
        (5.0, {"a": 1.0}),
        (5.0, None),
        (None, None),
    ]
    assert dropped == ["1 gradient norms that could not join a loss"]
    more_of_layers = layered(path, ["grad_norm", "gradients/a"], "1,2,5,1", "2,2,,1")
    assert [(event.max_grad, event.grad_norms) for event in more_of_layers.events()] == [(None, {"a": 1.0})] * 2
    assert more_of_layers.left_out == "gradient norms of all parameters together, which are fewer than those of layers"


def test_the_largest_norm_is_better_than_that_of_all(path: Path) -> None:
    recording = layered(path, ["grad_norm", "maxGrad"], "1,2,5,1")
    assert [event.max_grad for event in recording.events()] == [1.0]
    assert "largest gradient norms (maxGrad)" in recording.found


def test_the_loss_that_is_recorded_most_often_is_taken(path: Path) -> None:
    recording = layered(path, ["train/loss", "train/train_loss"], ",,,", "1,2,3,", "2,,4,", "3,,,9")
    assert [(event.step, event.loss) for event in recording.events()] == [(1, 3.0), (2, 4.0)]


@pytest.mark.parametrize("length", [8, 200])
def test_an_event_never_outgrows_its_limits(path: Path, length: int) -> None:
    names = [f"gradients/{index:0{length}}" for index in range(MAX_LAYERS + 10)]
    recording = layered(path, names, "1,2" + ",-0.12345678901234567e-300".replace("-0", "0") * len(names))
    (event,) = recording.events()
    assert event.grad_norms is not None
    kept = len(event.grad_norms)
    assert len(encode(event)) <= MAX_EVENT_BYTES
    assert decode(encode(event)) == event
    assert f"{len(names) - kept:,} layers that an event has no room for" in recording.left_out
    assert kept == MAX_LAYERS or kept * (length + 40) > MAX_EVENT_BYTES * 0.9


def test_too_many_curves_or_runs_are_one_sentence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MAX_RUNS", 3)
    path.write_text("Step,a - loss,b - loss,c - loss,d - loss\n1,1,1,1,\n")
    assert len(list(opened(path).events())) == 3
    path.write_text("Step,a - loss,b - loss,c - loss,d - loss\n1,1,1,1,1\n")
    with pytest.raises(UnreadableRecording, match="holds more than 100,000 curves or 3 runs"):
        open_recording(path)


def test_what_waits_for_its_step_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "MAX_WAITING", 10)
    norms = [f"{step},,{step}" for step in range(1, 21)]
    losses = [f"{step},1," for step in range(1, 21)]
    dropped: list[str] = []
    recording = layered(path, ["grad_norm"], *norms, *losses)
    events = list(recording.events(on_end=dropped.append))
    assert [(event.step, event.max_grad) for event in events] == [(step, None) for step in range(1, 21)]
    assert dropped == ["20 gradient norms that could not join a loss"]
    together = layered(path, ["grad_norm"], *(row for pair in zip(norms, losses, strict=True) for row in pair))
    assert [event.max_grad for event in together.events()] == [float(step) for step in range(1, 21)]


def test_the_reader_brings_nothing_along() -> None:
    program = (
        "import sys, producers.imports.recording; "
        "print(*sys.modules.keys() & {'tensorboard', 'google.protobuf', 'numpy', 'torch', 'transformers'})"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""
