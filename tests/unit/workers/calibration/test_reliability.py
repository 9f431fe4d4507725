from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from torchmetrics.classification import BinaryCalibrationError

from workers.behaviour.bootstrap import Floats
from workers.calibration.reliability import BINS, Bools, ace, ece, ece_interval, null_floor, reliability


def answers(n: int, seed: int = 0, power: float = 1.0) -> tuple[Floats, Bools]:
    """Confidences spread evenly; right as often as `confidence ** power` says: at 1, perfectly calibrated."""
    rng = np.random.default_rng(seed)
    confidences = rng.random(n)
    return confidences, rng.random(n) < confidences**power


@pytest.mark.parametrize(("n", "power"), [(40, 1.0), (500, 3.0), (2_000, 0.3)])
def test_equal_to_scikit_learn(n: int, power: float) -> None:
    confidences, right = answers(n, power=power)
    accuracies, means = calibration_curve(right, confidences, n_bins=BINS)
    found = reliability(confidences, right)
    filled = [part for part in found.bins if part.n]
    np.testing.assert_allclose([part.accuracy or 0.0 for part in filled], accuracies, rtol=0, atol=1e-12)
    np.testing.assert_allclose([part.confidence or 0.0 for part in filled], means, rtol=0, atol=1e-12)
    gaps = np.abs(accuracies - means)
    assert found.ece == pytest.approx(np.dot([part.n for part in filled], gaps) / n, abs=1e-12)
    assert found.mce == pytest.approx(gaps.max(), abs=1e-12)
    assert found.mean_gap == pytest.approx(gaps.mean(), abs=1e-12)


@pytest.mark.parametrize("power", [0.3, 1.0, 3.0])
def test_equal_to_torchmetrics_off_the_edges(power: float) -> None:
    confidences, right = answers(800, power=power)
    found = reliability(confidences, right)
    norms: tuple[tuple[Literal["l1", "max"], float], ...] = (("l1", found.ece), ("max", found.mce))
    for norm, ours in norms:
        theirs = BinaryCalibrationError(n_bins=BINS, norm=norm)(torch.tensor(confidences), torch.tensor(right).int())
        assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_an_edge_is_in_the_bin_below() -> None:
    edges = np.array([0.0, 1 / 15, 2 / 15, 1.0])
    found = reliability(edges, np.array([True, True, True, True]))
    assert [part.n for part in found.bins] == [2, 1, *[0] * 11, 0, 1]
    assert found.bins[5].accuracy is None


@pytest.mark.parametrize(("n", "floor", "within"), [(54, 0.16, 0.02), (2_000, 0.03, 0.006)])
def test_a_perfectly_calibrated_model_measures_its_floor(n: int, floor: float, within: float) -> None:
    measured = [ece(*answers(n, seed)) for seed in range(60)]
    assert np.mean(measured) == pytest.approx(floor, abs=within)
    assert null_floor(answers(n)[0]) == pytest.approx(np.mean(measured), abs=within)


def test_an_overconfident_model_is_far_above_its_floor() -> None:
    confidences, right = answers(2_000, power=3.0)
    assert ece_interval(confidences, right).low > 3 * null_floor(confidences)


def test_certain_and_right_is_perfect() -> None:
    confidences, right = np.ones(20), np.ones(20, dtype=np.bool_)
    found = reliability(confidences, right)
    assert (found.ece, found.mce, found.ace, found.brier, null_floor(confidences)) == (0, 0, 0, 0, 0)
    assert ece_interval(confidences, right) == (0, 0)


def test_ace_has_bins_of_equal_mass() -> None:
    confidences = np.linspace(0.9, 1.0, 30)
    right = np.arange(30) >= 15
    parts = [(right[at : at + 2] - confidences[at : at + 2]).mean() for at in range(0, 30, 2)]
    assert ace(confidences, right) == pytest.approx(np.abs(parts).mean())
    assert ace(np.array([0.2]), np.array([False])) == pytest.approx(0.2)


def test_the_same_again() -> None:
    confidences, right = answers(54)
    assert ece_interval(confidences, right) == ece_interval(confidences, right)
    assert null_floor(confidences) == null_floor(confidences)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_bounds(pairs: list[tuple[float, bool]]) -> None:
    found = reliability(np.array([c for c, _ in pairs]), np.array([r for _, r in pairs]))
    for value in (found.ece, found.mce, found.ace, found.mean_gap, found.brier):
        assert 0 <= value <= 1
    assert found.ece <= found.mce + 1e-12
    assert sum(part.n for part in found.bins) == len(pairs)
