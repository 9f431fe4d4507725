"""Every bound a detector compares with, and where a deployment or a project sets its own."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from producers.events import Project
from stream_app.engine.own import OwnJudge

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

    own: tuple[OwnJudge, ...] = ()
    """the detectors of installed packages with their bounds, in the order in which they are asked"""

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


_Table = dict[str, float | dict[str, dict[str, float]]]
_OWN = "own"


class _PolicyFile(Struct, forbid_unknown_fields=True):
    default: _Table = {}
    projects: dict[Project, _Table] = {}


def parse_policy(raw: bytes, detectors: Sequence[OwnJudge] = ()) -> ThresholdPolicy:
    """The policy in TOML text: a table `default` and a table `projects.<name>` each; a project's adds to the default.

    `detectors` are those of installed packages; their bounds are in tables `default.own."<type>"` and
    `projects.<name>.own."<type>"`. Raises ValueError with the place and the reason.
    """
    try:
        file = msgspec.toml.decode(raw, type=_PolicyFile)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return ThresholdPolicy(
        default=_thresholds(detectors, file.default),
        projects={project: _thresholds(detectors, file.default, own) for project, own in file.projects.items()},
    )


def _thresholds(detectors: Sequence[OwnJudge], *tables: _Table) -> Thresholds:
    """Of several `tables` the later ones count."""
    values: dict[str, float] = {}
    bounds: dict[str, dict[str, float]] = {detector.type: {} for detector in detectors}
    for table in tables:
        for name, value in table.items():
            if isinstance(value, dict) != (name == _OWN):
                raise ValueError(f"{name!r} is not as it has to be: a threshold is a number, and {_OWN!r} a table")
            if not isinstance(value, dict):
                values[name] = value
                continue
            for type_, own in value.items():
                if type_ not in bounds:
                    known = ", ".join(bounds) or "none"
                    raise ValueError(f"{type_!r} has bounds and is not installed; detectors that are: {known}")
                bounds[type_] |= own
    judges = tuple(detector.with_bounds(_whole(bounds[detector.type])) for detector in detectors)
    return replace(msgspec.convert(_whole(values), Thresholds), own=judges)


def _whole(values: Mapping[str, float]) -> dict[str, float]:
    return {name: int(value) if value.is_integer() else value for name, value in values.items()}


def load_policy(path: Path | None, detectors: Sequence[OwnJudge] = ()) -> ThresholdPolicy:
    """The policy in the TOML file at `path`, or the defaults where there is none; see `parse_policy`.

    Raises OSError, and ValueError naming the file.
    """
    if path is None:
        return parse_policy(b"", detectors)
    try:
        return parse_policy(path.read_bytes(), detectors)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
