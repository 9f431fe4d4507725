"""Every bound a detector compares with, and where a deployment or a project sets its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from producers.events import Project

Length = Annotated[int, Meta(ge=1, le=1000)]
Positive = Annotated[float, Meta(gt=0)]


class Thresholds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The bounds of the detectors; the defaults are the project's.

    Raises ValueError where a window is too short for the detector that reads it.
    """

    loss_window: Length = 20
    """finite losses held"""
    max_grad_window: Length = 20
    """finite maximum gradient norms held"""

    divergence_comparisons: Length = 10
    """consecutive steps on which the loss must not fall"""
    divergence_rise: Annotated[float, Meta(ge=0)] = 0.5
    """loss over those steps"""

    spike_warning_ratio: Positive = 5.0
    """times the mean of the previous maximum gradient norms"""
    spike_critical_ratio: Positive = 20.0
    spike_min_history: Length = 5
    """previous values needed"""
    spike_floor: Annotated[float, Meta(ge=0)] = 1.0
    """a norm up to this is no spike, whatever the ratio"""

    dead_norm: Positive = 1e-6
    """a gradient norm below this is dead"""
    dead_streak: Length = 5
    """consecutive events"""

    plateau_relative_variance: Positive = 0.001
    """population variance of the full loss window over the square of its mean"""

    cooldown_steps: Annotated[int, Meta(ge=0)] = 30

    def __post_init__(self) -> None:
        if self.loss_window <= self.divergence_comparisons:
            raise ValueError("loss_window must be greater than divergence_comparisons")
        if self.max_grad_window < self.spike_min_history:
            raise ValueError("max_grad_window must be at least spike_min_history")
        if self.spike_critical_ratio < self.spike_warning_ratio:
            raise ValueError("spike_critical_ratio must be at least spike_warning_ratio")


class ThresholdPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """Which thresholds judge which project.

    >>> policy = parse_policy(b'''
    ... [default]
    ... cooldown_steps = 50
    ... [projects."llm/pretrain"]
    ... divergence_rise = 1.5
    ... ''')
    >>> policy.of("llm/pretrain").divergence_rise, policy.of("llm/pretrain").cooldown_steps
    (1.5, 50)
    >>> policy.of("other").divergence_rise
    0.5
    """

    default: Thresholds = Thresholds()
    projects: Mapping[Project, Thresholds] = {}

    def of(self, project: str) -> Thresholds:
        """The thresholds of `project`."""
        return self.projects.get(project, self.default)


class _PolicyFile(Struct, forbid_unknown_fields=True):
    default: dict[str, float] = {}
    projects: dict[Project, dict[str, float]] = {}


def parse_policy(raw: bytes) -> ThresholdPolicy:
    """The policy in TOML text: a table `default` and a table `projects.<name>` each; a project's adds to the default.

    Raises ValueError with the place and the reason.
    """
    file = msgspec.toml.decode(raw, type=_PolicyFile)
    return ThresholdPolicy(
        default=_thresholds(file.default),
        projects={project: _thresholds(file.default | own) for project, own in file.projects.items()},
    )


def _thresholds(values: Mapping[str, float]) -> Thresholds:
    whole = {name: int(value) if value.is_integer() else value for name, value in values.items()}
    return msgspec.convert(whole, Thresholds)


def load_policy(path: Path | None) -> ThresholdPolicy:
    """The policy in the TOML file at `path`, or the defaults where there is none.

    Raises OSError, and ValueError naming the file.
    """
    if path is None:
        return ThresholdPolicy()
    try:
        return parse_policy(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
