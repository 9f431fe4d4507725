"""The engine against an independent implementation of the same specification."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, event, example, find, given, settings

from producers.codec import decode
from producers.events import Signal, TrainerEvent
from stream_app.engine.replay import signals_of
from tests.recordings import RECORDINGS
from tests.unit.engine.reference import Row, reference_signals
from tests.unit.engine.streams import streams


def row(signal: Signal) -> Row:
    return (
        signal.attempt,
        signal.step,
        signal.type,
        signal.severity,
        signal.metric,
        signal.value,
        signal.threshold,
        signal.layers,
        signal.action,
        signal.project,
    )


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(streams())
@example([])
def test_every_signal_is_the_references(events: Sequence[TrainerEvent]) -> None:
    signals = list(signals_of(events))
    for signal in signals:
        event(f"{signal.type} {signal.severity}")
    assert [text(row(signal)) for signal in signals] == [text(each) for each in reference_signals(events)]


def text(each: Row) -> str:
    """A row as text: a NaN does not equal itself, and repr of a float is exact."""
    layers = None if each[7] is None else sorted(each[7].items())
    return repr((*each[:7], layers, *each[8:]))


@pytest.mark.parametrize(
    "reached",
    [
        "non_finite critical",
        "loss_diverging critical",
        "gradient_spike warning",
        "gradient_spike critical",
        "attention_head_dead warning",
        "dead_layers warning",
        "loss_plateau info",
    ],
)
def test_the_streams_reach_every_detector(reached: str) -> None:
    find(
        streams(),
        lambda events: any(f"{signal.type} {signal.severity}" == reached for signal in signals_of(events)),
        settings=settings(max_examples=400, phases=[Phase.generate], deadline=None),
        random=Random(0),
    )


@pytest.mark.parametrize("recording", RECORDINGS, ids=lambda path: path.stem)
def test_the_recorded_runs_are_judged_as_the_reference_judges_them(recording: Path) -> None:
    events = [decode(line) for line in recording.read_bytes().splitlines()]
    assert [text(row(signal)) for signal in signals_of(events)] == [text(each) for each in reference_signals(events)]
