"""When a run's state may go."""

from collections.abc import Iterable

from stream_app.raw_records import RowKey
from stream_app.records import RunHead
from stream_app.settings import StreamSettings


def is_expired(head: RunHead, settings: StreamSettings, now: float) -> bool:
    """Whether the run ended, or was last heard of, longer ago than the settings keep it. `now` in Unix seconds."""
    kept = settings.finished_run_seconds if head.state.has_ended else settings.abandoned_run_seconds
    return now - head.seen_at > kept


def expired_keys(items: Iterable[tuple[RowKey, RunHead]], settings: StreamSettings, now: float) -> list[RowKey]:
    """The runs whose state may go."""
    return [key for key, head in items if is_expired(head, settings, now)]
