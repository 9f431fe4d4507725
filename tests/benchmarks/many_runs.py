"""A lake of many fine-tunes, with other figures in each.

A diff of 341 probes and real SAEs has more rows of two tables than there are here: about twenty figures a probe in
`behaviour_rows`, of which here is one, and thousands of live features a layer, of which here are 250.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec import Struct

from producers.events import RunCompleted, RunFailed, RunStarted, StepEvent
from tests.asked_rows import (
    calibration_row,
    feature_row,
    gold_row,
    layer_row,
    regression_row,
    run_row,
    score_row,
    signal_of,
    topic_row,
    unsure_row,
)
from tests.unit.workers.lake.rows import common
from workers.archive.files import serialise
from workers.archive.rows import ArchivedEvent, Record, table_of, to_table
from workers.lake.ranges import Range, Series, range_path
from workers.lake.schemas import rows_to_table
from workers.lake.tables import TABLES
from workers.lake.writer import Lake

RUNS, PROJECTS, DAYS = 2000, 40, 50
"""so that of each project and day there is one run"""
FIRST_DAY = 1_767_225_600.0
LAYERS, FEATURES = range(1, 9), 250
PROBES = 341
CATEGORIES = ("code", "factual", "reasoning", "refusal")
STEPS, HEADS = 200, 8
PARTITIONS, AT_ONCE, EVENTS_OF_A_FILE = 8, 25, 1000
"""of the archive: what of each partition is trained at once, and when an archiver writes a file"""


def write_many(root: Path) -> None:
    """The diffs of `RUNS` runs, a file for each table and run, and their steps, as an archiver writes them."""
    lake = Lake(str(root))
    rng = np.random.default_rng(0)
    shapes = {table: rows_to_table(rows, TABLES[table]) for table, rows in _rows().items()}
    for number in range(RUNS):
        day = number * DAYS // RUNS
        at = FIRST_DAY + 86_400 * day + 60 * (number % (RUNS // DAYS))
        dt = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
        project = f"project-{number % PROJECTS}"
        own = common(f"run-{number:04}", f"{number:016x}", project=project, dt=dt, created_at=at)
        for table, shape in shapes.items():
            if table != "regressions" or number % 7 == 0:
                lake.write(table, _moved(shape, rng), own)
        lake.write("runs", [run_row(own.run_id, "base-1b" if number % 4 else "base-7b")], own)
    _write_archive(lake, rng)


def _rows() -> dict[str, Sequence[Struct]]:
    """Table → rows of one diff."""
    topics = [f"topic-{number}" for number in range(20)]
    probes = [f"probe-{number}" for number in range(PROBES)]
    categories = (None, *CATEGORIES, *(f"category-{number}" for number in range(6)))
    return {
        "model_diff": [
            score_row(score, category, 0.4, "improved" if score == "accuracy" else "regressed")
            for score in ("accuracy", "robustness", *(f"figure-{number}" for number in range(14)))
            for category in categories
        ],
        "behaviour_rows": [
            gold_row(model, probe, 0.5 if model == "base" else 0.09)
            for model in ("base", "fine_tuned")
            for probe in probes
        ],
        "calibration_summary": [calibration_row("base", 0.1), calibration_row("fine_tuned", 0.2)],
        "calibration_topics": [topic_row(topic, 40, 0.2) for topic in topics],
        "low_confidence_rows": [unsure_row(topics[number % 20], probe) for number, probe in enumerate(probes[:40])],
        "sae_layer_diff": [layer_row(layer, 0.1, alarm=False) for layer in LAYERS],
        "sae_feature_diff": [feature_row(layer, number, 0.2) for layer in LAYERS for number in range(FEATURES)],
        "regressions": [regression_row(0.5, "before", 0.6, 100, True)],
    }


def _moved(shape: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Every float of it by up to a fifth."""
    for index, field in enumerate(shape.schema):
        if pa.types.is_floating(field.type):
            values = shape[field.name].to_numpy() * rng.uniform(0.8, 1.2, shape.num_rows)
            shape = shape.set_column(index, field, pa.array(values, field.type))
    return shape


def _write_archive(lake: Lake, rng: np.random.Generator) -> None:
    for partition in range(PARTITIONS):
        numbers = range(partition, RUNS, PARTITIONS)
        events = [
            event
            for begin in range(0, len(numbers), AT_ONCE)
            for at_once in zip_longest(*(_events(number, rng) for number in numbers[begin : begin + AT_ONCE]))
            for event in at_once
            if event is not None
        ]
        for first in range(0, len(events), EVENTS_OF_A_FILE):
            _write_range(lake, partition, first, events[first : first + EVENTS_OF_A_FILE])


def _write_range(lake: Lake, partition: int, first: int, events: Sequence[ArchivedEvent]) -> None:
    for table in ("run_events", "signals", "steps"):
        topic = "streakline.signals" if table == "signals" else "streakline.steps"
        own = [Record(first + n, None, event) for n, event in enumerate(events) if table_of(event) == table]
        if own or table != "run_events":
            held = Range(first, first + len(events) - 1)
            data = serialise(table, [to_table(table, topic, partition, own)])
            lake.write_bytes(range_path(table, Series(topic, partition, "0a"), held), data)


def _events(number: int, rng: np.random.Generator) -> Iterator[ArchivedEvent]:
    run_id, project, at = f"run-{number:04}", f"project-{number % PROJECTS}", FIRST_DAY + 60 * number
    yield RunStarted(run_id=run_id, project=project, ts=at, config={"learning_rate": f"{number % 5 + 1}e-5"})
    for step, loss in enumerate(rng.uniform(1, 3, STEPS)):
        norms: dict[str, float | None] = {
            f"layer-{head}.attention": float(norm) for head, norm in enumerate(rng.uniform(0, 2, HEADS))
        }
        yield StepEvent(run_id=run_id, step=step, ts=at + step, loss=float(loss), max_grad=2.0, grad_norms=norms)
    if number % 5 == 0:
        yield signal_of(run_id, number % STEPS, "gradient_spike", "warning", at)
    if number % 50 == 0:
        yield RunFailed(run_id=run_id, project=project, ts=at + STEPS, error="CUDA out of memory")
    else:
        yield RunCompleted(run_id=run_id, project=project, ts=at + STEPS, steps=STEPS)
