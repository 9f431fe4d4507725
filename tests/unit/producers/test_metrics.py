"""The registry of metric names, and the page made from it."""

import re

import pytest

from producers.metrics import METRICS, Metric, RunMetric, metrics_page, sample_names
from tests.documents import ROOT


def test_the_page_is_that_of_the_registry() -> None:
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page(), "run `make docs`"


def test_no_name_is_taken_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert len(sample_names()) == len(METRICS) + 2


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_named_as_prometheus_wants_it(metric: Metric) -> None:
    assert re.fullmatch(r"streakline_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert metric.help.endswith(".")
    assert ("run_id" in metric.labels) == isinstance(metric, RunMetric)
    assert "step" not in metric.labels
