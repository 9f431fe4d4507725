"""The scores of both models: a panel for each headline score, and rows for the categories and topics."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from streakline.cli.diff_figures import HEADLINES
from streakline.report.content import SCOPES_SHOWN
from streakline.report.drawing import PANEL, Scale, around
from workers.lake.tables import ModelDiffRow, Scope

_NAME_ENDS = 74
_VALUE_BEGINS = PANEL - 40
_ROW_WIDTH = 132


class Interval(Struct, frozen=True):
    """A difference with its interval, drawn; `zero` is where none would be."""

    low: float
    at: float
    high: float
    zero: float


class Panel(Struct, frozen=True):
    """One headline score: two bars, and the difference below them."""

    row: ModelDiffRow
    bars_begin: float
    base_width: float
    fine_tuned_width: float
    delta: Interval
    ticks: tuple[tuple[float, str], ...]
    """of the difference's scale: where, and what is written there"""


class Line(Struct, frozen=True):
    """A row of a table, with its difference drawn on the scale of that table."""

    row: ModelDiffRow
    delta: Interval


class Group(Struct, frozen=True):
    """Rows that share a table; where there are too many, those with the largest differences."""

    title: str
    scope: Scope
    total: int
    """of them, shown or not"""
    lines: tuple[Line, ...]
    limit: float
    """the scale goes from minus to plus this"""


class Scores(Struct, frozen=True):
    """The whole section."""

    panels: tuple[Panel, ...]
    groups: tuple[Group, ...]


def scores(rows: Sequence[ModelDiffRow]) -> Scores:
    """All of it; where there are no rows, all of it empty."""
    overall = {row.score: row for row in rows if row.scope == "overall"}
    headline = [overall[name] for name in HEADLINES if name in overall]
    others = [row for row in overall.values() if row.score not in HEADLINES]
    groups = (
        ("By category", "category", [row for row in rows if row.scope == "category"]),
        ("By topic", "topic", [row for row in rows if row.scope == "topic"]),
        ("Other figures", "overall", others),
    )
    return Scores(
        panels=tuple(_panels(headline)),
        groups=tuple(_group(title, scope, found) for title, scope, found in groups if found),  # type: ignore[arg-type]
    )


def _panels(rows: Sequence[ModelDiffRow]) -> Iterable[Panel]:
    # One scale for the differences of all panels, so that they can be compared.
    limit = _limit(rows)
    bars = Scale(0.0, max([1.0, *(max(row.base, row.fine_tuned) for row in rows)]), _NAME_ENDS, _VALUE_BEGINS)
    differences = Scale(-limit, limit, _NAME_ENDS, _VALUE_BEGINS)
    marks = tuple((differences.at(each), f"{each:+g}" if each else "0") for each in (-limit, 0.0, limit))
    for row in rows:
        yield Panel(
            row=row,
            bars_begin=_NAME_ENDS,
            base_width=bars.at(row.base) - _NAME_ENDS,
            fine_tuned_width=bars.at(row.fine_tuned) - _NAME_ENDS,
            delta=_interval(row, differences),
            ticks=marks,
        )


def _group(title: str, scope: Scope, rows: Sequence[ModelDiffRow]) -> Group:
    shown = rows if len(rows) <= SCOPES_SHOWN else sorted(rows, key=lambda row: -abs(row.delta))[:SCOPES_SHOWN]
    limit = _limit(shown)
    scale = Scale(-limit, limit, 2, _ROW_WIDTH - 2)
    lines = tuple(Line(row=row, delta=_interval(row, scale)) for row in shown)
    return Group(title=title, scope=scope, total=len(rows), lines=lines, limit=limit)


def _limit(rows: Sequence[ModelDiffRow]) -> float:
    largest = max((max(abs(row.ci_low), abs(row.ci_high), abs(row.delta)) for row in rows), default=0.0)
    return around([0.0, largest], least=0.05)[1]


def _interval(row: ModelDiffRow, scale: Scale) -> Interval:
    return Interval(
        low=scale.at(row.ci_low),
        at=scale.at(row.delta),
        high=scale.at(row.ci_high),
        zero=scale.at(0.0),
    )
