"""The tables of a diff, as a report has them."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import Struct
from msgspec.structs import replace

from streakline.report.content import Diff, Report
from streakline.report.grid import CELLS
from streakline.report.histories import RUNS_SHOWN
from streakline.report.reading import read_report
from tests.reported_rows import feature_rows, layer_row, regression_row, run_row, score_row, unsure_row
from tests.unit.workers.lake.rows import common
from workers.lake.session import Session
from workers.lake.statements import QueryError
from workers.lake.tables import SaeFeatureRow
from workers.lake.writer import Lake


def write(root: Path, run_id: str, number: int, **tables: Sequence[Struct]) -> None:
    own = common(run_id, f"{number:016x}", project="p", created_at=1000.0 + number)
    for table, rows in {**tables, "runs": tables.get("runs", [run_row(run_id)])}.items():
        Lake(str(root)).write(table, rows, own)


def read(root: Path, run_id: str = "r") -> Report:
    with Session(str(root)) as session:
        return read_report(session, run_id)


def diff_of(root: Path, run_id: str = "r") -> Diff:
    found = read(root, run_id).diff
    assert found is not None
    return found


def scored(value: float) -> list[Struct]:
    return [score_row("accuracy", 0.5, value, category="code")]


def test_of_several_diffs_the_latest_counts(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        write(tmp_path, "r", number, model_diff=scored(number / 10))
    found = diff_of(tmp_path)
    assert found.diff_id == f"{3:016x}"
    assert [row.fine_tuned for row in found.scores] == [0.3]
    ((point,),) = (each.points for each in found.histories)
    assert (point.diff_id, point.score) == (f"{3:016x}", 0.3)


def test_of_diffs_that_completed_at_once_the_higher_id_counts(tmp_path: Path) -> None:
    for diff_id in ("0a", "0c", "0b"):
        own = common("r", diff_id * 8, project="p", created_at=1000.0)
        Lake(str(tmp_path)).write("runs", [run_row("r")], own)
    assert diff_of(tmp_path).diff_id == "0c" * 8


def test_what_is_no_number_is_left_out_and_counted(tmp_path: Path) -> None:
    write(
        tmp_path,
        "r",
        1,
        model_diff=[
            replace(score_row("accuracy", 0.5, 0.5), fine_tuned=math.nan),
            replace(score_row("robustness", 0.5, 0.5), standard_error=math.inf),
            score_row("consistency", 0.5, 0.5),
        ],
        low_confidence_rows=[replace(unsure_row(1, "x"), confidence=math.nan), unsure_row(2, "y")],
    )
    found = diff_of(tmp_path)
    assert [(row.score, row.standard_error) for row in found.scores] == [
        ("consistency", score_row("consistency", 0.5, 0.5).standard_error),
        ("robustness", None),
    ]
    assert [row.answer for row in found.low_confidence] == ["y"]
    assert found.left_out == 2


def test_what_no_version_of_ours_wrote_is_told_of_in_a_sentence(tmp_path: Path) -> None:
    odd = replace(score_row("accuracy", 0.5, 0.5), unit="bananas")
    write(tmp_path, "r", 1, model_diff=[odd])
    with pytest.raises(QueryError, match=r"the lake holds something that this version does not know \(Invalid enum"):
        read(tmp_path)


def moved(layer: int, feature: int, delta: float, label: str | None = None) -> SaeFeatureRow:
    (row,) = list(feature_rows(layer, 0))[:1]
    return replace(row, feature=feature, delta_mean=delta, changed=delta != 0, label=label)


def test_cells_of_the_grid(tmp_path: Path) -> None:
    large, small = replace(layer_row(4, 5), n_features=CELLS * 10 + 1), replace(layer_row(9, 1), n_features=100)
    write(
        tmp_path,
        "r",
        1,
        sae_layer_diff=[small, large],
        sae_feature_diff=[
            moved(4, 0, 0.1, "a"),
            moved(4, 10, -0.5),
            moved(4, 9, 0.2, "c"),
            moved(4, 11, 0.3, "d" * 500),
            moved(4, 12, -0.3, "e"),
            moved(4, 13, 0.0, "f"),
            moved(4, 14, math.inf),
            moved(4, CELLS * 10, 7.0),
            moved(4, CELLS * 10 + 1, 8.0),
            moved(9, 99, 0.25),
        ],
    )
    first, second = diff_of(tmp_path).layers
    assert (first.summary.layer, first.features_per_cell, first.n_cells) == (4, 11, 466)
    cells = [(cell.cell, cell.changed, cell.feature, cell.delta_mean, cell.label) for cell in first.cells]
    # The label is that of the feature that moved most, also where that has none; of equals the first counts.
    assert cells == [(0, 3, 10, -0.5, None), (1, 2, 11, 0.3, "d" * 119 + "…"), (465, 1, 5120, 7.0, None)]
    assert (second.features_per_cell, second.n_cells) == (1, 100)
    assert [(cell.cell, cell.feature) for cell in second.cells] == [(99, 99)]


def test_the_lines_have_the_latest_runs_and_this_one(tmp_path: Path) -> None:
    for number in range(RUNS_SHOWN + 5):
        write(tmp_path, f"r{number}", number, model_diff=scored(0.5))
    ((*_, last),) = (each.points for each in diff_of(tmp_path, f"r{RUNS_SHOWN + 4}").histories)
    assert last.run_id == f"r{RUNS_SHOWN + 4}"
    ((first, second, *rest),) = (each.points for each in diff_of(tmp_path, "r0").histories)
    assert (first.run_id, second.run_id, len(rest)) == ("r0", "r6", RUNS_SHOWN - 2)


def test_runs_that_cannot_be_compared_are_not(tmp_path: Path) -> None:
    write(tmp_path, "r", 1, model_diff=scored(0.5))
    write(tmp_path, "other-probes", 2, model_diff=scored(0.5), runs=[run_row("x", probes_sha="ff" * 8)])
    for name, changed in (("other-base", {"base_sha": "zz"}), ("other-project", {"project": "q"})):
        own = common(name, "0123456789abcdef", **{"project": "p", **changed})
        Lake(str(tmp_path)).write("model_diff", scored(0.5), own)
        Lake(str(tmp_path)).write("runs", [run_row(name)], own)
    ((point,),) = (each.points for each in diff_of(tmp_path).histories)
    assert point.run_id == "r"
    assert not point.regressed


def test_a_regression_that_was_told_twice_is_one_point(tmp_path: Path) -> None:
    told = [
        replace(regression_row("code", 0.4, prior, 0.6, significant=True), signal_id=prior) for prior in ("r0", "r1")
    ]
    write(tmp_path, "r", 1, model_diff=scored(0.4), regressions=told)
    ((point,),) = (each.points for each in diff_of(tmp_path).histories)
    assert (point.regressed, point.prior_run_id, point.drop_basis_points) == (True, "r0", 2000)
