"""What anyone may have written to Redis, as the dashboard and the command line read it."""

import msgspec

from streakline.dashboard.feed import _batch
from streakline.dashboard.history import all_signals, joined
from streakline.dashboard.live import _decoded
from streakline.dashboard.overview import Overview, SourceState
from tests.fuzz.target import Target
from workers.coordination.board import progress_in


def _show_run(raw: bytes) -> None:
    run = _decoded(b"run", raw)
    if run is not None:
        overview = Overview()
        overview.show_live({run.run_id: run})
        msgspec.json.encode(tuple(overview.runs))


def _show_batch(raw: bytes) -> None:
    batch = _batch(raw, "run")
    if batch is not None:
        msgspec.json.encode((joined((), [batch]), all_signals((), [batch])))


def _show_progress(raw: bytes) -> None:
    progress = progress_in(raw)
    if progress is not None:
        overview = Overview()
        overview.show_redis(SourceState(state="ok"), (progress,))
        msgspec.json.encode(overview.diffs)


TARGETS = (
    Target(name="live_run", decode=_show_run),
    Target(name="live_batch", decode=_show_batch),
    Target(name="diff_progress", decode=_show_progress),
)
