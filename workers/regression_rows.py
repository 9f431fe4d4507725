"""Signals to rows of the table `regressions`, and the rows of one diff together. Pure."""

import datetime as dt
from collections.abc import Iterable, Sequence

from msgspec import Struct

from producers.codec import MalformedEvent, decode_signal
from producers.events import MAX_INTEGER, Signal
from workers.lake.tables import SCHEMA_VERSION, Common, RegressionRow

REGRESSED = "category_regressed"


class Regression(Struct, frozen=True, kw_only=True):
    """One category of one diff that regressed."""

    common: Common
    """without `config_hash`, which a signal does not carry"""
    row: RegressionRow


def regression_in(raw: bytes) -> Regression | None:
    """The regression that a record of the signals topic tells of; None where it tells of something else.

    Records of other types are not decoded. Raises `MalformedEvent` for what cannot be a row, whatever the bytes are.
    """
    # A backslash: a value may be spelled with escapes, as in "\u0063ategory_regressed".
    if REGRESSED.encode() not in raw and b"\\" not in raw:
        return None
    signal = decode_signal(raw)
    return _regression(signal) if signal.type == REGRESSED else None


def _regression(signal: Signal) -> Regression:
    told = signal.regression
    if told is None:
        raise MalformedEvent("invalid", f"a {REGRESSED} without its `regression`")
    if abs(told.drop_basis_points) > MAX_INTEGER:
        raise MalformedEvent("invalid", "a drop that no column holds")
    return Regression(
        common=Common(
            schema_version=SCHEMA_VERSION,
            project=signal.project,
            dt=_day(signal.ts),
            run_id=signal.run_id,
            diff_id=told.diff_id,
            base_sha=told.base_sha,
            ft_sha=told.ft_sha,
            config_hash="",
            created_at=signal.ts,
        ),
        row=RegressionRow(
            attempt=signal.attempt,
            signal_id=signal.signal_id,
            category=told.category,
            score=float(signal.value),
            prior_run_id=told.prior_run_id,
            prior_score=told.prior_score,
            drop_basis_points=told.drop_basis_points,
            n=told.n,
            prior_n=told.prior_n,
            standard_error=told.standard_error,
            significant=told.significant,
        ),
    )


def _day(ts: float) -> str:
    try:
        return dt.datetime.fromtimestamp(ts, dt.UTC).date().isoformat()
    except (OverflowError, ValueError, OSError):
        raise MalformedEvent("invalid", f"ts is {ts:g}, which is on no day") from None


def by_diff(regressions: Iterable[Regression]) -> list[tuple[Common, list[RegressionRow]]]:
    """The rows of each diff, which go into one file, in the order in which they came."""
    diffs: dict[tuple[str, str, str, str], tuple[Common, list[RegressionRow]]] = {}
    for each in regressions:
        key = (each.common.project, each.common.dt, each.common.run_id, each.common.diff_id)
        diffs.setdefault(key, (each.common, []))[1].append(each.row)
    return list(diffs.values())


def merged(stored: Sequence[RegressionRow], told: Sequence[RegressionRow]) -> list[RegressionRow]:
    """Each signal once, as it was told first; by category, so that the order in which they came does not show."""
    rows: dict[str, RegressionRow] = {}
    for row in (*stored, *told):
        rows.setdefault(row.signal_id, row)
    return sorted(rows.values(), key=lambda row: (row.category, row.signal_id))
