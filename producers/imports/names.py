"""What the names that trainers give to their curves mean.

One table for all formats: a tag of TensorBoard, a column of a table and a key of trainer_state.json are
named by the same trainers. Case, spaces and hyphens do not count, nor does a first component such as ``train/``.
"""

import re
from functools import lru_cache
from typing import Literal

from msgspec import Struct

Field = Literal["loss", "max_grad", "total_norm", "learning_rate", "epoch", "layer"]

MAX_NAME_LENGTH = 512

_PREFIX = re.compile(r"(?:train|training|trainer|optim|optimizer|metrics|loss_metrics)[/.]", re.IGNORECASE)

_LOSSES = (
    *("loss", "train_loss", "training_loss", "loss_step", "train_loss_step", "loss/train", "loss/train/total"),
    *("lm_loss", "total_loss", "loss/total", "global_avg_loss", "reduced_train_loss", "crossentropyloss"),
    *("cross_entropy_loss", "ce_loss", "batch_loss"),
)
# Trainer's mean over the whole run, logged once at its end: only where there is nothing else.
_LAST_LOSS = "train/train_loss"
_MAX_GRADS = ("maxgrad", "max_grad")
_TOTAL_NORMS = (
    *("grad_norm", "gradient_norm", "global_grad_norm", "total_grad_norm", "grad_norm_total", "global_norm"),
    *("grad_2.0_norm_total", "gradnorm"),
)
_LEARNING_RATES = ("learning_rate", "lr")
_LEARNING_RATE_OF_A_GROUP = re.compile(r"(?:learning_rate|lr)[-_/]?(?:group|adam|sgd|pg|\d).*")

_NORM_OF = re.compile(
    r"(?:gradients?|grad_?norms?|gradient_norms?|l2_norm/grad|grad_(?:[0-9.]+|inf)_norm)[/.](?P<of>.+)", re.IGNORECASE
)
# What stands in a layer's place and is none.
_TOTALS = {"total", "global", "global_norm", "all", "overall"}
_MAXIMA = {"max", "maximum"}
_OTHERS = {"mean", "avg", "average", "min", "minimum", "std", "median", "clipped", "unclipped", "train", "epoch"}

_STEPS = (
    *("train/global_step", "trainer/global_step", "global_step", "step", "train/step", "optimizer_step"),
    *("iteration", "iter", "_step"),
)
_TIMES = ("_timestamp", "timestamp", "ts", "wall_time")


class Meaning(Struct, frozen=True):
    """What a name stands for."""

    field: Field
    rank: int = 0
    """the lower, the better the name; of two that are recorded equally often the better one is taken"""
    layer: str = ""


@lru_cache(1 << 16)
def meaning(name: str) -> Meaning | None:
    """What the curve called `name` is, or None where it is nothing a step event holds.

    >>> meaning("train/loss").field, meaning("lr-AdamW").field, meaning("gradients/h.0.attn.c_proj.weight").layer
    ('loss', 'learning_rate', 'h.0.attn.c_proj.weight')
    >>> meaning("eval/loss"), meaning("max_grad_norm"), meaning("grad_norm/mean")
    (None, None, None)
    """
    if len(name) > MAX_NAME_LENGTH or not name.isprintable():
        return None
    plain = _plain(name)
    if plain == _LAST_LOSS:
        return Meaning("loss", len(_LOSSES))
    plain = _PREFIX.sub("", plain, count=1) if _PREFIX.match(plain) else plain
    ranked: tuple[tuple[Field, tuple[str, ...]], ...] = (
        ("loss", _LOSSES),
        ("max_grad", _MAX_GRADS),
        ("total_norm", _TOTAL_NORMS),
        ("learning_rate", _LEARNING_RATES),
        ("epoch", ("epoch",)),
    )
    for field, names in ranked:
        if plain in names:
            return Meaning(field, names.index(plain))
    if _LEARNING_RATE_OF_A_GROUP.fullmatch(plain):
        return Meaning("learning_rate", len(_LEARNING_RATES))
    return _norm(name)


def is_loss(name: str) -> bool:
    """Whether a curve of this name may be the training loss."""
    found = meaning(name)
    return found is not None and found.field == "loss"


def _norm(name: str) -> Meaning | None:
    prefix = _PREFIX.match(name)
    found = _NORM_OF.fullmatch(name, prefix.end() if prefix else 0)
    if found is None:
        return None
    of = _plain(found["of"])
    if of in _TOTALS:
        return Meaning("total_norm", len(_TOTAL_NORMS))
    if of in _MAXIMA:
        return Meaning("max_grad", len(_MAX_GRADS))
    return None if of in _OTHERS else Meaning("layer", layer=found["of"])


def step_rank(name: str) -> int | None:
    """How good a column of this name is as the step, lower is better; None: it is no step.

    >>> step_rank("train/global_step"), step_rank("Step"), step_rank("epoch")
    (0, 3, None)
    """
    plain = _plain(name)
    return _STEPS.index(plain) if plain in _STEPS else None


def time_rank(name: str) -> int | None:
    """How good a column of this name is as the time in Unix seconds; None: it is none."""
    plain = _plain(name)
    return _TIMES.index(plain) if plain in _TIMES else None


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
