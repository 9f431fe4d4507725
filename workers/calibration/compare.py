"""Two models' answers → the calibration tables. Pure: the base's answers may come from a cache."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from msgspec import Struct

from workers.behaviour.bootstrap import Floats
from workers.calibration.answers import Answer
from workers.calibration.reliability import Bools, ece_interval, null_floor, reliability
from workers.lake.tables import (
    CalibrationBinRow,
    CalibrationSummaryRow,
    CalibrationTopicRow,
    EvalSplit,
    LowConfidenceRow,
    Model,
)

LOW_CONFIDENCE = 0.5
SMALL_TOPIC = 30
_SPLITS: tuple[EvalSplit, ...] = ("held_out", "train")


class Calibration(Struct, frozen=True):
    """The rows of four tables."""

    summary: tuple[CalibrationSummaryRow, ...]
    bins: tuple[CalibrationBinRow, ...]
    topics: tuple[CalibrationTopicRow, ...]
    low_confidence: tuple[LowConfidenceRow, ...]


def compare(
    base: Sequence[Answer], fine_tuned: Sequence[Answer], low_confidence_below: float = LOW_CONFIDENCE
) -> Calibration:
    """Each model on each split that it has answers on; topics only of probes that have one."""
    of_model: list[tuple[Model, Sequence[Answer]]] = [("base", base), ("fine_tuned", fine_tuned)]
    sets = [
        (model, split, on_split)
        for model, answers in of_model
        for split in _SPLITS
        if (on_split := [answer for answer in answers if answer.eval_split == split])
    ]
    return Calibration(
        summary=tuple(_summary(model, split, answers) for model, split, answers in sets),
        bins=tuple(row for model, split, answers in sets for row in _bins(model, split, answers)),
        topics=tuple(row for model, split, answers in sets for row in _topics(model, split, answers)),
        low_confidence=tuple(_low_confidence(base, fine_tuned, low_confidence_below)),
    )


def _arrays(answers: Sequence[Answer]) -> tuple[Floats, Bools]:
    confidences = np.array([answer.confidence for answer in answers], dtype=np.float64)
    return confidences, np.array([answer.correct for answer in answers], dtype=np.bool_)


def _kind(answers: Sequence[Answer]) -> Literal["choices", "greedy", "mixed"]:
    kinds = {answer.confidence_kind for answer in answers}
    return kinds.pop() if len(kinds) == 1 else "mixed"


def _summary(model: Model, split: EvalSplit, answers: Sequence[Answer]) -> CalibrationSummaryRow:
    confidences, right = _arrays(answers)
    found = reliability(confidences, right)
    interval = ece_interval(confidences, right)
    return CalibrationSummaryRow(
        model=model,
        eval_split=split,
        confidence_kind=_kind(answers),
        n=found.n,
        accuracy=found.accuracy,
        mean_confidence=found.mean_confidence,
        ece=found.ece,
        ece_ci_low=interval.low,
        ece_ci_high=interval.high,
        null_floor=null_floor(confidences),
        mce=found.mce,
        ace=found.ace,
        mean_gap=found.mean_gap,
        brier=found.brier,
    )


def _bins(model: Model, split: EvalSplit, answers: Sequence[Answer]) -> list[CalibrationBinRow]:
    return [
        CalibrationBinRow(
            model=model,
            eval_split=split,
            bin=number,
            lower=found.lower,
            upper=found.upper,
            n=found.n,
            accuracy=found.accuracy,
            confidence=found.confidence,
        )
        for number, found in enumerate(reliability(*_arrays(answers)).bins)
    ]


def _topics(model: Model, split: EvalSplit, answers: Sequence[Answer]) -> list[CalibrationTopicRow]:
    by_topic: dict[tuple[str, str], list[Answer]] = {}
    for answer in answers:
        if answer.topic is not None:
            by_topic.setdefault((answer.category, answer.topic), []).append(answer)
    return [_topic(model, split, *topic, of_topic) for topic, of_topic in by_topic.items()]


def _topic(model: Model, split: EvalSplit, category: str, topic: str, answers: Sequence[Answer]) -> CalibrationTopicRow:
    confidences, right = _arrays(answers)
    found = reliability(confidences, right)
    interval = ece_interval(confidences, right)
    return CalibrationTopicRow(
        model=model,
        eval_split=split,
        category=category,
        topic=topic,
        n=found.n,
        is_small=found.n < SMALL_TOPIC,
        accuracy=found.accuracy,
        mean_confidence=found.mean_confidence,
        ece=found.ece,
        ece_ci_low=interval.low,
        ece_ci_high=interval.high,
        null_floor=null_floor(confidences),
    )


def _low_confidence(base: Sequence[Answer], fine_tuned: Sequence[Answer], below: float) -> list[LowConfidenceRow]:
    of_base = {answer.probe_id: answer.confidence for answer in base}
    return [
        LowConfidenceRow(
            probe_id=answer.probe_id,
            category=answer.category,
            topic=answer.topic,
            eval_split=answer.eval_split,
            prompt=answer.prompt,
            answer=answer.answer,
            given=answer.given,
            correct=answer.correct,
            confidence=answer.confidence,
            base_confidence=of_base[answer.probe_id],
            confidence_kind=answer.confidence_kind,
        )
        for answer in fine_tuned
        if answer.confidence < below and answer.probe_id in of_base
    ]
