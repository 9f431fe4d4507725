"""Which runs have gauges, and what the gauges say."""

import math
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from producers.metrics import METRICS, RunMetric
from stream_app.raw_records import RowKey
from stream_app.records import VERSION, Latest, Mark, RunHead, StateHead
from stream_app.run_metrics import LINGER_SECONDS, RunMetrics, survey
from stream_app.settings import PerRunMetrics

NOW = 5_000.0
MARKED = Latest(
    NOW - 3, 0.5, 2.0, marks={"gradient_spike": {"warning": Mark(NOW - 9, 4), "critical": Mark(NOW - 8, 6)}}
)


def run(
    name: str, *, has_ended: bool = False, is_replay: bool = False, seen_at: float = NOW, latest: Latest | None = None
) -> tuple[RowKey, RunHead]:
    latest = latest or Latest(event_at=seen_at, is_replay=is_replay)
    return RowKey(0, name.encode()), RunHead(VERSION, StateHead(0, 6, has_ended, "vision"), seen_at, latest)


def scraped(runs: list[tuple[RowKey, RunHead]], per_run: PerRunMetrics = "all", limit: int = 100) -> dict[str, float]:
    """Sample → value, as Prometheus would read it."""
    families = text_string_to_metric_families(RunMetrics(lambda: runs, per_run, limit)())
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
    }


def test_a_run_has_every_gauge_of_the_registry() -> None:
    values = scraped([run("a/b", latest=MARKED)])
    assert values == {
        "streakline_runs['active']": 1,
        "streakline_runs['ended']": 0,
        "streakline_runs['replayed']": 0,
        "streakline_hidden_runs[]": 0,
        "streakline_run_info['a/b', 'vision']": 1,
        "streakline_run_active['a/b']": 1,
        "streakline_run_last_event_timestamp_seconds['a/b']": NOW - 3,
        "streakline_run_last_step['a/b']": 6,
        "streakline_run_loss['a/b']": 0.5,
        "streakline_run_grad_norm['a/b']": 2,
        "streakline_run_signal_last_timestamp_seconds['a/b', 'gradient_spike', 'warning']": NOW - 9,
        "streakline_run_signal_last_timestamp_seconds['a/b', 'critical', 'gradient_spike']": NOW - 8,
        "streakline_run_signal_last_step['a/b', 'gradient_spike', 'warning']": 4,
        "streakline_run_signal_last_step['a/b', 'critical', 'gradient_spike']": 6,
    }
    shown = {name.partition("[")[0] for name in values}
    not_ours = {"streakline_eval_category_score_delta"}
    assert {metric.name for metric in METRICS if isinstance(metric, RunMetric)} - shown == not_ours


def test_what_was_never_measured_has_no_gauge() -> None:
    key, head = run("new")
    values = scraped([(key, RunHead(VERSION, StateHead(0, -1, False, "p"), head.seen_at, head.latest))])
    assert {name.partition("[")[0] for name in values if "new" in name} == {
        "streakline_run_info",
        "streakline_run_active",
        "streakline_run_last_event_timestamp_seconds",
    }


@pytest.mark.parametrize(("per_run", "with_run_id"), [("signals", 4), ("none", 0)])
def test_fewer_series_on_request(per_run: PerRunMetrics, with_run_id: int) -> None:
    values = scraped([run("a/b", latest=MARKED), run("c")], per_run)
    assert sum("'a/b'" in name or "'c'" in name for name in values) == with_run_id
    assert values["streakline_runs['active']"] == 2
    assert values["streakline_hidden_runs[]"] == 0


def test_an_ended_run_lingers_so_that_its_last_signal_is_scraped() -> None:
    runs = [
        run("just", has_ended=True, seen_at=NOW - LINGER_SECONDS),
        run("long", has_ended=True, seen_at=NOW - LINGER_SECONDS - 1),
        run("silent", seen_at=NOW - 80_000),
    ]
    found = survey(runs, 100, NOW)
    assert [(each.run_id, each.is_active) for each in found.live] == [("just", False), ("silent", True)]
    assert (found.active, found.ended, found.replayed, found.hidden) == (1, 2, 0, 0)


def test_a_replay_is_never_active_and_goes_as_ended_ones_do() -> None:
    runs = [run("now", is_replay=True), run("then", is_replay=True, seen_at=NOW - LINGER_SECONDS - 1)]
    found = survey(runs, 100, NOW)
    assert [(each.run_id, each.is_active) for each in found.live] == [("now", False)]
    assert (found.active, found.replayed) == (0, 2)


def test_no_more_runs_than_the_limit_and_those_that_changed_last() -> None:
    runs = [run(f"run-{age}", seen_at=NOW - age) for age in range(10)]
    found = survey(runs, 3, NOW)
    assert {each.run_id for each in found.live} == {"run-0", "run-1", "run-2"}
    assert found.hidden == 7


def test_a_project_cannot_break_out_of_its_label() -> None:
    """The contract refuses it long before; the renderer does not rely on that."""
    head = RunHead(VERSION, StateHead(0, 6, False, 'p"} 1\nstreakline_run_loss{run_id="x'), time.time())
    values = scraped([(RowKey(0, b"a"), head)])
    assert not any("'x'" in name for name in values)


def test_what_is_not_finite_is_shown_as_it_is() -> None:
    values = scraped([run("a", latest=Latest(NOW, math.nan, math.inf)), run("b", latest=Latest(NOW, -math.inf, None))])
    assert math.isnan(values["streakline_run_loss['a']"])
    assert values["streakline_run_grad_norm['a']"] == math.inf
    assert values["streakline_run_loss['b']"] == -math.inf
