"""The signals of a run."""

import math
from collections.abc import Mapping

from producers.events import Signal
from streakline.report.asking import Asked
from streakline.report.clipping import LABEL, LAYERS, MESSAGE, clipped
from streakline.report.content import SIGNALS_SHOWN, Marker
from streakline.report.life import Life
from workers.archive.rows import to_events

_GRAVEST_FIRST = "CASE severity WHEN 'critical' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END"


def markers_of(asked: Asked, life: Life) -> tuple[tuple[Marker, ...], int]:
    """Those that are shown, by attempt and step, and how many there are. Raises QueryError."""
    if not asked.has("signals"):
        return (), 0
    (total,) = asked.column(f"SELECT count(*) FROM signals WHERE {life.own}")
    rows = asked.table(
        f"SELECT * FROM (SELECT * FROM signals WHERE {life.own} ORDER BY {_GRAVEST_FIRST}, attempt, step, signal_id "
        f"LIMIT {SIGNALS_SHOWN}) ORDER BY attempt, step, {_GRAVEST_FIRST}, signal_id"
    )
    found = [event for batch in rows.to_batches() for _, event in to_events("signals", batch)]
    return tuple(marker_of(event) for event in found if isinstance(event, Signal)), total


def marker_of(signal: Signal) -> Marker:
    """A signal as pages show it."""
    return Marker(
        attempt=signal.attempt,
        step=signal.step,
        ts=signal.ts,
        type=signal.type,
        severity=signal.severity,
        value=_finite(signal.value),
        threshold=_finite(signal.threshold),
        layers=_longest_first(signal.layers or {}),
        message=clipped(signal.message, MESSAGE),
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _longest_first(streaks: Mapping[str, int]) -> tuple[str, ...]:
    """The layers, by streak; no more than a page has room for."""
    names = sorted(streaks, key=lambda name: (-streaks[name], name))
    return tuple(clipped(name, LABEL) for name in names[:LAYERS])
