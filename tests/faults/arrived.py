"""From what of a hurt trainer's run is on the topics to figures: what was kept is there, whole and in order."""

from collections.abc import Sequence

from producers.events import RunCompleted, RunStarted, StepEvent, TrainerEvent
from tests.delivered import Delivered, on_runs_topic
from tests.faults.cases import Figures
from tests.faults.hurt_trainer import measured
from tests.faults.supervised_trainer import RUN_ID

# The start of a run is two records, one on each topic.
_RECORDS_OF_A_START = 2
_END = 1 << 30

Place = tuple[int, int]
"""in the order of a run: attempt, and step; its start is before the first step, its end behind the last"""


def compared_events(arrived: Delivered, kept: Sequence[int], steps: int) -> Figures:
    """What has arrived of attempts 1, 2, … against the records that each said were `kept`; the last one took all its
    `steps`.
    """
    first = list(dict.fromkeys(map(_place_of, arrived.steps)))
    in_order = _rising(first)
    lasts = [min(records - _RECORDS_OF_A_START, steps) - 1 for records in kept]
    expected = {place for attempt, last in enumerate(lasts, 1) for place in _up_to(attempt, last)}
    expected |= {place for attempt, last in in_order for place in _up_to(attempt, min(last, steps - 1))}
    expected |= {(len(kept), step) for step in (*range(-1, steps), _END)}
    runs = list(dict.fromkeys(map(_place_of, arrived.runs)))
    return Figures(
        expected=len(expected),
        missing=len(expected - set(in_order)) + len(set(map(_place_of, on_runs_topic(arrived.steps))) ^ set(runs)),
        extra=len(_untrue(arrived.steps, steps)),
        duplicates=len(arrived.steps) - len(first) + len(arrived.runs) - len(runs),
    )


def _place_of(event: TrainerEvent) -> Place:
    match event:
        case StepEvent():
            return event.attempt, event.step
        case RunStarted():
            return event.attempt, -1
        case _:
            return event.attempt, _END


def _up_to(attempt: int, last: int) -> list[Place]:
    """Without a hole: only the tail of an attempt that died may never have been kept."""
    return [(attempt, step) for step in range(-1, last + 1)] if last >= -1 else []


def _rising(places: Sequence[Place]) -> list[Place]:
    """Those that are of any use: what comes after something younger is ignored, and so is lost."""
    rising: list[Place] = []
    for place in places:
        if not rising or place > rising[-1]:
            rising.append(place)
    return rising


def _untrue(events: Sequence[TrainerEvent], steps: int) -> list[TrainerEvent]:
    """Those that no trainer has published so."""
    losses = {
        (attempt, event.step): event.loss
        for attempt in {event.attempt for event in events}
        for event in measured(RUN_ID, attempt, steps)
    }
    return [event for event in events if not _is_true(event, losses)]


def _is_true(event: TrainerEvent, losses: dict[Place, float]) -> bool:
    if isinstance(event, StepEvent):
        return event.loss == losses.get(_place_of(event))
    return isinstance(event, RunStarted | RunCompleted)
