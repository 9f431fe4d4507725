"""How a stream worker runs; each field is the environment variable ``STREAKLINE_<FIELD>``."""

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from producers.redis.settings import RedisSettings
from producers.stalls import STALL_SECONDS, StallSeconds

Seconds = Annotated[float, Meta(gt=0)]

PerRunMetrics = Literal["all", "signals", "none"]


class StreamSettings(RedisSettings, frozen=True, kw_only=True):
    """The defaults are for one worker on one machine."""

    data_dir: str = ".streakline/stream"
    """holds this worker's RocksDB tables: one folder a worker, never shared"""
    thresholds: str | None = None
    """TOML file of thresholds, see `stream_app.engine.thresholds`"""
    finished_run_seconds: Seconds = 3600.0
    """how long a finished run's state is kept, so that its late events stay ignored"""
    abandoned_run_seconds: Seconds = 86_400.0
    """after this much silence the state of a run that never ended is deleted"""
    expiry_interval_seconds: Seconds = 60.0
    session_timeout_seconds: Annotated[float, Meta(ge=1)] = 6.0
    """silence after which the broker gives a worker's partitions to another"""
    broker_timeout_seconds: Seconds = 40.0
    """silence after which a request to the broker is given up, and its connection with it; the session timeout, where
    that is longer"""
    stall_seconds: StallSeconds = STALL_SECONDS
    """after which a loop that does not turn fails /healthz, and says where it stands"""
    standstill_seconds: Seconds = 120.0
    """after which a worker that gets no further with getting ready, though the broker answers, ends and starts anew"""
    metrics_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    """serves /metrics, /healthz and /readyz where set"""
    metrics_host: str = "127.0.0.1"
    per_run_metrics: PerRunMetrics = "all"
    """which metrics carry a run_id: all, those that signals are paged by, or none"""
    per_run_limit: Annotated[int, Meta(ge=1)] = 10_000
    """live runs with metrics of their own, and that wait for Redis, at most; whoever may write to the topic may make up
    runs"""
    live: bool = True
    """whether live runs are shown in Redis"""
    max_consecutive_failures: Annotated[int, Meta(ge=1)] = 100
    """records of a partition in a row that judging may fail on; then the worker stops, with nothing of them done"""
    failure_window_records: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    """the latest records of a partition, of which `max_failure_ratio` speaks once there are as many"""
    max_failure_ratio: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """share of them that may be refused, for whatever reason; 1 is no limit"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def data_path(self) -> Path:
        """`data_dir`, absolute."""
        return Path(self.data_dir).absolute()

    @property
    def thresholds_path(self) -> Path | None:
        """`thresholds`, as a path."""
        return None if self.thresholds is None else Path(self.thresholds)
