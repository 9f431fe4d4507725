import math
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_BFLOAT16, DT_DOUBLE, DT_FLOAT, DT_HALF, DT_INT64, DT_STRING
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard import SummaryWriter

from producers.events import StepEvent
from producers.imports.readings import UnreadableRecording
from producers.imports.recording import Recording, open_recording
from producers.imports.tensorboard import scalar_of
from producers.imports.tfrecord import MAX_RECORD_BYTES


def opened(path: Path) -> Recording:
    recording = open_recording(path)
    assert recording is not None
    return recording


def scalars(step: int, wall_time: float = 0.0, **values: float) -> Event:
    summary = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return Event(step=step, wall_time=wall_time, summary=Summary(value=summary))


def write(path: Path, events: Iterable[Event]) -> Path:
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for event in (Event(file_version="brain.Event:2"), *events):
            writer.write(event.SerializeToString())
    return path


def summary_of(events: Iterable[StepEvent]) -> list[tuple[int, int, float, float | None]]:
    return [(event.attempt, event.step, event.loss, event.max_grad) for event in events]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "sft 7").mkdir()
    return tmp_path / "sft 7" / "events.out.tfevents.1700000000.host.1.0"


@pytest.mark.parametrize("new_style", [False, True])
def test_what_torch_writes_is_read(tmp_path: Path, new_style: bool) -> None:
    with SummaryWriter(str(tmp_path / "run-1")) as writer:
        for step in range(5):
            for tag, value in (("train/loss", 2.0 - step / 4), ("train/grad_norm", 0.5), ("lr", 0.25)):
                writer.add_scalar(tag, value, step, walltime=1_700_000_000.5 + step, new_style=new_style)
            writer.add_scalar("gradients/h.0.attn.weight", float("nan") if step == 3 else 0.0, step)
            writer.add_scalar("eval/loss", 9.0, step)
            writer.add_histogram("gradients/h.0.mlp.weight", torch.ones(4), step)
            writer.add_text("train/loss", "no number", step)
    recording = opened(tmp_path / "run-1")
    events = list(recording.events())
    assert summary_of(events) == [(0, step, 2.0 - step / 4, 0.5) for step in range(5)]
    assert [event.ts for event in events] == [1_700_000_000.5 + step for step in range(5)]
    assert {event.learning_rate for event in events} == {0.25}
    assert {event.run_id for event in events} == {"run-1"}
    norms = [(event.grad_norms or {})["h.0.attn.weight"] for event in events]
    assert norms[:3] == [0.0] * 3
    assert norms[3] is not None
    assert math.isnan(norms[3])
    assert "gradient norms of 1 layers (gradients/h.0.attn.weight)" in recording.found
    assert recording.missing == ""
    assert recording.left_out == "5 histograms of gradients, which have no norm"


def test_a_file_is_as_good_as_its_folder(file: Path) -> None:
    write(file, [scalars(1, loss=1.0)])
    assert list(opened(file).events()) == list(opened(file.parent).events())
    assert [event.run_id for event in opened(file).events()] == ["sft-7"]


def test_what_is_not_finite_stays_so(file: Path) -> None:
    write(file, [scalars(1, loss=math.nan, grad_norm=math.inf)])
    (event,) = opened(file).events()
    assert math.isnan(event.loss)
    assert event.max_grad == math.inf


def test_a_run_that_was_resumed_has_attempts(tmp_path: Path) -> None:
    write(tmp_path / "events.out.tfevents.1700000000.a.1.0", [scalars(step, loss=step) for step in (10, 20, 30)])
    write(tmp_path / "events.out.tfevents.1700000500.a.2.0", [scalars(step, loss=step) for step in (30, 40)])
    write(tmp_path / "events.out.tfevents.1700000900.a.3.0", [scalars(step, loss=step) for step in (50, 30)])
    recording = opened(tmp_path)
    assert [(event.attempt, event.step) for event in recording.events()] == [
        (0, 10),
        (0, 20),
        (0, 30),
        (1, 30),
        (1, 40),
        (1, 50),
        (2, 30),
    ]
    assert "in up to 3 attempts" in recording.found


def test_curves_that_were_written_one_after_the_other_are_joined(file: Path) -> None:
    norms = [scalars(step, grad_norm=step) for step in range(1, 50)]
    losses = [scalars(step, loss=10 + step) for step in range(1, 50)]
    assert summary_of(opened(write(file, norms + losses)).events()) == [
        (0, step, 10 + step, step) for step in range(1, 50)
    ]


def test_an_unfinished_record_is_told_of_and_those_before_it_are_read(file: Path) -> None:
    raw = write(file, [scalars(1, loss=1.0), scalars(2, loss=2.0)]).read_bytes()
    write(file, [scalars(1, loss=1.0)])
    whole = file.stat().st_size
    for size in range(whole + 1, len(raw)):
        file.write_bytes(raw[:size])
        recording = opened(file)
        assert [event.step for event in recording.events()] == [1]
        assert recording.left_out == "a last record that is cut off"
        assert recording.is_partial


def test_no_damage_goes_unnoticed(file: Path) -> None:
    whole = write(file, [scalars(1, loss=1.0), scalars(2, loss=2.0), scalars(3, loss=3.0)]).read_bytes()
    first = len(write(file, []).read_bytes())
    record = (len(whole) - first) // 3
    for position in range(first + record, first + 2 * record):
        raw = bytearray(whole)
        raw[position] ^= 0x10
        file.write_bytes(raw)
        recording = opened(file)
        steps = [event.step for event in recording.events()]
        if position < first + record + 12:
            assert (steps, recording.left_out) == ([1], "everything behind a damaged record")
        else:
            assert (steps, recording.left_out) == ([1, 3], "1 damaged records")
        assert recording.is_partial


def test_a_record_too_large_for_a_scalar_is_passed_over(file: Path) -> None:
    image = Event(
        step=2, summary=Summary(value=[Summary.Value(tag="loss", metadata={"display_name": "x" * (2 << 20)})])
    )
    write(file, [scalars(1, loss=1.0), image, scalars(3, loss=3.0)])
    recording = opened(file)
    assert [event.step for event in recording.events()] == [1, 3]
    assert (recording.left_out, recording.is_partial) == ("1 records too large to be scalars", False)


def test_a_length_without_end_is_not_believed(file: Path) -> None:
    write(file, [scalars(1, loss=1.0)])
    header = struct.pack("<Q", 2**63)
    with file.open("ab") as appended:
        writer = RecordWriter(appended)
        writer.write(header)
    raw = file.read_bytes()
    # The frame of a record of 8 bytes, then 8 bytes: their checksum is behind them.
    file.write_bytes(raw[:-24] + header + raw[-4:] + b"x" * 100)
    recording = opened(file)
    assert [event.step for event in recording.events()] == [1]
    assert recording.left_out == "a last record that is cut off"


def test_records_that_are_no_events_are_damaged(file: Path) -> None:
    write(file, [scalars(1, loss=1.0)])
    with file.open("ab") as appended:
        RecordWriter(appended).write(b"\xff" * 40)
    recording = opened(file)
    assert (recording.left_out, recording.is_partial) == ("1 damaged records", True)


def test_times_that_are_none_are_not_taken(file: Path) -> None:
    write(file, [scalars(1, wall_time=5.0, loss=1.0), scalars(2, wall_time=math.nan, loss=1.0)])
    recording = opened(file)
    first, second = recording.events()
    assert (second.ts - first.ts, second.ts) == (1.0, file.stat().st_mtime)
    assert "times" in recording.missing


def test_a_step_below_zero_is_none(file: Path) -> None:
    recording = opened(write(file, [scalars(-1, loss=1.0), scalars(2, loss=1.0)]))
    assert [event.step for event in recording.events()] == [2]
    assert recording.left_out == "1 of no valid step"


def test_no_loss_is_one_sentence_that_names_what_there_is(file: Path) -> None:
    write(file, [scalars(1, accuracy=0.5, grad_norm=1.0)])
    with pytest.raises(UnreadableRecording) as raised:
        opened(file)
    assert str(raised.value) == (
        "holds no training loss (what it has: grad_norm, accuracy): "
        "call the curve that it is loss or train/loss, or take a recording that has one"
    )


def test_without_the_package_the_remedy_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(file, [scalars(1, loss=1.0)])
    monkeypatch.delitem(sys.modules, "producers.imports.tensorboard")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(UnreadableRecording, match=r"pip install 'streakline\[tensorboard\]'"):
        opened(file)


SHAPELESS = TensorShapeProto()
ONE = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
HUGE = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1 << 40)])


@pytest.mark.parametrize(
    ("tensor", "number"),
    [
        (TensorProto(dtype=DT_FLOAT, float_val=[1.5]), 1.5),
        (TensorProto(dtype=DT_FLOAT, float_val=[1.5], tensor_shape=ONE), 1.5),
        (TensorProto(dtype=DT_FLOAT, float_val=[1.5], tensor_shape=HUGE), None),
        (TensorProto(dtype=DT_FLOAT, float_val=[1.5, 2.5]), None),
        (TensorProto(dtype=DT_FLOAT), None),
        (TensorProto(dtype=DT_FLOAT, tensor_content=struct.pack("<f", 1.5), tensor_shape=SHAPELESS), 1.5),
        (TensorProto(dtype=DT_FLOAT, tensor_content=b"12345"), None),
        (TensorProto(dtype=DT_DOUBLE, double_val=[1e300]), 1e300),
        (TensorProto(dtype=DT_DOUBLE, tensor_content=struct.pack("<d", 1e300)), 1e300),
        (TensorProto(dtype=DT_INT64, int64_val=[7]), 7.0),
        (TensorProto(dtype=DT_HALF, half_val=[0x3E00]), 1.5),
        (TensorProto(dtype=DT_HALF, tensor_content=struct.pack("<e", 1.5)), 1.5),
        (TensorProto(dtype=DT_HALF), None),
        (TensorProto(dtype=DT_BFLOAT16, half_val=[0x3FC0]), 1.5),
        (TensorProto(dtype=DT_BFLOAT16, tensor_content=b"\xc0\x3f"), 1.5),
        (TensorProto(dtype=DT_BFLOAT16, tensor_content=b"\xc0\x3f\x00"), None),
        (TensorProto(dtype=DT_STRING, string_val=[b"1.5"]), None),
        (TensorProto(dtype=DT_STRING, tensor_content=b"1.5"), None),
    ],
)
def test_a_tensor_of_one_number_is_that_number(tensor: TensorProto, number: float | None) -> None:
    assert scalar_of(tensor) == number


def test_the_limit_of_a_record_is_that_of_an_event() -> None:
    assert MAX_RECORD_BYTES == 1 << 20
