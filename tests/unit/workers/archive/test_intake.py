"""What has no row is counted and told of once; nothing that has one can fail on its way into a column."""

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from producers.codec import encode
from producers.events import RunStarted, StepEvent
from producers.topics import TopicSettings, topic_names
from tests.regressed import diverging, regressed
from workers.archive.intake import Intake, markers
from workers.archive.metrics import ArchiveMetrics
from workers.archive.rows import Record

NAMES = topic_names(TopicSettings())
STEP = StepEvent(run_id="a", step=1, ts=1.0, loss=float("nan"), grad_norms={"x": None})


def message(value: bytes | None, key: bytes | None = b"a", timestamp: int = 5) -> Any:
    return SimpleNamespace(
        offset=lambda: 7, partition=lambda: 1, key=lambda: key, value=lambda: value, timestamp=lambda: (1, timestamp)
    )


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def intake(registry: CollectorRegistry) -> Intake:
    return Intake(NAMES, ArchiveMetrics(registry, tuple(markers(NAMES))))


def test_an_event_is_a_record(intake: Intake) -> None:
    started = RunStarted(run_id="a", ts=1.0)
    assert intake.record_in(NAMES.runs, message(encode(started), key=None)) == Record(7, 5, started)
    assert intake.record_in(NAMES.steps, message(encode(started), timestamp=-1)) == Record(7, None, started)
    signal = regressed("a", "math")
    assert intake.record_in(NAMES.signals, message(encode(signal))) == Record(7, 5, signal)


def test_what_is_none_is_counted_and_told_of_once_a_topic(
    intake: Intake, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    for value in (None, b"", b"{", b"\xff", b"[" * 9999, encode(regressed("a", "math"))):
        assert intake.record_in(NAMES.steps, message(value)) is None
    for key in (None, b"b"):
        assert intake.record_in(NAMES.steps, message(encode(STEP), key=key)) is None
    assert intake.record_in(NAMES.signals, message(encode(STEP))) is None
    counts = [
        registry.get_sample_value("streakline_archive_skipped_records_total", {"topic": topic})
        for topic in (NAMES.steps, NAMES.runs, NAMES.signals)
    ]
    assert (counts, len(caplog.records)) == ([8, 0, 1], 2)
    assert caplog.records[0].getMessage().startswith("record 7 of streakline.steps/1 has no row, as others like it: ")


def test_a_number_that_no_column_holds_does_not_stop_the_archive(intake: Intake) -> None:
    signal = diverging("a", 1)
    assert intake.record_in(NAMES.signals, message(encode(replace(signal, layers={"x": 2**63 - 1})))) is not None
    assert intake.record_in(NAMES.signals, message(encode(replace(signal, layers={"x": 2**63})))) is None
    fell = regressed("a", "math")
    assert fell.regression is not None
    far = replace(fell, regression=replace(fell.regression, drop_basis_points=-(2**70)))
    assert intake.record_in(NAMES.signals, message(encode(far))) is None
