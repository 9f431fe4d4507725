"""The tables in which the demo's diffs are shown."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table
from rich.text import Text

from producers.events import DiffCompleted, DiffEvent, Signal
from producers.events import Verdict as Judged
from streakline.demo.diffs import Told
from streakline.demo.fine_tunes import FineTune
from streakline.demo.show import SCORES, table_of

_COLOURS: dict[Judged, str] = {"improved": "green", "regressed": "red", "unchanged": "dim"}


def diffs_table(fine_tunes: Iterable[FineTune], diffs: Mapping[str, DiffEvent], told: Told) -> Table:
    """Run × score: base → fine-tuned, and the verdict; which layer changed most, how long it took, and the base's half.

    A run whose diff did not come has a row, too.
    """
    table = table_of("run", *SCORES, "heaviest layer", "took", "the base")
    for fine_tune in fine_tunes:
        name = Text(fine_tune.run_id, style="bold")
        event = diffs.get(fine_tune.run_id)
        if not isinstance(event, DiffCompleted):
            table.add_row(name, Text("no diff", style="red"))
            continue
        found = {change.score: change for change in event.scores}
        cells = []
        for score in SCORES:
            change = found.get(score)
            cells.append(
                Text("-")
                if change is None
                else Text.assemble(
                    f"{change.base:.2f} → {change.fine_tuned:.2f} ", (change.verdict, _COLOURS[change.verdict])
                )
            )
        seconds = told.seconds.get(fine_tune.run_id)
        took = "-" if seconds is None else f"{seconds:.1f} s"
        layer = str(event.heaviest_layers[0]) if event.heaviest_layers else "-"
        table.add_row(name, *cells, layer, took, told.base.get(fine_tune.run_id, "-"))
    return table


def regressions_table(signals: Iterable[Sequence[Signal]]) -> Table:
    """Run × category that fell behind, as the signals tell of it."""
    table = table_of("regressed run", "category", "right", "the run before it", "right then", "points", "chance?")
    for of_run in signals:
        for signal in of_run:
            if (told := signal.regression) is not None:
                table.add_row(
                    Text(signal.run_id, style="bold"),
                    told.category,
                    f"{signal.value:.0%} of {told.n}",
                    told.prior_run_id,
                    f"{told.prior_score:.0%} of {told.prior_n}",
                    f"-{told.drop_basis_points / 100:.1f}",
                    "no" if told.significant else "perhaps",
                )
    return table
