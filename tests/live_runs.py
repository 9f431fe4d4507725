"""Runs that step right now, for whoever is paged: what goes on the topic, and which alerts have to come of it."""

import random
import time
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from producers.codec import decode, encode
from producers.events import RunStarted, Severity, Signal, StepEvent, TrainerEvent
from stream_app.engine.replay import signals_of
from tests.running_stack import Alert
from tests.workload import Fate, Published, run_events

STEP_SECONDS = 0.1

_ALERTS: dict[Severity, str] = {
    "critical": "TrainingRunCriticalSignal",
    "warning": "TrainingRunWarningSignal",
    "info": "TrainingRunInfoSignal",
}


def live_run(run_id: str, fate: Fate, *, steps: int = 60, layers: int = 4, seed: int = 0) -> list[Published]:
    """A run that has just taken its last step."""
    rng = random.Random(f"{run_id}{seed}")
    started = time.time() - steps * STEP_SECONDS
    events: list[TrainerEvent] = [
        RunStarted(run_id=run_id, ts=started, project="e2e"),
        *(
            replace(event, ts=started + event.step * STEP_SECONDS)
            for event in run_events(run_id, fate, steps, layers, rng)
        ),
    ]
    return [Published(run_id.encode(), encode(event)) for event in events]


def one_step(run_id: str, *, loss: float = float("nan"), step: int = 0, age_seconds: float = 0.0) -> Published:
    """One step, taken `age_seconds` ago; by default one that pages."""
    event = StepEvent(run_id=run_id, step=step, ts=time.time() - age_seconds, loss=loss, max_grad=1.0)
    return Published(run_id.encode(), encode(event))


def interleaved(runs: Iterable[list[Published]]) -> Iterator[Published]:
    """The runs side by side, step by step; they are of one length."""
    for records in zip(*runs, strict=True):
        yield from records


def signals(records: Iterable[Published]) -> list[Signal]:
    """What an offline replay makes of them."""
    return list(signals_of(decode(record.value) for record in records))


def alerts(found: Iterable[Signal]) -> set[Alert]:
    """The alerts that have to fire for these signals."""
    return {Alert(_ALERTS[signal.severity], signal.run_id, signal.type) for signal in found}
