"""The tables that the archive writes from Kafka's topics, one struct a row; `tables` has those of the diffs.

`Archived` columns are each row's own; the others are named as the fields of the event (`producers.events`), and mean
what those mean. ``dict`` is a map column, a struct is a struct column.
"""

from typing import Literal

from msgspec import Struct

from producers.events import CategoryRegression, LayerKind, Severity, SignalType


class Archived(Struct, frozen=True, kw_only=True):
    """What every row begins with: which record it was, and whose."""

    schema_version: int
    dt: str
    """UTC day of the event's `ts`, YYYY-MM-DD, however late it came; of `published_at` where `ts` is no date"""
    topic: str
    partition: int
    offset: int
    published_at: float | None
    """the record's timestamp on the broker; a timestamp (milliseconds, UTC) in the file"""
    run_id: str
    attempt: int
    ts: float


class StepRow(Struct, frozen=True, kw_only=True):
    """`steps`: one step of a run. Its project is in `run_events`."""

    step: int
    loss: float
    learning_rate: float | None
    max_grad: float | None
    grad_norms: dict[str, float | None] | None
    dead_layers: tuple[str, ...] | None
    epoch: float | None


class RunEventRow(Struct, frozen=True, kw_only=True):
    """`run_events`: a run, or an attempt of it, began or ended. What the other types of event have is null."""

    type: Literal["run_started", "run_completed", "run_failed"]
    project: str
    base_model: str | None
    early_stop: tuple[str, ...] | None
    layer_kinds: dict[str, LayerKind] | None
    config: dict[str, str] | None
    steps: int | None
    checkpoint: str | None
    eval_set: str | None
    saes: tuple[str, ...] | None
    tokenizer: str | None
    error: str | None


class SignalRow(Struct, frozen=True, kw_only=True):
    """`signals`: what there was to say about a step, or a checkpoint."""

    signal_id: str
    project: str
    step: int
    type: SignalType
    severity: Severity
    metric: str
    value: float
    threshold: float | None
    layers: dict[str, int] | None
    epoch: float | None
    message: str
    action: Literal["stop"] | None
    regression: CategoryRegression | None


ARCHIVE_TABLES: dict[str, type[Struct]] = {"steps": StepRow, "run_events": RunEventRow, "signals": SignalRow}
"""name → row"""
