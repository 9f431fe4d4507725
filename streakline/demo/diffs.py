"""What has to come of the demo's fine-tunes: three diffs, the base measured once, and the damaged one caught."""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct

from producers.codec import encode
from producers.events import DiffCompleted, DiffEvent, Signal
from streakline.demo.fine_tunes import FineTune
from workers.lake.schemas import table_to_rows
from workers.lake.tables import ModelDiffRow, RegressionRow, RunRow
from workers.lake.writer import Lake
from workers.progress import BASE_WAS_KEPT, BASE_WAS_MEASURED
from workers.regression_rows import by_diff, merged, regression_in

_TOOK = re.compile(r"the diff of (\S+/\d+) took ([\d.]+) s$", re.MULTILINE)
_BASE = re.compile(rf"the diff of (\S+/\d+): the base ({BASE_WAS_KEPT}|{BASE_WAS_MEASURED})$", re.MULTILINE)


class Told(Struct, frozen=True):
    """What the worker's log tells of the diffs; run → …"""

    seconds: Mapping[str, float]
    base: Mapping[str, str]
    """`BASE_WAS_KEPT` or `BASE_WAS_MEASURED`"""


def told_in(log: Path, diffs: Iterable[DiffEvent]) -> Told:
    """What the `log` of a diff worker tells of `diffs`; that of an earlier demo may stand before it."""
    text = log.read_text(errors="replace") if log.exists() else ""
    took, base = dict(_TOOK.findall(text)), dict(_BASE.findall(text))
    names = {event.run_id: f"{event.run_id}/{event.attempt}" for event in diffs}
    return Told(
        {run_id: float(took[name]) for run_id, name in names.items() if name in took},
        {run_id: base[name] for run_id, name in names.items() if name in base},
    )


def diff_problems(
    fine_tunes: Sequence[FineTune], diffs: Mapping[str, DiffEvent], signals: Mapping[str, Sequence[Signal]], told: Told
) -> Iterator[str]:
    """A sentence for each thing that had to come and did not, or came and should not have."""
    for fine_tune in fine_tunes:
        run_id = fine_tune.run_id
        event = diffs.get(run_id)
        if event is None:
            yield f"{run_id}: its diff did not come"
        elif not isinstance(event, DiffCompleted):
            yield f"{run_id}: its diff failed: {event.error}"
        caught = {signal.regression.category for signal in signals[run_id] if signal.regression is not None}
        for category in sorted({*fine_tune.mistaught} - caught):
            yield f"{run_id}: nobody noticed how it fell behind in {category}"
    if fine_tunes:
        # By the order of completion, which is that of the diffs of one worker.
        expected = [BASE_WAS_MEASURED, *[BASE_WAS_KEPT] * (len(fine_tunes) - 1)]
        if [told.base.get(fine_tune.run_id) for fine_tune in fine_tunes] != expected:
            yield "the base was to be measured for the first diff only, and was not"


def lake_problems(lake: Lake, diffs: Iterable[DiffEvent], signals: Mapping[str, Sequence[Signal]]) -> Iterator[str]:
    """A sentence for each diff of which the lake holds something else than the topics do."""
    for event in diffs:
        if isinstance(event, DiffCompleted):
            if not _is_stored(lake, event):
                yield f"{event.run_id}: the lake does not hold the diff that the diffs topic tells of"
            if _stored_regressions(lake, event) != _regressions(signals[event.run_id]):
                yield f"{event.run_id}: the lake does not hold the regressions that the signals topic tells of"


def _is_stored(lake: Lake, event: DiffCompleted) -> bool:
    """Whether the stored rows say what `event` does."""
    read = partial(lake.read, project=event.project, day=_day(event), run_id=event.run_id, diff_id=event.diff_id)
    stored, scores = read("runs"), read("model_diff")
    if stored is None or scores is None:
        return False
    (run,), (shas,) = table_to_rows(stored, RunRow), stored.select(["base_sha", "ft_sha"]).to_pylist()
    rows = table_to_rows(scores, ModelDiffRow)
    overall = {row.score: (row.base, row.fine_tuned, row.verdict) for row in rows if row.scope == "overall"}
    categories = {
        row.category: (row.fine_tuned, row.n) for row in rows if (row.score, row.scope) == ("accuracy", "category")
    }
    return (
        shas == {"base_sha": event.base_sha, "ft_sha": event.ft_sha}
        and (run.probes_sha, run.heaviest_layers) == (event.probes_sha, event.heaviest_layers)
        and all(overall.get(each.score) == (each.base, each.fine_tuned, each.verdict) for each in event.scores)
        and categories == {each.category: (each.score, each.n) for each in event.categories}
    )


def _stored_regressions(lake: Lake, event: DiffCompleted) -> list[RegressionRow]:
    stored = lake.read(
        "regressions", project=event.project, day=_day(event), run_id=event.run_id, diff_id=event.diff_id
    )
    return [] if stored is None else merged(table_to_rows(stored, RegressionRow), [])


def _regressions(signals: Iterable[Signal]) -> list[RegressionRow]:
    found = [regression for signal in signals if (regression := regression_in(encode(signal))) is not None]
    return merged([], [row for _, rows in by_diff(found) for row in rows])


def _day(event: DiffCompleted) -> str:
    return dt.datetime.fromtimestamp(event.ts, dt.UTC).date().isoformat()
