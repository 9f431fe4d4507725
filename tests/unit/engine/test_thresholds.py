"""Which thresholds there may be, at the edges of what makes sense."""

import pytest

from stream_app.engine.thresholds import Thresholds, parse_policy


def parsed(setting: str) -> Thresholds:
    return parse_policy(f"[default]\n{setting}\n".encode()).default


@pytest.mark.parametrize(
    "setting",
    [
        "cooldown_steps = 0",
        "dead_streak = 1",
        "dead_streak = 1000",
        "loss_window = 1000",
        "loss_window = 11",
        "max_grad_window = 5",
        "spike_warning_ratio = 20",
        "spike_critical_ratio = 5.0",
        "spike_floor = 0",
        "divergence_rise = 0.0",
        "dead_norm = 1e-300",
        "plateau_relative_variance = 1e-12",
    ],
)
def test_the_last_value_that_makes_sense_is_taken(setting: str) -> None:
    name, _, value = setting.partition(" = ")
    assert getattr(parsed(setting), name) == float(value)


@pytest.mark.parametrize(
    "setting",
    [
        "cooldown_steps = -1",
        "cooldown_steps = 1.5",
        "dead_streak = 0",
        "dead_streak = 1001",
        "loss_window = 1001",
        "loss_window = 10",
        "max_grad_window = 4",
        "spike_warning_ratio = 20.5",
        "spike_critical_ratio = 4.5",
        "spike_warning_ratio = 0",
        "spike_floor = -0.5",
        "spike_floor = nan",
        "divergence_rise = -0.5",
        "dead_norm = 0.0",
        "plateau_relative_variance = 0.0",
        "cooldown_steps = '30'",
        "cooldown_steps = true",
    ],
)
def test_the_first_that_does_not_is_refused(setting: str) -> None:
    with pytest.raises(ValueError, match=r"Expected|must be"):
        parsed(setting)


def test_a_project_adds_to_the_default_and_may_go_back_on_it() -> None:
    policy = parse_policy(b"[default]\ndead_streak = 9\ncooldown_steps = 5\n[projects.p]\ndead_streak = 5\n")
    assert policy.of("p") == Thresholds(dead_streak=5, cooldown_steps=5)
    assert policy.of("q") == Thresholds(dead_streak=9, cooldown_steps=5)


def test_thresholds_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Thresholds().dead_streak = 1  # type: ignore[misc]
