import numpy as np
import pytest

from workers.behaviour.bootstrap import paired_interval, resampled_means

RNG = np.random.default_rng(0)
BASE = RNG.random(60)


def test_identical_input_is_exactly_nothing() -> None:
    assert paired_interval(BASE.tolist(), BASE.tolist()) == (0.0, 0.0)
    assert not paired_interval([0.1], [0.1]).excludes_zero


def test_about_the_normal_interval_and_the_same_again() -> None:
    after = BASE + RNG.normal(0.1, 0.2, 60)
    low, high = paired_interval(BASE.tolist(), after.tolist())
    delta, error = (after - BASE).mean(), (after - BASE).std(ddof=1) / 60**0.5
    assert low == pytest.approx(delta - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(delta + 1.96 * error, abs=0.2 * error)
    assert paired_interval(BASE.tolist(), after.tolist()) == (low, high)


def test_pairs_cancel_what_makes_a_probe_hard() -> None:
    assert paired_interval(BASE.tolist(), (BASE + 0.01).tolist()).excludes_zero


def test_groups_weigh_the_same_and_may_be_missed() -> None:
    drawn = resampled_means([0.0] * 99 + [1.0], [0] * 99 + [1])
    assert set(drawn.tolist()) == {0.0, 0.5}
    assert resampled_means([0.25, 0.25], [0, 1]).tolist() == [0.25] * 2000


def test_needs_pairs() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_interval([0.1, 0.2], [0.1])
