"""Two models' rows → the `model_diff` rows. Pure: the base's rows may come from a cache.

Held-out probes only, and only those that both models have a figure for. The headline scores, accuracy and the figures
whose better and worse is beyond doubt carry a verdict; the rest are stored for whoever wants to know why.
"""

from collections.abc import Sequence

from workers.behaviour.rows import Pair, pairs, variants
from workers.behaviour.scopes import Score, error_of_share, mean_rows
from workers.behaviour.shyness import suppression_rows
from workers.calibration.answers import Answer
from workers.lake.tables import BehaviourRow, ModelDiffRow

_MEANS = (
    Score("consistency", higher_is_better=True),
    Score("consistency_ratio", "ratio"),
    Score("mean_kl", "nats"),
    Score("anchor_entropy", "nats"),
    Score("argmax_agreement", higher_is_better=True),
    Score("robustness", higher_is_better=True),
    Score("retention", "ratio", higher_is_better=True),
    Score("paraphrase_probability", higher_is_better=True),
)
ACCURACY = Score("accuracy", higher_is_better=True)


def compare(base: Sequence[BehaviourRow], fine_tuned: Sequence[BehaviourRow]) -> list[ModelDiffRow]:
    """Every score overall, by category and by topic; a model against itself has deltas of 0, all "unchanged"."""
    return [
        *(row for score in _MEANS for row in mean_rows(score, pairs(base, fine_tuned, score.name))),
        *(
            row
            for variant in variants(base, "gold_probability")
            if not variant.startswith("paraphrase_")
            for row in mean_rows(
                Score(f"gold_probability_{variant}", higher_is_better=True),
                pairs(base, fine_tuned, "gold_probability", variant),
            )
        ),
        *suppression_rows(base, fine_tuned),
    ]


def accuracy(
    base: Sequence[Answer],
    fine_tuned: Sequence[Answer],
    base_rows: Sequence[BehaviourRow] = (),
    fine_tuned_rows: Sequence[BehaviourRow] = (),
) -> list[ModelDiffRow]:
    """Share of held-out probes answered rightly, overall, by category and by topic, with its binomial error.

    A refusal probe without a right answer, known from the rows, is right where it was refused.
    """
    after = {answer.probe_id: answer for answer in fine_tuned}
    answered = [
        Pair(
            answer.probe_id,
            answer.category,
            answer.topic,
            "",
            float(answer.correct),
            float(after[answer.probe_id].correct),
        )
        for answer in base
        if answer.eval_split == "held_out" and answer.probe_id in after
    ]
    known = {pair.probe_id for pair in answered}
    refusals = [
        pair
        for pair in pairs(base_rows, fine_tuned_rows, "refused")
        if pair.kind == "refusal" and pair.probe_id not in known
    ]
    return mean_rows(ACCURACY, [*answered, *refusals], error_of_share)
