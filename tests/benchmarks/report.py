"""The report of a run of 100,000 steps: how long it takes to read and to render, and how large the page is."""

import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from unittest.mock import patch

import numpy as np

from producers.events import StepEvent
from streakline.report.page import render
from streakline.report.reading import read_report
from tests.archived import write_events
from tests.benchmarks.many_runs import RUNS, write_many
from tests.reported_lake import PROJECT, write
from workers.archive.compact import compact_archive
from workers.archive.rows import ArchivedEvent
from workers.lake.compact import compact
from workers.lake.session import Session
from workers.lake.writer import Lake

ROUNDS = 7
STEPS = 100_000
LAYERS = 24


def main() -> None:
    """Print a table."""
    print(f"## {STEPS:,} steps of {LAYERS} layers, three SAE layers; median of {ROUNDS} (range), processor time")
    print("| the norms of a step | opened and read | rendered | page | points drawn |")
    print("|---|---|---|---|---|")
    for has_maximum in (True, False):
        with tempfile.TemporaryDirectory(prefix="streakline-bench-") as folder:
            root = Path(folder)
            # Not what is measured here.
            with patch.object(os, "fsync"):
                known = write(root)
                write_events(Lake(str(root)), list(_steps(known.run, has_maximum=has_maximum)), topic="streakline.long")
            _report(root, known.run, "with their maximum" if has_maximum else "by layer only")
    with tempfile.TemporaryDirectory(prefix="streakline-bench-") as folder:
        _many(Path(folder))


def _many(root: Path) -> None:
    """One report of a lake of `RUNS` runs, before and after its files are merged."""
    print(f"## one of {RUNS:,} runs; median of {ROUNDS} (range), processor time")
    with patch.object(os, "fsync"):
        write_many(root)
    _tell_many(root, "not compacted")
    now = time.time()
    with patch.object(os, "fsync"):
        for at in (now, now + 7200):
            compact(str(root), now=at)
            compact_archive(str(root), {"streakline.steps": "steps"}, now=at)
    _tell_many(root, "compacted")


def _tell_many(root: Path, which: str) -> None:
    reading = []
    for _ in range(ROUNDS):
        started = _now()
        with Session(str(root)) as session:
            found = read_report(session, "run-1003")
        reading.append(_since(started, _now()))
    assert found.diff is not None
    print(f"{which}: {_seconds(reading)}; load {os.getloadavg()[0]:.1f}", flush=True)


def _report(root: Path, run: str, which: str) -> None:
    reading, rendering = [], []
    for _ in range(ROUNDS):
        started = _now()
        with Session(str(root)) as session:
            found = read_report(session, run, project=PROJECT)
        read = _now()
        page = render(found).encode()
        reading.append(_since(started, read))
        rendering.append(_since(read, _now()))
    points = sum(len(each.steps) for each in found.timelines)
    assert max(each.total_steps for each in found.timelines) == STEPS
    size = f"{len(page) / 2**20:.2f} MiB"
    print(f"| {which} | {_seconds(reading)} | {_seconds(rendering)} | {size} | {points:,} |", flush=True)


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _since(before: tuple[float, float], after: tuple[float, float]) -> tuple[float, float]:
    return after[0] - before[0], after[1] - before[1]


def _seconds(rounds: list[tuple[float, float]]) -> str:
    """Of (seconds on the clock, of the processor)."""
    wall, processor = zip(*rounds, strict=True)
    return f"{median(wall):.2f} s ({min(wall):.2f} to {max(wall):.2f}), {median(processor):.2f} s"


def _steps(run: str, *, has_maximum: bool) -> Iterator[ArchivedEvent]:
    """A third attempt of the run that has everything; noise, so that thinning has something to do."""
    rng = np.random.default_rng(0)
    names = [f"model.layers.{layer}.self_attn" for layer in range(LAYERS)]
    for step, norms in enumerate(rng.lognormal(0, 0.5, (STEPS, LAYERS)).astype(np.float32)):
        yield StepEvent(
            run_id=run,
            attempt=3,
            step=step,
            ts=1.7e9 + step,
            loss=2 * math.exp(-step / 30_000) + float(rng.normal(1, 0.1)),
            max_grad=float(norms.max()) if has_maximum else None,
            grad_norms=dict(zip(names, norms.tolist(), strict=True)),
        )
