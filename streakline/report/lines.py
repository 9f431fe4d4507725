"""The project's runs in each category, as small multiples on one scale."""

from collections.abc import Sequence

from msgspec import Struct

from streakline.report.content import CategoryHistory, CategoryPoint
from streakline.report.drawing import PANEL, Scale, around, path, ticks

HEIGHT = 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 14.0, 28.0, 20.0
_ALL_DOTS = 40
"""with more runs than that only those that say something have a dot"""
_TWO_SIDED = 1.96
"""standard errors on either side of 95 %"""


class Dot(Struct, frozen=True):
    """One run's score."""

    point: CategoryPoint
    x: float
    y: float
    low: float | None
    """ends of the 95 % interval"""
    high: float | None
    is_this_run: bool
    is_drawn: bool


class Panel(Struct, frozen=True):
    """One category."""

    category: str
    line: str
    dots: tuple[Dot, ...]
    regressed: int
    first: CategoryPoint
    last: CategoryPoint


class Lines(Struct, frozen=True):
    """All categories."""

    panels: tuple[Panel, ...]
    ticks: tuple[tuple[float, str], ...]
    left: float
    right: float
    bottom: float
    top: float


def lines(histories: Sequence[CategoryHistory], run_id: str) -> Lines:
    """Panels of the categories that have runs; those that regressed come first."""
    shown = [history for history in histories if history.points]
    low, high = around([point.score for history in shown for point in history.points], least=0.1)
    down = Scale(low, high, HEIGHT - _BOTTOM, _TOP)
    panels = [_panel(history, run_id, down) for history in shown]
    panels.sort(key=lambda panel: (-_gravity(panel), panel.category))
    return Lines(
        panels=tuple(panels),
        ticks=tuple((down.at(each), f"{each:g}") for each in ticks(low, high, 6)),
        left=_LEFT,
        right=PANEL - _RIGHT,
        bottom=HEIGHT - _BOTTOM,
        top=_TOP,
    )


def _gravity(panel: Panel) -> int:
    """Where this run regressed, that is the news; where another did, it is history."""
    return 2 * any(dot.is_this_run and dot.point.regressed for dot in panel.dots) + bool(panel.regressed)


def _panel(history: CategoryHistory, run_id: str, down: Scale) -> Panel:
    points = history.points
    across = Scale(0.0, max(1, len(points) - 1), _LEFT + 6, PANEL - _RIGHT)
    dots = tuple(
        _dot(
            point,
            across.at(index) if len(points) > 1 else across.end,
            down,
            is_this_run=point.run_id == run_id,
            is_drawn=len(points) <= _ALL_DOTS or point.regressed or point.run_id == run_id,
        )
        for index, point in enumerate(points)
    )
    return Panel(
        category=history.category,
        line=path((dot.x, dot.y) for dot in dots),
        dots=dots,
        regressed=sum(point.regressed for point in points),
        first=points[0],
        last=points[-1],
    )


def _dot(point: CategoryPoint, x: float, down: Scale, *, is_this_run: bool, is_drawn: bool) -> Dot:
    half = None if point.standard_error is None else _TWO_SIDED * point.standard_error
    return Dot(
        point=point,
        x=x,
        y=down.at(point.score),
        low=None if half is None else down.at(point.score - half),
        high=None if half is None else down.at(point.score + half),
        is_this_run=is_this_run,
        is_drawn=is_drawn,
    )
