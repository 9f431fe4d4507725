"""How diffs are made and where they go; each field is the environment variable ``STREAKLINE_<FIELD>``."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from producers.redis.settings import RedisSettings
from producers.stalls import STALL_SECONDS, StallSeconds

DType = Literal["float32", "bfloat16", "float16"]


class DiffSettings(Struct, frozen=True, kw_only=True):
    """What a diff is made with. Whatever changes a figure is part of `config_hash`."""

    lake: str = ".streakline/lake"
    """folder or URI (``s3://…``, ``gs://…``) under which the Parquet tables lie"""
    model_roots: str = "."
    """folders and URIs, separated by commas, under which checkpoints, probes and SAEs may lie"""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1`` …; auto: the GPU where there is one"""
    dtype: DType = "float32"
    """of the weights and activations; log-probabilities and sums are float32 or wider in any case"""
    tokens_per_batch: Annotated[int, Meta(ge=256)] = 4096
    probes: str | None = None
    """JSONL file of probes; unset: those that ship with Streakline"""
    saes: str = ""
    """folders of SAEs, separated by commas, for runs that name none"""
    low_confidence: Annotated[float, Meta(ge=0, le=1)] = 0.5
    """answers of the fine-tuned model below it go into low_confidence_rows"""
    feature_min_tokens: Annotated[int, Meta(ge=1)] = 20
    feature_min_relative: Annotated[float, Meta(gt=0)] = 0.25
    feature_min_absolute: Annotated[float, Meta(ge=0)] = 1e-3
    """a feature changed where it fires on `feature_min_tokens` in either model and its mean moved by both of these"""

    @property
    def roots(self) -> tuple[str, ...]:
        """Of `model_roots`, each."""
        return _split(self.model_roots)

    @property
    def sae_folders(self) -> tuple[str, ...]:
        """Of `saes`, each."""
        return _split(self.saes)


def _split(listed: str) -> tuple[str, ...]:
    return tuple(part for each in listed.split(",") if (part := each.strip()))


class DiffWorkerSettings(RedisSettings, frozen=True, kw_only=True):
    """How a diff worker runs, beside what its diffs are made with."""

    metrics_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    """serves /metrics, /healthz and /readyz where set"""
    metrics_host: str = "127.0.0.1"
    diff_attempts: Annotated[int, Meta(ge=1)] = 3
    """how often a diff is tried before it has failed"""
    diff_retry_seconds: Annotated[float, Meta(gt=0)] = 5.0
    """pause before the second try; doubled for each further one"""
    max_consecutive_failures: Annotated[int, Meta(ge=1)] = 5
    """diffs in a row that may fail through no fault of their runs; then the worker stops, and the last is made again"""
    lease_seconds: Annotated[float, Meta(ge=1)] = 30.0
    """after which the job of a worker that fell silent is another's"""
    session_timeout_seconds: Annotated[float, Meta(ge=1)] = 30.0
    stall_seconds: StallSeconds = STALL_SECONDS
    """as a stream worker's"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class ArchiveSettings(Struct, frozen=True, kw_only=True):
    """How an archiver runs."""

    lake: str = ".streakline/lake"
    """as a diff's"""
    archive_seconds: Annotated[float, Meta(gt=0)] = 300.0
    """after which what is held of a partition becomes a file"""
    archive_bytes: Annotated[int, Meta(ge=1)] = 128 << 20
    """of records held of all partitions together, as they came; where it is more, the largest becomes a file"""
    archive_retry_seconds: Annotated[float, Meta(gt=0)] = 5.0
    """pause before a lake or a broker that failed is tried again; doubled each time, up to a minute"""
    metrics_port: Annotated[int, Meta(ge=1, le=65_535)] | None = None
    """serves /metrics, /healthz and /readyz where set"""
    metrics_host: str = "127.0.0.1"
    session_timeout_seconds: Annotated[float, Meta(ge=1)] = 30.0
    stall_seconds: StallSeconds = STALL_SECONDS
    """as a stream worker's"""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
