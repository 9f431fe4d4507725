"""The pipeline: whether the watcher watches, and how late it is."""

from grafana_foundation_sdk.builders import stat, statetimeline, table, timeseries
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.models.units import BytesIEC, EventsPerSecond, NoUnit, PercentUnit, Seconds, Short

from deploy.grafana.archive import archive_panels
from deploy.grafana.diffs import diff_panels
from deploy.grafana.frame import PIPELINE_UID, folded_row, framed, open_row
from deploy.grafana.installed import installed_panels
from deploy.grafana.live import live_panels
from deploy.grafana.panels import graph, number, timeline, with_lines
from deploy.grafana.placing import Place, colors, words
from deploy.grafana.promql import LATE_SECONDS, RUNS_BY_STATE, VERY_LATE_SECONDS, WORKERS, per, seconds_since
from deploy.grafana.queries import at_the_end, over_time, rows
from deploy.grafana.tables import Column, ranked
from producers.metrics import (
    EVENT_DELAY,
    EVENTS,
    EXPIRED_RUNS,
    HIDDEN_RUNS,
    IGNORED_EVENTS,
    INVALID_RECORD_LAST,
    INVALID_RECORDS,
    LAG_RECORDS,
    LAG_SECONDS,
    LAST_BATCH,
    READY,
    RUNS,
)

_LATE = ((LATE_SECONDS, "orange"), (VERY_LATE_SECONDS, "red"))


def pipeline() -> Dashboard:
    """The dashboard."""
    dashboard = framed(
        PIPELINE_UID,
        "Streakline: pipeline",
        "Whether the workers judge what arrives, and how late. Read from the top: workers, then lag, then records.",
        hours=1,
    )
    open_row(dashboard, "Now", _replicas(), _lag_now(), _dead_letters_now(), _hidden(), _last_batch())
    open_row(dashboard, "Workers", _checks(), _workers())
    open_row(dashboard, "Lateness", _lag_records(), _lag_seconds(), _delay())
    open_row(dashboard, "Records", _events(), _invalid(), _invalid_reasons())
    open_row(dashboard, "Resources", _memory(), _cpu(), _runs())
    folded_row(dashboard, "Live runs in Redis", *live_panels())
    folded_row(dashboard, "Installed detectors", *installed_panels())
    folded_row(dashboard, "Model diffs", *diff_panels())
    folded_row(dashboard, "Archive", *archive_panels())
    return dashboard


def _replicas() -> stat.Panel:
    return number(
        Place(
            "Workers",
            "How many answer Prometheus, and how many it asks. One that does not answer: look whether its process "
            "lives and at its log; the others take over its partitions.",
            width=5,
            height=4,
            unit=Short,
        ),
        at_the_end(f"sum(up{WORKERS})", "up"),
        at_the_end(f"count(up{WORKERS})", "configured"),
        nothing="none configured",
        steps=colors("red", (1, "green")),
    )


def _lag_now() -> stat.Panel:
    return number(
        Place(
            "Lag",
            "How long the oldest waiting record has waited, over all partitions: signals are late by as much, and "
            "stalls are not alerted on.",
            width=5,
            height=4,
            unit=Seconds,
        ),
        at_the_end(f"max({LAG_SECONDS.name})", "lag"),
        steps=colors("green", *_LATE),
    )


def _dead_letters_now() -> stat.Panel:
    return number(
        Place(
            "Since the last dead letter",
            "`streakline dead-letters list` shows what it was, and from which run.",
            width=5,
            height=4,
            unit=Seconds,
        ),
        at_the_end(f"min({seconds_since('reason', INVALID_RECORD_LAST.name, '$__range')})", "ago"),
        nothing="none in this range",
        steps=colors("orange", (3600, "text")),
    )


def _hidden() -> stat.Panel:
    return number(
        Place(
            "Hidden runs",
            "Live runs above STREAKLINE_PER_RUN_LIMIT: they are judged, and their signals are on the topic, but no "
            "gauge shows them and no alert names them. Raise the limit.",
            width=4,
            height=4,
            unit=Short,
        ),
        at_the_end(f"sum({HIDDEN_RUNS.name})", "hidden"),
        steps=colors("green", (1, "orange")),
    )


def _last_batch() -> stat.Panel:
    return number(
        Place(
            "Since the last batch",
            "Since any worker last applied one. It grows while nothing is published: it is trouble only while records "
            "wait.",
            width=5,
            height=4,
            unit=Seconds,
        ),
        at_the_end(f"time() - max({LAST_BATCH.name})", "ago"),
        nothing="none yet",
    )


def _checks() -> statetimeline.Panel:
    return timeline(
        Place(
            "Readiness checks",
            "Red while a check fails on any worker. broker: it answers; partitions: not rebalancing; tables: "
            "recovered; batches: applied while records wait. A short red after a start or a rebalance is usual; the "
            "table beside says which worker.",
            width=9,
            height=9,
            unit=NoUnit,
        ),
        over_time(f"min by (check) ({READY.name})", "{{check}}"),
        words(("fails", "red"), ("passes", "green")),
    )


def _workers() -> table.Panel:
    return ranked(
        Place(
            "Workers, one by one",
            "A worker with a failing check is the one to look at: its /readyz says why. A short uptime again and again "
            "is a crash loop.",
            width=15,
            height=9,
            unit=NoUnit,
        ),
        [
            rows(per("instance", f"up{WORKERS}")),
            rows(f"count by (instance) ({READY.name}) - sum by (instance) ({READY.name})"),
            rows(f"time() - {per('instance', f'process_start_time_seconds{WORKERS}')}"),
            rows(f"time() - {per('instance', LAST_BATCH.name)}"),
            rows(per("instance", f"process_resident_memory_bytes{WORKERS}")),
            rows(f"sum by (instance) (rate(process_cpu_seconds_total{WORKERS}[5m]))"),
            rows(f"sum by (instance) ({RUNS.name})"),
        ],
        [
            Column("instance", "Worker"),
            Column("Value #A", "Up", steps=colors("red", (1, "green"))),
            Column("Value #B", "Failing checks", steps=colors("green", (1, "red"))),
            Column("Value #C", "Uptime", unit=Seconds),
            Column("Value #D", "Last batch", unit=Seconds),
            Column("Value #E", "Memory", unit=BytesIEC),
            Column("Value #F", "CPU", unit=PercentUnit),
            Column("Value #G", "Runs"),
        ],
        by="Worker",
        nothing="no worker",
    )


def _lag_records() -> timeseries.Panel:
    return graph(
        Place(
            "Waiting records",
            "By topic. A hill that shrinks is a worker catching up after a restart; a slope that rises needs another "
            "worker, at most one for each partition.",
            width=8,
            height=8,
            unit=Short,
        ),
        over_time(f"sum by (topic) ({per('topic, partition', LAG_RECORDS.name)})", "{{topic}}"),
    ).min(0)


def _lag_seconds() -> timeseries.Panel:
    panel = graph(
        Place(
            "Longest wait",
            "The five partitions whose oldest record has waited the longest. One partition alone: a record or a run "
            "that keeps its worker busy. All of them: too few workers, or the broker. The lines are where alerts fire.",
            width=8,
            height=8,
            unit=Seconds,
        ),
        over_time(f"topk(5, {per('topic, partition', LAG_SECONDS.name)})", "{{topic}} / {{partition}}"),
    )
    return with_lines(panel, *_LATE)


def _delay() -> timeseries.Panel:
    return graph(
        Place(
            "Event delay",
            "From a trainer's measurement to the judgement, what a signal is late by. High here without a lag: "
            "trainers publish late (their spool, their clock). Empty while nothing is judged.",
            width=8,
            height=8,
            unit=Seconds,
        ),
        *(over_time(_quantile(quantile), f"p{100 * quantile:.0f}") for quantile in (0.5, 0.95, 0.99)),
    ).min(0)


def _quantile(quantile: float) -> str:
    return f"histogram_quantile({quantile}, sum by (le) (rate({EVENT_DELAY.name}_bucket[$__rate_interval])))"


def _events() -> timeseries.Panel:
    return graph(
        Place(
            "Events",
            "Judged a second, by topic, and ignored ones among them: duplicates, late ones, ended attempts. Many "
            "ignored: a trainer that publishes again what it has published, or two that share a run id.",
            width=9,
            height=8,
            unit=EventsPerSecond,
        ),
        over_time(f"sum by (topic) (rate({EVENTS.name}[$__rate_interval]))", "{{topic}}"),
        over_time(f"sum(rate({IGNORED_EVENTS.name}[$__rate_interval]))", "ignored"),
    ).min(0)


def _invalid() -> timeseries.Panel:
    return graph(
        Place(
            "Invalid records",
            "Sent to the dead letters a second, by reason. A steady rate is usually one trainer with a bug: "
            "`streakline dead-letters list` names it.",
            width=8,
            height=8,
            unit=EventsPerSecond,
        ),
        over_time(f"sum by (reason) (rate({INVALID_RECORDS.name}[$__rate_interval]))", "{{reason}}"),
    ).min(0)


def _invalid_reasons() -> table.Panel:
    latest = seconds_since("topic, reason", INVALID_RECORD_LAST.name, "$__range")
    return ranked(
        Place(
            "Dead letters by reason",
            "Also the first of its reason, which a rate cannot show, and how many the present workers have sent.",
            width=7,
            height=8,
            unit=Short,
        ),
        [rows(latest), rows(f"sum by (topic, reason) ({INVALID_RECORDS.name})")],
        [
            Column("topic", "Topic"),
            Column("reason", "Reason"),
            Column("Value #A", "Ago", unit=Seconds),
            Column("Value #B", "Records"),
        ],
        by="Ago",
        nothing="none in this range",
    )


def _memory() -> timeseries.Panel:
    return graph(
        Place(
            "Memory of the workers",
            "Resident. It grows with the runs a worker holds; growth without more runs is a leak.",
            width=8,
            height=8,
            unit=BytesIEC,
        ),
        over_time(per("instance", f"process_resident_memory_bytes{WORKERS}"), "{{instance}}"),
    ).min(0)


def _cpu() -> timeseries.Panel:
    return graph(
        Place(
            "CPU of the workers",
            "100 % is one core, which is about all that one worker can use: near it, start another.",
            width=8,
            height=8,
            unit=PercentUnit,
        ),
        over_time(f"sum by (instance) (rate(process_cpu_seconds_total{WORKERS}[$__rate_interval]))", "{{instance}}"),
    ).min(0)


def _runs() -> timeseries.Panel:
    return graph(
        Place(
            "Runs held",
            "Runs the workers hold a state of, by state, and states deleted in the hour before: an hour after a run "
            "ended, a day after it fell silent.",
            width=8,
            height=8,
            unit=Short,
        ),
        over_time(RUNS_BY_STATE, "{{state}}"),
        over_time(f"sum(increase({EXPIRED_RUNS.name}[1h]))", "deleted"),
    ).min(0)
