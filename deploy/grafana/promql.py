"""The questions that several panels ask, in the same words.

A run may be exposed by two workers for a moment, while its partition moves: everything of a run is taken `max by`.
"""

from producers.metrics import RUN_ACTIVE, RUN_LAST_EVENT, RUN_SIGNAL_LAST

RECENT_SECONDS = 600
"""how long the alerts call a signal recent, and how long a run may be silent before they call it stalled"""
STORM_RUNS = 20
"""more runs than this with one type of recent signal are a storm"""
LATE_SECONDS = 120
VERY_LATE_SECONDS = 900
"""the lags at which alerts fire"""

RUNS_BY_STATE = "state:streakline_runs:sum"
SIGNALS_OF_THE_HOUR = "type_severity:streakline_signals:increase1h"
"""recorded by deploy/prometheus/rules/dashboards.yml"""

WORKERS = '{job="streakline"}'
"""what Prometheus scrapes of Streakline: the name of the job is part of its configuration"""
THIS_RUN = '{run_id="$run_id"}'
"""matched whole, never as a pattern: a run id may hold dots"""


def per(labels: str, selector: str) -> str:
    """One value for each set of labels, whichever worker exposes it."""
    return f"max by ({labels}) ({selector})"


def seconds_since(labels: str, timestamp: str, window: str) -> str:
    """The age of the latest timestamp of the last `window`, also where it is no longer exposed.

    >>> seconds_since("run_id", "a_timestamp_seconds", "10m")
    'time() - max by (run_id) (max_over_time(a_timestamp_seconds[10m]))'
    """
    return f"time() - {per(labels, f'max_over_time({timestamp}[{window}])')}"


def last_known(labels: str, selector: str, window: str) -> str:
    """The present value; of what is no longer exposed, the largest that a worker last said in the `window`.

    Not `last_over_time` alone: it also finds what was said of a live run before it moved to another worker.
    """
    return f"{per(labels, selector)} or {per(labels, f'last_over_time({selector}[{window}])')}"


_LOUD = f'{RUN_SIGNAL_LAST.name}{{severity!="info"}}'

RUNS_BY_RECENT_TYPE = f"count by (type) ({seconds_since('run_id, type', _LOUD, '10m')} < {RECENT_SECONDS})"
"""of warnings and critical signals: plateaus are no storm"""

SILENT_SECONDS = f"time() - {per('run_id', RUN_LAST_EVENT.name)} and on (run_id) {per('run_id', RUN_ACTIVE.name)} == 1"
"""of each run that is expected to step, since its latest event"""
