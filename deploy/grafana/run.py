"""One run: what it does, what was said of it, and when."""

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.common import ScaleDistributionConfig
from grafana_foundation_sdk.builders.dashboard import Dashboard, QueryVariable
from grafana_foundation_sdk.models.common import ScaleDistribution
from grafana_foundation_sdk.models.dashboard import VariableRefresh, VariableSort
from grafana_foundation_sdk.models.units import NoUnit, PercentUnit, Seconds, Short

from deploy.grafana.annotations import SignalMarks
from deploy.grafana.frame import RUN_UID, folded_row, framed, open_row
from deploy.grafana.panels import graph, name, number, timeline, with_lines
from deploy.grafana.placing import DATASOURCE, Place, colors, words
from deploy.grafana.promql import RECENT_SECONDS, THIS_RUN, last_known, per, seconds_since
from deploy.grafana.queries import at_the_end, over_time, rows
from deploy.grafana.tables import Column, ranked
from producers.metrics import (
    CATEGORY_DELTA,
    RUN_ACTIVE,
    RUN_GRAD_NORM,
    RUN_INFO,
    RUN_LAST_EVENT,
    RUN_LAST_STEP,
    RUN_LOSS,
    RUN_SIGNAL_LAST,
    RUN_SIGNAL_LAST_STEP,
)

_ENDED = "not exposed"
_FIRING = 'ALERTS{alertname=~"Training.+",alertstate="firing",run_id="$run_id"}'


def run() -> Dashboard:
    """The dashboard."""
    dashboard = framed(
        RUN_UID,
        "Streakline: one run",
        "The curves of one run, with a mark for each signal. A run that ended is exposed for five minutes more; later, "
        "choose a time range that holds its last minutes.",
        hours=6,
    )
    dashboard.with_variable(
        QueryVariable("run_id")
        .label("Run")
        .datasource(DATASOURCE)
        .query(f"label_values({RUN_INFO.name}, run_id)")
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
    )
    for marks in (SignalMarks("critical", "red"), SignalMarks("warning", "orange"), SignalMarks("info", "blue")):
        dashboard.annotation(marks)
    open_row(dashboard, "Now", _project(), _active(), _last_step(), _silence(), _alerts())
    open_row(dashboard, "Curves", _loss(), _grad_norm())
    open_row(dashboard, "Signals", _signals(), _recent())
    open_row(dashboard, "Pace", _steps(), _silence_over_time())
    folded_row(dashboard, "Evaluations", _categories())
    return dashboard


def _project() -> stat.Panel:
    return name(
        Place(
            "Project",
            "Whose run it is, and whose thresholds it is judged by.",
            width=5,
            height=4,
            unit=NoUnit,
        ),
        over_time(per("project", RUN_INFO.name + THIS_RUN), "{{project}}"),
        nothing=_ENDED,
    )


def _active() -> stat.Panel:
    return number(
        Place(
            "State",
            "Active: expected to step. Otherwise it has ended, or its steps are a replay of old ones, and it never "
            "counts as stalled.",
            width=4,
            height=4,
            unit=NoUnit,
        ),
        over_time(per("run_id", RUN_ACTIVE.name + THIS_RUN), "active"),
        nothing=_ENDED,
    ).mappings([words(("ended or replayed", "text"), ("active", "green"))])


def _last_step() -> stat.Panel:
    return number(
        Place(
            "Last step",
            "The latest step that was judged.",
            width=4,
            height=4,
            unit=NoUnit,
        ),
        over_time(per("run_id", RUN_LAST_STEP.name + THIS_RUN), "step"),
        nothing=_ENDED,
    ).decimals(0)


def _silence() -> stat.Panel:
    return number(
        Place(
            "Since the last event",
            f"Since the trainer measured it. Over {RECENT_SECONDS} s while the run is active is a stall: look at the "
            "trainer's log and at its node. Or the pipeline lags: its dashboard says so.",
            width=5,
            height=4,
            unit=Seconds,
        ),
        at_the_end(seconds_since("run_id", RUN_LAST_EVENT.name + THIS_RUN, "$__range"), "silent"),
        steps=colors("green", (120, "yellow"), (RECENT_SECONDS, "red")),
        nothing=_ENDED,
    )


def _alerts() -> table.Panel:
    return ranked(
        Place(
            "Firing alerts",
            "The alerts about this run that fire now. An alert about a signal ends by itself 10 minutes after the "
            "latest one: that it ended says that the run was quiet, not that it is well.",
            width=6,
            height=4,
            unit=NoUnit,
        ),
        [rows(f"max by (alertname, type, severity) ({_FIRING})")],
        [Column("alertname", "Alert"), Column("type", "Signal"), Column("severity", "Severity")],
        by="Severity",
        nothing="none",
    )


def _loss() -> timeseries.Panel:
    return graph(
        Place(
            "Loss",
            "The training loss of the latest step at each scrape; steps between two scrapes are not seen. Marks are "
            "signals (red critical, orange warning, blue info). A gap is a loss that was not finite, or no worker.",
            width=24,
            height=9,
            unit=Short,
        ),
        over_time(per("run_id", RUN_LOSS.name + THIS_RUN), "loss"),
        calcs=("min", "max", "lastNotNull"),
    )


def _grad_norm() -> timeseries.Panel:
    return graph(
        Place(
            "Gradient norm",
            "The largest gradient norm of a layer, before clipping, on a logarithmic scale, where a norm of 0 is not "
            "drawn. A spike that falls back at once is usually one batch; a rise that stays, the learning rate.",
            width=24,
            height=9,
            unit=Short,
        ),
        over_time(per("run_id", RUN_GRAD_NORM.name + THIS_RUN), "gradient norm"),
        calcs=("min", "max", "lastNotNull"),
    ).scale_distribution(ScaleDistributionConfig().type(ScaleDistribution.LOG).log(10))


def _signals() -> table.Panel:
    steps = last_known("type, severity", RUN_SIGNAL_LAST_STEP.name + THIS_RUN, "$__range")
    return ranked(
        Place(
            "Latest signals",
            "The latest signal of each type and severity, the newest first, and the step it was raised at. "
            "`streakline signals` prints all of them, with their message and numbers.",
            width=12,
            height=8,
            unit=NoUnit,
        ),
        [rows(seconds_since("type, severity", RUN_SIGNAL_LAST.name + THIS_RUN, "$__range")), rows(steps)],
        [
            Column("type", "Signal"),
            Column("severity", "Severity"),
            Column("Value #A", "Ago", unit=Seconds, steps=colors("red", (RECENT_SECONDS, "text"))),
            Column("Value #B", "Step"),
        ],
        by="Ago",
        nothing="no signal",
    )


def _recent() -> statetimeline.Panel:
    latest = per("type, severity", RUN_SIGNAL_LAST.name + THIS_RUN)
    return timeline(
        Place(
            "Recent signals over time",
            "A band for each type: colored while a signal of the last 10 minutes holds its alert up. A band that does "
            "not end is a condition that persists.",
            width=12,
            height=8,
            unit=NoUnit,
        ),
        over_time(f"time() - {latest} < bool {RECENT_SECONDS}", "{{type}} ({{severity}})"),
        words(("quiet", "transparent"), ("recent", "orange")),
    )


def _steps() -> timeseries.Panel:
    return graph(
        Place(
            "Step",
            "The latest step that counted. Flat is a stall; a fall is a restart from an earlier checkpoint.",
            width=12,
            height=7,
            unit=NoUnit,
        ),
        over_time(per("run_id", RUN_LAST_STEP.name + THIS_RUN), "step"),
    )


def _silence_over_time() -> timeseries.Panel:
    panel = graph(
        Place(
            "Time since the last event",
            "A saw whose teeth are the run's pace: evaluations and checkpoints are the tall ones. The line is "
            "where an active run counts as stalled.",
            width=12,
            height=7,
            unit=Seconds,
        ),
        over_time(f"time() - {per('run_id', RUN_LAST_EVENT.name + THIS_RUN)}", "silent"),
    )
    return with_lines(panel, (RECENT_SECONDS, "red"))


def _categories() -> timeseries.Panel:
    return graph(
        Place(
            "Score by category, less the baseline",
            "Of the run's latest evaluated checkpoint. Below zero the checkpoint is worse than its project's baseline "
            "in that category; several at once is a regression worth stopping for.",
            width=24,
            height=9,
            unit=PercentUnit,
        ),
        over_time(per("category", CATEGORY_DELTA.name + THIS_RUN), "{{category}}"),
        calcs=("lastNotNull",),
    )
