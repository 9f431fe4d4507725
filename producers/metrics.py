"""Every Prometheus metric there is, by name: what workers expose, what rules and dashboards may ask for.

A name is as much a contract as a topic is: renaming one silences an alert. `docs/metrics.md` is made from this file.
"""

from typing import Literal

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]
Exposer = Literal["stream worker", "diff worker", "archiver"]


class Metric(Struct, frozen=True):
    """One metric family. A counter's name ends in ``_total``."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    exposer: Exposer = "stream worker"


class RunMetric(Metric, frozen=True):
    """A gauge of a live run: it has a ``run_id``, and goes away with the run."""


EVENTS = Metric(
    "streakline_events_total", "counter", "Records taken from a topic, judged and acknowledged.", ("topic",)
)
IGNORED_EVENTS = Metric(
    "streakline_ignored_events_total",
    "counter",
    "Duplicate and late events, events of attempts that are over, and diffs that failed.",
)
INVALID_RECORDS = Metric(
    "streakline_invalid_records_total", "counter", "Records sent to the dead letters.", ("topic", "reason")
)
INVALID_RECORD_LAST = Metric(
    "streakline_invalid_record_last_timestamp_seconds",
    "gauge",
    "When a record was last sent to the dead letters for this reason; absent while none was.",
    ("topic", "reason"),
)
SIGNALS = Metric(
    "streakline_signals_total", "counter", "Signals emitted; every pair is there from the start.", ("type", "severity")
)
DETECTOR_FAILURES = Metric(
    "streakline_detector_failures_total",
    "counter",
    "Steps that the detector of an installed package failed on; all other detectors judged them.",
    ("type",),
)
DETECTOR_INFO = Metric(
    "streakline_detector_info",
    "gauge",
    "1; a detector of an installed package, and the version of that package.",
    ("type", "version"),
)
EXPIRED_RUNS = Metric("streakline_expired_runs_total", "counter", "Runs whose state was deleted.")
EVENT_DELAY = Metric(
    "streakline_event_delay_seconds",
    "histogram",
    "From the moment a trainer measured a step until it was judged; replays of steps over an hour old left out.",
)
LAG_RECORDS = Metric(
    "streakline_consumer_lag_records",
    "gauge",
    "Records of a partition that wait to be judged.",
    ("topic", "partition"),
)
LAG_SECONDS = Metric(
    "streakline_consumer_lag_seconds",
    "gauge",
    "How long the oldest record of a partition has waited to be judged, at most; 0 where none waits.",
    ("topic", "partition"),
)
LAST_BATCH = Metric(
    "streakline_last_batch_timestamp_seconds", "gauge", "When a batch was last applied; 0 before the first."
)
READY = Metric(
    "streakline_ready",
    "gauge",
    "1 where a check of /readyz passes: loop (turns), broker (answers), partitions (assigned), "
    "tables (recovered), batches (applied while records wait).",
    ("check",),
)
RUNS = Metric(
    "streakline_runs",
    "gauge",
    "Runs whose state this worker holds: active, ended, or replayed (and never ended).",
    ("state",),
)
HIDDEN_RUNS = Metric(
    "streakline_hidden_runs",
    "gauge",
    "Live runs without gauges of their own, because there are more than STREAKLINE_PER_RUN_LIMIT.",
)

LIVE_BATCHES = Metric(
    "streakline_live_batches_total", "counter", "Batches of what happened in a live run, written to Redis."
)
LIVE_FAILURES = Metric(
    "streakline_live_failures_total",
    "counter",
    "Times that Redis was away, or refused some of what is to be shown of live runs.",
)
LIVE_AWAY = Metric(
    "streakline_live_redis_away",
    "gauge",
    "1 while live runs are not shown because Redis is away; their signals are judged and emitted all the same.",
)

RUN_INFO = RunMetric("streakline_run_info", "gauge", "1; the project of a live run.", ("run_id", "project"))
RUN_ACTIVE = RunMetric(
    "streakline_run_active",
    "gauge",
    "1 while the run is expected to step: it has not ended and is not a replay of old steps.",
    ("run_id",),
)
RUN_LAST_STEP = RunMetric("streakline_run_last_step", "gauge", "The latest step that counted.", ("run_id",))
RUN_LAST_EVENT = RunMetric(
    "streakline_run_last_event_timestamp_seconds",
    "gauge",
    "When the trainer measured the latest event that counted; never in the future.",
    ("run_id",),
)
RUN_LOSS = RunMetric("streakline_run_loss", "gauge", "The training loss of the latest step.", ("run_id",))
RUN_GRAD_NORM = RunMetric(
    "streakline_run_grad_norm",
    "gauge",
    "The largest gradient norm of the latest step that had one, before clipping.",
    ("run_id",),
)
RUN_SIGNAL_LAST = RunMetric(
    "streakline_run_signal_last_timestamp_seconds",
    "gauge",
    "When the run's latest signal of this type and severity was detected; for an event over an hour old, "
    "when it was measured. Absent where there was none.",
    ("run_id", "type", "severity"),
)
RUN_SIGNAL_LAST_STEP = RunMetric(
    "streakline_run_signal_last_step",
    "gauge",
    "The step of the run's latest signal of this type and severity.",
    ("run_id", "type", "severity"),
)
CATEGORY_DELTA = RunMetric(
    "streakline_eval_category_score_delta",
    "gauge",
    "Score of the checkpoint of a project's latest run in a category, less its baseline: that of the run that "
    "completed before it. For a day; absent where there is none.",
    ("run_id", "category"),
)

DIFF_JOBS = Metric(
    "streakline_diff_jobs_total",
    "counter",
    "Model diffs that ended, as success or failure.",
    ("result",),
    "diff worker",
)
DIFF_QUEUE = Metric(
    "streakline_diff_queue_length", "gauge", "Completed runs whose model diff waits.", exposer="diff worker"
)
DIFF_LAST_SUCCESS = Metric(
    "streakline_diff_last_success_timestamp_seconds",
    "gauge",
    "When a model diff last succeeded; the worker's start before the first.",
    exposer="diff worker",
)

ARCHIVED_RECORDS = Metric(
    "streakline_archived_records_total",
    "counter",
    "Records that are in the lake now.",
    ("topic",),
    "archiver",
)
ARCHIVE_SKIPPED = Metric(
    "streakline_archive_skipped_records_total",
    "counter",
    "Records that are no event, and have no row in the lake.",
    ("topic",),
    "archiver",
)
ARCHIVED_BYTES = Metric(
    "streakline_archived_bytes_total", "counter", "Bytes of the Parquet files written.", exposer="archiver"
)
ARCHIVE_HELD_BYTES = Metric(
    "streakline_archive_held_bytes",
    "gauge",
    "Of records that are read and not in the lake yet.",
    exposer="archiver",
)
ARCHIVE_LAG = Metric(
    "streakline_archive_lag_records",
    "gauge",
    "Records of a topic that are not in the lake yet, read or not.",
    ("topic",),
    exposer="archiver",
)
ARCHIVE_WAITING = Metric(
    "streakline_archive_waiting",
    "gauge",
    "1 while the lake or the broker fails.",
    exposer="archiver",
)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""all of them, in the order of this file"""


def sample_names() -> frozenset[str]:
    """The names a query may use: a histogram has three.

    >>> sorted(name for name in sample_names() if "delay" in name)[0]
    'streakline_event_delay_seconds_bucket'
    """
    return frozenset(
        metric.name + suffix
        for metric in METRICS
        for suffix in (("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",))
    )


def metrics_page() -> str:
    """`docs/metrics.md`."""
    groups: dict[str, list[Metric]] = {
        "A stream worker": [m for m in METRICS if m.exposer == "stream worker" and not isinstance(m, RunMetric)],
        "A stream worker, for each live run": [m for m in METRICS if isinstance(m, RunMetric)],
        "A diff worker": [m for m in METRICS if m.exposer == "diff worker"],
        "An archiver": [m for m in METRICS if m.exposer == "archiver"],
    }
    lines = [_INTRODUCTION]
    for title, metrics in groups.items():
        lines += [f"## {title}", "", "| metric | kind | labels | what it says |", "|---|---|---|---|"]
        lines += [
            f"| `{m.name}` | {m.kind} | {', '.join(f'`{label}`' for label in m.labels)} | {m.help} |" for m in metrics
        ]
        lines.append("")
    return "\n".join(lines)


_INTRODUCTION = """\
# Metrics

Made from `producers/metrics.py` by `make docs`; a test keeps it true. A worker also exposes the `process_…` metrics of
prometheus_client.
"""

if __name__ == "__main__":
    print(metrics_page(), end="")  # noqa: T201
