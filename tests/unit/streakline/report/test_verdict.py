"""The one sentence: what it says, and what it does not."""

from typing import get_args

import pytest

from streakline.report.content import Report, SaeLayer
from streakline.report.findings import findings
from streakline.report.verdict import Said, verdict
from tests.reported_rows import calibration_rows, layer_row, score_row
from tests.reports import diff, history, marker, report, timeline
from workers.lake.tables import Model

IMPROVED = score_row("accuracy", 0.5, 0.62)
REGRESSED = score_row("robustness", 0.30, 0.18)


def said(run: Report) -> Said:
    return verdict(run, findings(run))


@pytest.mark.parametrize(
    ("run", "text", "gravity"),
    [
        (report(), "Completed; not compared with its base.", "neutral"),
        (report(ending="running"), "Not known to have ended.", "neutral"),
        (
            report(ending="running", timelines=(timeline(1300),), signals=(marker("non_finite", "critical", 7),)),
            "Not known to have ended, last seen at step 1,299; 1 critical signal (non_finite).",
            "bad",
        ),
        (
            report(ending="failed", error="killed", timelines=(timeline(60),)),
            "Failed after step 59: killed.",
            "bad",
        ),
        (report(ending="failed", error=None), "Failed: it did not say why.", "bad"),
        (
            report(diff=diff()),
            "Completed; no measurable change in accuracy, consistency and robustness (n = 200).",
            "neutral",
        ),
        (
            report(diff=diff(scores=(score_row("accuracy", 0.5, 0.51, n=20), score_row("robustness", 0.5, 0.51)))),
            "Completed; no measurable change in accuracy and robustness (n = 20 to 200).",
            "neutral",
        ),
        (
            report(diff=diff(ft_sha="a" * 16)),
            "Completed; nothing changed: base and checkpoint answer exactly alike.",
            "neutral",
        ),
        (report(diff=diff(scores=())), "Completed.", "neutral"),
        (
            report(diff=diff(scores=(IMPROVED,))),
            "Completed; better than its base in accuracy (+0.070 to +0.170); all with 95 % intervals, n = 200.",
            "good",
        ),
    ],
)
def test_what_is_said(run: Report, text: str, gravity: str) -> None:
    assert said(run) == Said(text, gravity)  # type: ignore[arg-type]


def test_worse_comes_before_better_and_chance_is_called_so() -> None:
    told = (
        marker("gradient_spike", "warning", 3),
        marker("dead_layers", "warning", 9),
        marker("loss_plateau", "info", 9),
    )
    fallen = (history("code", significant=True), history("<b>", significant=False, drop=550))
    run = report(diff=diff(scores=(IMPROVED, REGRESSED), histories=fallen), signals=told)
    assert said(run).text == (
        "Completed; worse than its base in robustness (-0.170 to -0.070); "
        "behind the run before it in code by 8 points, perhaps by chance in <b> by 5.5 points; "
        "better than its base in accuracy (+0.070 to +0.170); all with 95 % intervals, n = 200; "
        "2 warning signals (gradient_spike and dead_layers)."
    )


def test_one_better_score_does_not_call_the_rest_unchanged_or_better() -> None:
    text = said(report(diff=diff(scores=(IMPROVED, score_row("consistency", 0.5, 0.51))))).text
    assert "consistency" not in text
    assert "no measurable change" not in text


def test_signals_of_an_attempt_that_was_started_anew_are_not_held_against_it() -> None:
    run = report(attempt=2, signals=(marker("non_finite", "critical", 3, attempt=1),), checkpoint="x")
    assert said(run) == Said("Completed; not compared with its base.", "neutral")


def test_whatever_makes_it_grave_is_said() -> None:
    measured = [
        calibration_rows(model, "held_out", ece=ece, accuracy=0.6)[0]
        for model, ece in zip(get_args(Model), (0.09, 0.24), strict=True)
    ]
    ill = SaeLayer(summary=layer_row(12, 3, alarm=True), features_per_cell=32, n_cells=512, cells=())
    for known, clause in (
        ({"calibration": tuple(measured)}, "calibration error up from 0.090 to 0.240"),
        ({"layers": (ill,)}, "features in doubt at layer 12"),
        ({"left_out": 3}, "3 rows of the diff left out for want of a number"),
    ):
        found = said(report(diff=diff(**known)))
        assert clause in found.text
        assert found.gravity == "doubtful"
    found = said(report(timelines=(timeline(9, non_finite=1),)))
    assert found == Said("Completed; NaN or infinite at 1 step; not compared with its base.", "bad")


def test_a_diff_of_an_attempt_before_is_called_so() -> None:
    run = report(attempt=3, ending="running", diff=diff(attempt=2, scores=(IMPROVED,)))
    assert said(run).text.startswith(
        "Not known to have ended; what is said of its checkpoint is of attempt 2, not 3; better than its base"
    )
