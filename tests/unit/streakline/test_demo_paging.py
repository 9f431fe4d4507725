"""Who has to be told of the demo's signals: derived from the signals alone, and held against the pages."""

from collections.abc import Sequence
from typing import Literal

from msgspec.structs import replace

from producers.events import Severity, Signal, SignalType
from streakline.demo.cast import Part
from streakline.demo.paging import Telling, overdue, tellings, uncalled_for
from streakline.pages import Page, Receiver
from stream_app.engine.replay import signals_of, steps
from tests.regressed import regressed


def part(run_id: str, *, is_replay: bool = False) -> Part:
    return Part(run_id=run_id, story="", steps=1, expected=frozenset(), forbidden=frozenset(), is_replay=is_replay)


def signal(type_: SignalType, severity: Severity, *, ts: float = 100.0) -> Signal:
    (nan,) = signals_of(steps(loss=[float("nan")]))
    values = {name: getattr(nan, name) for name in nan.__struct_fields__}
    return Signal(**values | {"type": type_, "severity": severity, "ts": ts})


def page(
    run_id: str,
    type_: SignalType,
    severity: Severity,
    receiver: Receiver,
    *,
    status: Literal["firing", "resolved"] = "firing",
) -> Page:
    return Page(
        receiver=receiver,
        status=status,
        alert="TrainingRunSignal",
        run_id=run_id,
        type=type_,
        severity=severity,
        summary="",
        fingerprint="",
        starts_at=104.0,
        received_at=105.0,
    )


def told(part_: Part, signals: Sequence[Signal], *pages: Page) -> list[Telling]:
    return [*tellings([part_], {part_.run_id: signals}, pages)]


def test_a_critical_signal_is_due_at_the_pager_until_it_is_there() -> None:
    signals = [signal("loss_diverging", "critical"), signal("loss_diverging", "critical", ts=200.0)]
    (before,) = told(part("a"), signals)
    assert (before.page, before.due) == (None, "pager")
    assert [*overdue([before])] == ["a: pager did not hear of loss_diverging (critical)"]
    paged = page("a", "loss_diverging", "critical", "pager")
    (after,) = told(part("a"), signals, paged)
    assert (after.page, after.due, after.signalled_at) == (paged, None, 100.0)
    assert [*overdue([after])] == []


def test_a_page_of_another_run_or_severity_or_of_an_end_is_not_it() -> None:
    others = [
        page("b", "loss_diverging", "critical", "pager"),
        page("a", "loss_diverging", "warning", "warnings"),
        page("a", "loss_diverging", "critical", "pager", status="resolved"),
    ]
    (telling,) = told(part("a"), [signal("loss_diverging", "critical")], *others)
    assert telling.due == "pager"


def test_who_knows_of_the_run_need_not_hear_of_it_again_at_once() -> None:
    both = [signal("loss_diverging", "critical"), signal("non_finite", "critical")]
    first, second = told(part("a"), both, page("a", "non_finite", "critical", "pager"))
    assert (first.due, first.reason) == (None, "pager, who knows of the run, with the next message")
    assert second.page is not None


def test_a_warning_is_due_unless_the_run_is_critical() -> None:
    warning = signal("dead_layers", "warning")
    (alone,) = told(part("a"), [warning])
    assert alone.due == "warnings"
    beside, critical = told(part("a"), [warning, signal("non_finite", "critical")])
    assert (beside.due, critical.due) == (None, "pager")


def test_one_type_at_two_severities_is_told_of_twice() -> None:
    both = told(part("a"), [signal("gradient_spike", "warning"), signal("gradient_spike", "critical")])
    assert [(telling.severity, telling.due) for telling in both] == [("warning", None), ("critical", "pager")]


def test_nothing_is_due_for_info_and_for_replays() -> None:
    (info,) = told(part("a"), [signal("loss_plateau", "info")])
    (replay,) = told(part("a", is_replay=True), [signal("non_finite", "critical")])
    assert (info.due, replay.due) == (None, None)
    assert "digest" in info.reason
    assert "replay" in replay.reason


def test_pages_for_a_replay_and_for_a_run_without_signals_are_uncalled_for() -> None:
    cast = [part("live"), part("healthy"), part("old", is_replay=True)]
    signals = {"live": [signal("non_finite", "critical")], "healthy": [], "old": [signal("non_finite", "critical")]}
    pages = [page(run_id, "non_finite", "critical", "pager") for run_id in ("live", "healthy", "old", "unknown")]
    assert [*uncalled_for(cast, signals, pages)] == [
        "healthy: pager heard of TrainingRunSignal and should not have",
        "old: pager heard of TrainingRunSignal and should not have",
    ]


def regressions(*categories: str) -> list[Signal]:
    return [regressed("a", category) for category in categories]


def regression_page(alert: str, receiver: Receiver) -> Page:
    return replace(page("a", "category_regressed", "warning", receiver), alert=alert, type=None)


def test_the_pager_hears_of_a_run_that_fell_behind_in_three_categories_and_the_channel_of_fewer() -> None:
    for count, due in ((1, "warnings"), (2, "warnings"), (3, "pager")):
        signals = {"a": regressions(*("x", "y", "z")[:count])}
        (telling,) = tellings([part("a")], signals, [])
        assert telling.due == due


def test_an_alert_of_a_runs_scores_tells_of_its_regressions() -> None:
    three, one = {"a": regressions("x", "y", "z")}, {"a": regressions("x")}
    broad, single = (
        regression_page("CategoryRegressionBroad", "pager"),
        regression_page("CategoryRegression", "warnings"),
    )
    assert [telling.page for telling in tellings([part("a")], three, [single, broad])] == [broad]
    assert [telling.page for telling in tellings([part("a")], one, [single])] == [single]
    assert [telling.due for telling in tellings([part("a")], three, [single])] == ["pager"]
