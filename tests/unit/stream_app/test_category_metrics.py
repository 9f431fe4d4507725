"""Which runs have a gauge of their scores, and what it says."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from stream_app.category_metrics import SHOWN_SECONDS, CategoryMetrics, render
from stream_app.histories import ProjectHistory
from stream_app.settings import PerRunMetrics
from tests.unit.stream_app.test_regressing import after, diff

NOW = 1e9


def project(run_id: str = "run", *, ts: float = NOW, fall: float = 0.1, category: str = "math") -> ProjectHistory:
    return after(diff("before", ts - 1, {category: 0.5}), diff(run_id, ts, {category: 0.5 - fall, "new": 1.0}))[0]


def scraped(
    *histories: ProjectHistory, per_run: PerRunMetrics = "all", limit: int = 100
) -> dict[tuple[str, str], float]:
    """(run, category) → value, as Prometheus would read it."""
    families = text_string_to_metric_families(render(histories, per_run, limit, NOW))
    return {
        (sample.labels["run_id"], sample.labels["category"]): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_latest_run_of_each_project_against_the_one_before_it() -> None:
    assert scraped(project("a"), project("b", fall=-0.25)) == {("a", "math"): -0.1, ("b", "math"): 0.25}


def test_a_first_run_has_none() -> None:
    assert scraped(ProjectHistory(), after(diff("a", NOW, {"math": 0.5}))[0]) == {}


@pytest.mark.parametrize(
    ("age", "is_shown"),
    [(0.0, True), (SHOWN_SECONDS, True), (SHOWN_SECONDS + 1, False), (-60.0, True), (-SHOWN_SECONDS - 1, False)],
)
def test_for_a_day_after_it_completed(age: float, is_shown: bool) -> None:
    assert bool(scraped(project(ts=NOW - age))) == is_shown


@pytest.mark.parametrize(("per_run", "is_shown"), [("all", True), ("signals", True), ("none", False)])
def test_alerts_need_it_and_it_can_be_switched_off(per_run: PerRunMetrics, is_shown: bool) -> None:
    assert bool(scraped(project(), per_run=per_run)) == is_shown
    assert bool(CategoryMetrics(lambda: [project()], per_run, 1)()) == is_shown


def test_no_more_runs_than_the_limit_and_those_that_completed_last() -> None:
    projects = [project(f"run-{age}", ts=NOW - age) for age in range(5)]
    assert {run_id for run_id, _ in scraped(*projects, limit=2)} == {"run-0", "run-1"}


def test_a_run_of_two_projects_is_there_once() -> None:
    older, newer = project("run", ts=NOW - 9, fall=0.3), project("run", ts=NOW)
    text = render([newer, older], "all", 100, NOW)
    assert text.count('run_id="run"') == 1
    assert scraped(newer, older) == {("run", "math"): -0.1}


@pytest.mark.parametrize(
    "category", ['"} 1\nstreakline_run_loss{run_id="x', "back\\slash", "\r\n", "", "é 日本", "a,b"]
)
def test_a_category_cannot_break_out_of_its_label(category: str) -> None:
    assert scraped(project(category=category)) == {("run", category): -0.1}
