"""What is found in a run, how grave it is, and what to do about it."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from streakline.report.content import Diff, Finding, Report, SaeLayer
from streakline.report.findings import findings
from tests.reported_lake import HOSTILE
from tests.reported_rows import calibration_rows, layer_row, score_row, topic_row
from tests.reports import diff, history, marker, report, timeline
from workers.lake.tables import EvalSplit, Model


def of(found: Sequence[Finding], section: str) -> list[tuple[str, str]]:
    """Gravity and text of those of a section."""
    return [(each.gravity, each.text) for each in found if each.section == section]


def test_of_a_run_that_failed() -> None:
    failed = report(ending="failed", error="CUDA out of memory.\nTraceback", timelines=(timeline(60),))
    (found,) = findings(failed)
    assert (found.gravity, found.text) == ("bad", "The run failed after step 59: CUDA out of memory.")
    assert found.command is not None
    assert "ORDER BY step DESC" in found.command


def test_of_a_run_that_failed_before_its_first_step() -> None:
    (found,) = findings(report(ending="failed", error=" \n"))
    assert (found.text, found.command) == ("The run failed: it did not say why.", None)


def test_steps_that_are_no_number_are_bad_unless_they_were_trained_anew() -> None:
    found = findings(report(attempt=2, timelines=(timeline(9, attempt=1, non_finite=3), timeline(8, attempt=2))))
    assert of(found, "timeline") == [
        (
            "neutral",
            "The loss or a gradient norm is NaN or infinite in 3 of 9 steps of attempt 1, which was started anew.",
        )
    ]
    (found_now, *_) = findings(report(timelines=(timeline(9, non_finite=1),)))
    assert (found_now.gravity, found_now.section) == ("bad", "timeline")


@pytest.mark.parametrize(
    ("ending", "severity", "gravity"),
    [
        ("completed", "critical", "doubtful"),
        ("running", "critical", "bad"),
        ("completed", "warning", "doubtful"),
        ("running", "info", "neutral"),
    ],
)
def test_how_grave_a_signal_is(ending: str, severity: str, gravity: str) -> None:
    run = report(ending=ending, signals=(marker("gradient_spike", severity, 40),))  # type: ignore[arg-type]
    assert ("signals", gravity) in {(found.section, found.gravity) for found in findings(run)}


def test_each_type_of_signal_is_told_once() -> None:
    told = (
        marker("gradient_spike", "critical", 7, attempt=1),
        marker("loss_plateau", "info", 9, attempt=1),
        marker("gradient_spike", "warning", 1200, attempt=2),
        marker("gradient_spike", "critical", 1300, attempt=2),
        marker("category_regressed", "warning", 2000, attempt=2),
    )
    run = report(attempt=2, ending="running", signals=told, timelines=(timeline(9, attempt=1), timeline(9, attempt=2)))
    assert of(findings(run), "signals") == [
        (
            "bad",
            (
                "gradient_spike fired 2 times (1 critical), first at step 1,200 of attempt 2; "
                "1 more before the run was started anew."
            ),
        ),
        ("neutral", "loss_plateau fired once, at step 9 of attempt 1, before the run was started anew."),
    ]


def test_more_signals_than_are_shown_are_at_least_so_many() -> None:
    told = tuple(marker("gradient_spike", "warning", step) for step in range(2))
    (found,) = (each for each in findings(report(signals=told, signals_total=900)) if each.section == "signals")
    assert found.text == "gradient_spike fired at least 2 times, first at step 0."
    assert found.command is not None
    assert "FROM signals" in found.command


def test_the_norms_of_the_layer_that_died_are_asked_for() -> None:
    run = report(timelines=(timeline(50),), signals=(marker("dead_layers", "warning", 30, layers=("it's", "b")),))
    commands = [each.command or "" for each in findings(run) if each.section == "signals"]
    assert "grad_norms['it''s'] AS layer_norm" in commands[0]
    assert "step BETWEEN 10 AND 40" in commands[0]


def test_a_completed_run_without_a_diff() -> None:
    ready = report(base_model="models/base", checkpoint="runs/it's")
    assert findings(ready)[0].command == ('streakline diff models/base "runs/it\'s" --run-id sft-7 --project assistant')
    assert findings(report())[0].text == "There is no model diff: the run named no checkpoint."
    assert findings(report(checkpoint="runs/7"))[0].text == "There is no model diff: the run named no base model."
    assert findings(report(ending="running")) == ()


def test_scores_are_told_by_their_verdict() -> None:
    scores = (
        score_row("robustness", 0.30, 0.18),
        score_row("accuracy", 0.50, 0.62),
        score_row("suppression", 0.20, 0.40, higher_is_better=False),
        score_row("consistency", 0.50, 0.51),
        score_row("robustness", 0.9, 0.1, category="code"),
        score_row("mean_kl", 0.1, 0.9, higher_is_better=None),
    )
    assert of(findings(report(diff=diff(scores=scores))), "scores") == [
        ("bad", "robustness fell from 0.300 to 0.180 (-0.120, 95 % -0.170 to -0.070, n = 200): worse than the base."),
        ("bad", "suppression rose from 0.200 to 0.400 (+0.200, 95 % +0.150 to +0.250, n = 200): worse than the base."),
        ("good", "accuracy rose from 0.500 to 0.620 (+0.120, 95 % +0.070 to +0.170, n = 200): better than the base."),
        ("neutral", "No measurable change in consistency (+0.010, 95 % -0.040 to +0.060, n = 200)."),
    ]


def test_the_worst_categories_come_first_whichever_way_is_worse() -> None:
    scores = (
        score_row("robustness", 0.5, 0.3),
        score_row("robustness", 0.5, 0.3, category="code"),
        score_row("suppression", 0.2, 0.4, higher_is_better=False),
        score_row("suppression", 0.2, 0.4, category="a", topic="b", higher_is_better=False),
    )
    commands = [each.command or "" for each in findings(report(diff=diff(scores=scores)))]
    assert 'ORDER BY delta"' in commands[0]
    assert 'ORDER BY delta DESC"' in commands[1]


@pytest.mark.parametrize(
    "same",
    [
        diff(ft_sha="a" * 16),
        diff(
            scores=(score_row("accuracy", 0.5, 0.5, half_width=0.0), score_row("robustness", 0.2, 0.2, half_width=0.0))
        ),
    ],
)
def test_a_base_against_itself(same: Diff) -> None:
    (found,) = findings(report(diff=same))
    assert found.text.startswith("Base and checkpoint answer exactly alike")
    assert found.gravity == "neutral"


def test_a_diff_of_features_alone_is_not_called_unchanged() -> None:
    assert findings(report(diff=diff(scores=()))) == ()


def test_regressions_are_bad_beyond_chance_only() -> None:
    fallen = diff(histories=(history("code", significant=False), history("x" * 100, significant=True, drop=1250)))
    found = [each for each in findings(report(diff=fallen)) if each.section == "regressions"]
    assert [each.gravity for each in found] == ["bad", "doubtful"]
    assert found[0].text.startswith("x" * 59 + "…: 52 % of 200 probes right, 12.5 points below sft-6, more than chance")
    assert found[1].text.endswith("8 points below sft-6, which may be chance at so few probes.")
    assert all("JOIN (FROM behaviour_rows" in (each.command or "") for each in found)


def test_where_the_run_before_is_not_in_the_lake_the_regressions_are_asked_for() -> None:
    fallen = diff(histories=(history("code", significant=True, prior="sft-0"),))
    (found,) = (each for each in findings(report(diff=fallen)) if each.section == "regressions")
    assert found.command is not None
    assert "FROM regressions" in found.command


def layers(*changed: int, alarm: int = -1) -> tuple[SaeLayer, ...]:
    rows = [layer_row(number, n, alarm=number == alarm) for number, n in enumerate(changed)]
    return tuple(SaeLayer(summary=row, features_per_cell=32, n_cells=512, cells=()) for row in rows)


def test_features() -> None:
    measured = diff(layers=layers(4, 2048, alarm=1), heaviest_layers=(1, 0, 99))
    assert of(findings(report(diff=measured)), "features") == [
        (
            "doubtful",
            (
                "The SAE no longer fits the fine-tuned model at layer 1 (41 % of the variance unexplained, 20 % of the "
                "base's): what is said of its features is in doubt."
            ),
        ),
        ("neutral", "Most rewritten: layer 1 (50 % of its live features) and layer 0 (0.1 % of its live features)."),
    ]
    assert of(findings(report(diff=diff(layers=layers(0, 0)))), "features") == [
        ("neutral", "No feature changed in any of 2 layers that an SAE was given for.")
    ]


def calibrated(base: float, after: float, split: EvalSplit = "held_out") -> Report:
    sides: tuple[tuple[Model, float], ...] = (("base", base), ("fine_tuned", after))
    rows = [calibration_rows(model, split, ece=ece, accuracy=0.6)[0] for model, ece in sides]
    return report(diff=diff(calibration=tuple(rows)))


@pytest.mark.parametrize(
    ("base", "after", "gravity", "said"),
    [
        (
            0.09,
            0.24,
            "doubtful",
            "worse; a perfectly calibrated model would measure 0.060, and this one is 24 points too sure",
        ),
        (0.30, 0.12, "good", "better; a perfectly calibrated model"),
        (0.10, 0.13, "neutral", "no measurable change; a perfectly"),
        (0.07, 0.08, "neutral", "which is not told apart from it."),
    ],
)
def test_calibration(base: float, after: float, gravity: str, said: str) -> None:
    ((found_gravity, text),) = of(findings(calibrated(base, after)), "calibration")
    assert (found_gravity, said in text) == (gravity, True), text


def test_a_model_may_be_too_unsure() -> None:
    run = calibrated(0.1, 0.3)
    assert run.diff is not None
    base, after = run.diff.calibration
    unsure = replace(after, mean_confidence=0.4, accuracy=0.6)
    ((_, text),) = of(findings(report(diff=diff(calibration=(base, unsure)))), "calibration")
    assert text.endswith("this one is 20 points too unsure of itself on average.")


def test_what_was_trained_on_is_never_held_against_the_base() -> None:
    ((gravity, text),) = of(findings(calibrated(0.3, 0.01, "train")), "calibration")
    assert (gravity, "training set only" in text) == ("neutral", True)


def test_topics_of_too_few_probes() -> None:
    topics = (topic_row("fine_tuned", "a", "t" * 100, 0.1, 12), topic_row("fine_tuned", "a", "rivers", 0.1, 30))
    ((gravity, text),) = of(findings(report(diff=diff(topics=topics))), "calibration")
    assert gravity == "neutral"
    assert text == (
        "Nothing can be said of calibration by topic in 1 of 2 topics, for want of 30 held-out probes: "
        + "t" * 59
        + "…."
    )


def test_what_the_model_is_unsure_of_is_a_dataset() -> None:
    (found,) = (
        each for each in findings(report(diff=diff(low_confidence_total=1))) if each.section == "low-confidence"
    )
    assert found.text.startswith("The fine-tuned model is unsure of 1 answer;")
    assert (found.command or "").endswith("-o unsure.jsonl")


@pytest.mark.parametrize(("n", "said"), [(1, "1 row of the diff is left out"), (2, "2 rows of the diff are left out")])
def test_figures_that_are_no_numbers_are_told_of(n: int, said: str) -> None:
    found = findings(report(diff=diff(left_out=n)))
    assert found[0].gravity == "doubtful"
    assert found[0].text.startswith(said)


def test_the_worst_comes_first() -> None:
    run = report(
        ending="failed",
        error=HOSTILE[0],
        signals=(marker("loss_plateau", "info", 3), marker("gradient_spike", "warning", 4)),
        diff=diff(scores=(score_row("accuracy", 0.5, 0.7),)),
    )
    assert [each.gravity for each in findings(run)] == ["bad", "doubtful", "good", "neutral"]
