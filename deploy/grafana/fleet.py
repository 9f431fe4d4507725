"""The fleet: which run needs somebody now."""

from grafana_foundation_sdk.builders import bargauge, stat, table, timeseries
from grafana_foundation_sdk.builders.common import StackingConfig
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.common import GraphDrawStyle, StackingMode
from grafana_foundation_sdk.models.dashboard import DynamicConfigValue
from grafana_foundation_sdk.models.units import NoUnit, Seconds, Short

from deploy.grafana.frame import FLEET_UID, RUN_URL, framed, open_row
from deploy.grafana.panels import bars, graph, number, with_lines
from deploy.grafana.placing import Place, colors
from deploy.grafana.promql import (
    RECENT_SECONDS,
    RUNS_BY_RECENT_TYPE,
    RUNS_BY_STATE,
    SIGNALS_OF_THE_HOUR,
    SILENT_SECONDS,
    STORM_RUNS,
    last_known,
    per,
    seconds_since,
)
from deploy.grafana.queries import at_the_end, over_time, rows
from deploy.grafana.tables import Column, ranked
from producers.metrics import READY, RUN_GRAD_NORM, RUN_SIGNAL_LAST, RUN_SIGNAL_LAST_STEP, SIGNALS

_CRITICAL_SECONDS = seconds_since("run_id, type", f'{RUN_SIGNAL_LAST.name}{{severity="critical"}}', "1h") + " < 3600"
_SEVERITY_COLORS = {"critical": "red", "warning": "orange", "info": "blue"}


def fleet() -> Dashboard:
    """The dashboard."""
    dashboard = framed(
        FLEET_UID,
        "Streakline: fleet",
        "Which run needs somebody now. Without a ready worker, the first number, all the others are old.",
        hours=6,
    )
    open_row(dashboard, "Now", _ready(), _active(), _critical_count(), _stalled_count(), _storm_count(), _alerts())
    open_row(dashboard, "Which runs", _critical(), _silent(), _hottest())
    open_row(dashboard, "Signals", _signals_over_time(), _last_hour(), _recent_types())
    return dashboard


def _ready() -> stat.Panel:
    return number(
        Place(
            "Ready workers",
            "Workers whose every readiness check passes. At 0 nothing is judged: open the pipeline dashboard first.",
            width=3,
            height=4,
            unit=Short,
        ),
        at_the_end(f"count(min by (instance) ({READY.name}) == 1) or vector(0)", "ready"),
        steps=colors("red", (1, "green")),
    )


def _active() -> stat.Panel:
    return number(
        Place(
            "Active runs",
            "Runs that are expected to step, those above the limit of per-run gauges too: the pipeline dashboard "
            "counts these as hidden.",
            width=3,
            height=4,
            unit=Short,
        ),
        at_the_end(f'sum({RUNS_BY_STATE}{{state="active"}}) or vector(0)', "active"),
    )


def _critical_count() -> stat.Panel:
    return number(
        Place(
            "Runs with a critical signal",
            "In the last hour. The table below names them, the latest first.",
            width=4,
            height=4,
            unit=Short,
        ),
        at_the_end(f"count(count by (run_id) ({_CRITICAL_SECONDS})) or vector(0)", "runs"),
        steps=colors("green", (1, "red")),
    )


def _stalled_count() -> stat.Panel:
    return number(
        Place(
            "Stalled runs",
            "Active runs without an event for 10 minutes. Several at once: look at the lag in the pipeline "
            "dashboard, and at the cluster they train on, before you look at the runs.",
            width=3,
            height=4,
            unit=Short,
        ),
        at_the_end(f"count(({SILENT_SECONDS}) > {RECENT_SECONDS}) or vector(0)", "runs"),
        steps=colors("green", (1, "orange")),
    )


def _storm_count() -> stat.Panel:
    return number(
        Place(
            "Storms",
            f"Warning or critical signal types that over {STORM_RUNS} runs raised within 10 minutes. A storm has one "
            "cause for all of them (data, cluster, a threshold): look for that, not at single runs.",
            width=3,
            height=4,
            unit=Short,
        ),
        at_the_end(f"count({RUNS_BY_RECENT_TYPE} > {STORM_RUNS}) or vector(0)", "types"),
        steps=colors("green", (1, "red")),
    )


def _alerts() -> bargauge.Panel:
    return bars(
        Place(
            "Firing alerts",
            "How many alerts about runs fire, by name. Alertmanager sends fewer: it groups and inhibits them.",
            width=8,
            height=4,
            unit=Short,
        ),
        at_the_end('count by (alertname) (ALERTS{alertname=~"Training.+",alertstate="firing"})', "{{alertname}}"),
        nothing="none",
    )


def _critical() -> table.Panel:
    steps = last_known("run_id, type", f'{RUN_SIGNAL_LAST_STEP.name}{{severity="critical"}}', "1h")
    return ranked(
        Place(
            "Critical signals of the last hour",
            "The latest first. Click on a run to see its curves. What was replayed from long ago keeps its own time "
            "and does not appear here.",
            width=10,
            height=9,
            unit=NoUnit,
        ),
        [rows(_CRITICAL_SECONDS), rows(f"({steps}) and on (run_id, type) ({_CRITICAL_SECONDS})")],
        [
            Column("run_id", "Run", link=RUN_URL),
            Column("type", "Signal"),
            Column("Value #A", "Ago", unit=Seconds, steps=colors("red", (RECENT_SECONDS, "text"))),
            Column("Value #B", "Step", unit=NoUnit),
        ],
        by="Ago",
        nothing="no critical signal in the last hour",
    )


def _silent() -> table.Panel:
    return ranked(
        Place(
            "Silent the longest",
            "Active runs by the time since the trainer measured their latest event: the next that may count as "
            f"stalled, at {RECENT_SECONDS} s. A slow step or an evaluation is no stall: compare with the run's usual "
            "pace on its own dashboard.",
            width=7,
            height=9,
            unit=Seconds,
        ),
        [rows(f"topk(10, {SILENT_SECONDS})")],
        [
            Column("run_id", "Run", link=RUN_URL),
            Column("Value", "Silent for", steps=colors("text", (120, "yellow"), (RECENT_SECONDS, "red"))),
        ],
        by="Silent for",
        descending=True,
        nothing="no active run",
    )


def _hottest() -> table.Panel:
    norm = per("run_id", RUN_GRAD_NORM.name)
    usual = per("run_id", f"quantile_over_time(0.5, {RUN_GRAD_NORM.name}[30m])")
    hottest = f"topk(10, {norm})"
    return ranked(
        Place(
            "Hottest runs",
            "The largest gradient norms, before clipping. Norms of different models do not compare; the second "
            "number does: how many times the run's own median of 30 minutes the latest norm is.",
            width=7,
            height=9,
            unit=Short,
        ),
        [rows(hottest), rows(f"{norm} / {usual} and on (run_id) {hottest}")],
        [
            Column("run_id", "Run", link=RUN_URL),
            Column("Value #A", "Gradient norm"),
            Column("Value #B", "× usual", steps=colors("text", (5, "orange"), (20, "red"))),
        ],
        by="Gradient norm",
        descending=True,
        nothing="no gradient norm",
    )


def _signals_over_time() -> timeseries.Panel:
    panel = (
        graph(
            Place(
                "Signals over time",
                "Signals of all runs, by severity and type. A level that stays higher is a change in the fleet; many "
                "of one type at once are a storm.",
                width=16,
                height=9,
                unit=Short,
            ),
            over_time(
                f"sum by (severity, type) (increase({SIGNALS.name}[$__rate_interval])) > 0", "{{severity}}: {{type}}"
            ),
        )
        .draw_style(GraphDrawStyle.BARS)
        .stacking(StackingConfig().mode(StackingMode.NORMAL))
        .fill_opacity(80)
        .interval("1m")
        .no_value("no signal")
    )
    for severity, color in _SEVERITY_COLORS.items():
        panel.override_by_regexp(
            f"/^{severity}/", [DynamicConfigValue("color", {"mode": "shades", "fixedColor": color})]
        )
    return panel


def _last_hour() -> bargauge.Panel:
    return bars(
        Place(
            "Signals of the last hour",
            "By type and severity, the most frequent first. Many warnings and no critical signal: a threshold may be "
            "too tight for this fleet.",
            width=8,
            height=9,
            unit=Short,
        ),
        at_the_end(f"sort_desc(round({SIGNALS_OF_THE_HOUR}) > 0)", "{{type}} ({{severity}})"),
        nothing="no signal in the last hour",
    )


def _recent_types() -> timeseries.Panel:
    panel = graph(
        Place(
            "Runs with a recent signal",
            f"How many runs raised a warning or a critical signal of each type within 10 minutes. Above the line, "
            f"{STORM_RUNS} runs, it is a storm, and one alert says so instead of many.",
            width=24,
            height=7,
            unit=Short,
        ),
        over_time(RUNS_BY_RECENT_TYPE, "{{type}}"),
    )
    return with_lines(panel, (STORM_RUNS, "red")).no_value("no recent signal")
