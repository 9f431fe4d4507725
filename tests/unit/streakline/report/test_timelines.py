"""Timelines are what the engine saw of the steps."""

import math
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.events import StepEvent
from streakline.report.asking import Asked
from streakline.report.content import Timeline
from streakline.report.life import Life
from streakline.report.thinning import LONGEST
from streakline.report.timelines import timelines_of
from stream_app.engine.reading import maximum_gradient_norm
from tests import archive_events
from tests.archived import write_events
from tests.reports import marker
from workers.lake.session import Session
from workers.lake.writer import Lake


def read(root: Path, events: list[StepEvent], marked: tuple[int, ...] = (), **life: object) -> tuple[Timeline, ...]:
    write_events(Lake(str(root)), events)
    known = Life(**{"run_id": "a", "project": "p", "others": (), "events": (), **life})  # type: ignore[arg-type]
    with Session(str(root)) as session:
        return timelines_of(Asked(session), known, [marker("gradient_spike", "info", step) for step in marked])


def finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


@settings(deadline=None, max_examples=40)
@given(st.lists(archive_events.steps, min_size=1, max_size=30))
def test_the_figures_are_the_engines(events: list[StepEvent]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = read(Path(folder), events)
    firsts: dict[tuple[int, int], StepEvent] = {}
    for event in events:
        if event.run_id == "a":
            firsts.setdefault((event.attempt, event.step), event)
    shown = {
        (each.attempt, step): (loss, norm)
        for each in found
        for step, loss, norm in zip(each.steps, each.loss, each.max_grad, strict=True)
    }
    assert list(shown) == sorted(firsts)
    assert shown == {key: (finite(event.loss), finite(maximum_gradient_norm(event))) for key, event in firsts.items()}
    assert sum(each.total_steps for each in found) == len(firsts)


def test_steps_that_are_no_number_are_counted() -> None:
    events = [
        StepEvent(run_id="a", step=0, ts=0, loss=math.nan),
        StepEvent(run_id="a", step=1, ts=0, loss=1, max_grad=math.inf),
        StepEvent(run_id="a", step=2, ts=0, loss=1, grad_norms={"x": math.nan, "y": 2.0}),
        StepEvent(run_id="a", step=3, ts=0, loss=1, grad_norms={"x": None, "y": 2.0}),
        StepEvent(run_id="a", step=4, ts=0, loss=1, max_grad=3.0),
    ]
    with tempfile.TemporaryDirectory() as folder:
        (found,) = read(Path(folder), events)
    assert found.non_finite == 3
    assert found.loss == (None, 1.0, 1.0, 1.0, 1.0)
    assert found.max_grad == (None, None, 2.0, 2.0, 3.0)


def test_a_long_run_is_thinned_and_keeps_its_spike_and_its_signals(tmp_path: Path) -> None:
    events = [
        StepEvent(run_id="a", step=step, ts=step, loss=9.0 if step == 31_415 else 1.0, max_grad=1 + step % 7)
        for step in range(40_000)
    ]
    (found,) = read(tmp_path, events, marked=(27_182,))
    assert len(found.steps) == len(found.loss) == len(found.max_grad) <= LONGEST
    assert found.total_steps == 40_000
    assert found.loss[found.steps.index(31_415)] == 9.0
    assert 27_182 in found.steps


def test_many_attempts_share_what_a_page_has_room_for(tmp_path: Path) -> None:
    events = [
        StepEvent(run_id="a", attempt=attempt, step=step, ts=step, loss=float(step % 3))
        for attempt in range(12)
        for step in range(1500)
    ]
    found = read(tmp_path, events)
    assert [each.attempt for each in found] == list(range(12))
    assert sum(len(each.steps) for each in found) <= 3 * LONGEST
    assert {each.total_steps for each in found} == {1500}


def test_attempts_of_another_project_are_not_its_own(tmp_path: Path) -> None:
    events = [StepEvent(run_id="a", attempt=attempt, step=0, ts=0, loss=1.0) for attempt in (1, 2, 3)]
    assert [each.attempt for each in read(tmp_path, events, others=(1, 3))] == [2]
