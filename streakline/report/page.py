"""A report as one HTML file that needs nothing else: no server, no network, and to be read, no script."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, Template
from msgspec import Struct

from streakline.report import reliability
from streakline.report.content import SCOPES_SHOWN, Diff, Report
from streakline.report.features import Mover, Row, grid, movers
from streakline.report.lines import Lines, lines
from streakline.report.scores import Scores, scores
from streakline.report.stretches import brief, course, explained
from streakline.web import assets
from streakline.web.environment import environment

_HERE = Path(__file__).parent

SIGNALS_OPEN, ANSWERS_OPEN = 40, 25
"""rows of a table that are shown before one asks for more"""
LAYERS_NAMED = 6
"""of a signal"""


class _Drawn(Struct, frozen=True):
    """A diff, with every position worked out."""

    scores: Scores
    rows: tuple[Row, ...]
    movers: tuple[Mover, ...]
    lines: Lines
    splits: tuple[reliability.Split, ...]
    topics: tuple[reliability.Topic, ...]


def render(report: Report) -> str:
    """The whole document. Its text may be hostile; what it holds is shown, and does nothing."""
    return _template().render(
        report=report,
        diff=report.diff,
        drawn=None if report.diff is None else _draw(report.diff, report.run_id),
        courses=tuple(map(course, report.timelines)),
        timeline_data={
            "timelines": tuple(map(brief, report.timelines)),
            "signals": tuple(map(explained, report.signals)),
        },
    )


@cache
def policy() -> str:
    """The content-security policy of every report; a server may send it as a header, too."""
    script_hashes = " ".join(map(assets.content_hash, _scripts()))
    style_hashes = " ".join(map(assets.content_hash, _styles()))
    return (
        f"default-src 'none'; script-src {script_hashes}; style-src {style_hashes}; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _draw(diff: Diff, run_id: str) -> _Drawn:
    return _Drawn(
        scores=scores(diff.scores),
        rows=grid(diff.layers),
        movers=movers(diff.layers),
        lines=lines(diff.histories, run_id),
        splits=reliability.splits(diff.calibration, diff.bins),
        topics=reliability.topics(diff.topics),
    )


@cache
def _styles() -> tuple[str, ...]:
    return (*map(assets.asset, assets.STYLES), assets.asset("report.css", _HERE))


@cache
def _scripts() -> tuple[str, ...]:
    return (*map(assets.asset, assets.SCRIPTS), *(assets.asset(name, _HERE) for name in ("grid.js", "report.js")))


@cache
def _template() -> Template:
    made: Environment = environment(_HERE / "templates")
    made.globals.update(
        policy=policy(),
        styles=_styles(),
        scripts=_scripts(),
        plot_licence=assets.asset("vendor/uPlot.LICENSE"),
        frame=reliability.FRAME,
        reliability_height=reliability.HEIGHT,
        signals_open=SIGNALS_OPEN,
        answers_open=ANSWERS_OPEN,
        scopes_shown=SCOPES_SHOWN,
        layers_named=LAYERS_NAMED,
    )
    return made.get_template("page.html.j2")
