"""Reliability diagrams: how often a model is right where it is so sure, beside how often it is so sure."""

import math
from collections.abc import Sequence

from msgspec import Struct

from streakline.report.drawing import Scale, path
from workers.lake.tables import CalibrationBinRow, CalibrationSummaryRow, CalibrationTopicRow, EvalSplit, Model

SQUARE = 214
"""side of the diagram"""
HISTOGRAM = 44
_LEFT, _TOP, _BETWEEN = 38.0, 42.0, 8.0
HEIGHT = _TOP + SQUARE + _BETWEEN + HISTOGRAM + 34
_MODELS: tuple[Model, ...] = ("base", "fine_tuned")
_SPLITS: tuple[EvalSplit, ...] = ("held_out", "train")


class Dot(Struct, frozen=True):
    """A bin that holds something."""

    row: CalibrationBinRow
    x: float
    y: float
    right: float
    """y of the diagonal there"""
    radius: float


class Bar(Struct, frozen=True):
    """How many answers a bin holds."""

    x: float
    y: float
    width: float
    height: float


class Panel(Struct, frozen=True):
    """One model on one split."""

    model: Model
    summary: CalibrationSummaryRow
    line: str
    dots: tuple[Dot, ...]
    bars: tuple[Bar, ...]
    most: int
    """answers in the fullest bin"""
    is_beyond_chance: bool
    """the whole interval of the error lies above what a perfectly calibrated model would measure"""


class Split(Struct, frozen=True):
    """Both models on the same probes."""

    eval_split: EvalSplit
    panels: tuple[Panel, ...]


class Frame(Struct, frozen=True):
    """What all panels share."""

    left: float
    right: float
    top: float
    bottom: float
    floor: float
    """of the histogram"""
    marks: tuple[tuple[float, float, str], ...]
    """x, y, and what is written there"""


class Topic(Struct, frozen=True):
    """A topic before and after; at least one of the two is there."""

    row: CalibrationTopicRow
    """the fine-tuned model's, or else the base's"""
    base: CalibrationTopicRow | None
    fine_tuned: CalibrationTopicRow | None
    before: float | None
    """where the errors are drawn"""
    after: float | None


_ACROSS = Scale(0.0, 1.0, _LEFT, _LEFT + SQUARE)
_DOWN = Scale(0.0, 1.0, _TOP + SQUARE, _TOP)
_FLOOR = _TOP + SQUARE + _BETWEEN + HISTOGRAM

FRAME = Frame(
    left=_LEFT,
    right=_LEFT + SQUARE,
    top=_TOP,
    bottom=_TOP + SQUARE,
    floor=_FLOOR,
    marks=tuple((_ACROSS.at(each), _DOWN.at(each), f"{each:g}") for each in (0.0, 0.25, 0.5, 0.75, 1.0)),
)
TOPIC_WIDTH = 132


def splits(summaries: Sequence[CalibrationSummaryRow], bins: Sequence[CalibrationBinRow]) -> tuple[Split, ...]:
    """Held-out probes and training probes apart, the base model first."""
    found = {(row.eval_split, row.model): row for row in summaries}
    made = [
        Split(
            eval_split=split,
            panels=tuple(
                _panel(found[split, model], [row for row in bins if (row.eval_split, row.model) == (split, model)])
                for model in _MODELS
                if (split, model) in found
            ),
        )
        for split in _SPLITS
    ]
    return tuple(split for split in made if split.panels)


def topics(rows: Sequence[CalibrationTopicRow]) -> tuple[Topic, ...]:
    """The largest error of the fine-tuned model first; those with too few probes to go by at the end."""
    scale = Scale(0.0, max([0.1, *(row.ece for row in rows)]), 5, TOPIC_WIDTH - 5)
    pairs: dict[tuple[EvalSplit, str, str], dict[Model, CalibrationTopicRow]] = {}
    for row in rows:
        pairs.setdefault((row.eval_split, row.category, row.topic), {})[row.model] = row
    made = [
        Topic(
            row=pair.get("fine_tuned") or pair["base"],
            base=pair.get("base"),
            fine_tuned=pair.get("fine_tuned"),
            before=scale.at(pair["base"].ece) if "base" in pair else None,
            after=scale.at(pair["fine_tuned"].ece) if "fine_tuned" in pair else None,
        )
        for pair in pairs.values()
    ]
    return tuple(sorted(made, key=lambda topic: (topic.row.is_small, -topic.row.ece)))


def _panel(summary: CalibrationSummaryRow, bins: Sequence[CalibrationBinRow]) -> Panel:
    most = max((row.n for row in bins), default=0)
    dots = tuple(
        Dot(
            row=row,
            x=_ACROSS.at(row.confidence),
            y=_DOWN.at(row.accuracy),
            right=_DOWN.at(row.confidence),
            # Area says how many.
            radius=round(2.0 + 4.0 * math.sqrt(row.n / most), 1),
        )
        for row in sorted(bins, key=lambda row: row.bin)
        if row.n and row.confidence is not None and row.accuracy is not None
    )
    return Panel(
        model=summary.model,
        summary=summary,
        line=path((dot.x, dot.y) for dot in dots),
        dots=dots,
        bars=tuple(_bar(row, most) for row in bins if row.n),
        most=most,
        is_beyond_chance=summary.ece_ci_low > summary.null_floor,
    )


def _bar(row: CalibrationBinRow, most: int) -> Bar:
    height = round(HISTOGRAM * row.n / most, 1)
    left = _ACROSS.at(row.lower)
    width = max(1.0, _ACROSS.at(row.upper) - left - 1)
    return Bar(x=round(left + 0.5, 1), y=round(_FLOOR - height, 1), width=round(width, 1), height=height)
