import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from tests.unit.workers.behaviour.fakes import seeded
from workers.behaviour.divergence import LN2, entropy, js, kl


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 8.0])
def test_equal_to_scipy(sharpness: float) -> None:
    log_p, log_q = (seeded(name, sharpness).double().log_softmax(-1) for name in "pq")
    p, q = log_p.exp().numpy(), log_q.exp().numpy()
    assert float(js(log_p, log_q)) == pytest.approx(float(jensenshannon(p, q)) ** 2, abs=1e-12)
    assert float(kl(log_p, log_q)) == pytest.approx(float(scipy_entropy(p, q)), rel=1e-9)
    assert float(entropy(log_p)) == pytest.approx(float(scipy_entropy(p)), rel=1e-9)


def test_what_is_apart_differs_by_ln_2_and_what_is_equal_by_0() -> None:
    log_p = torch.tensor([1.0, 0.0]).log()
    log_q = torch.tensor([0.0, 1.0]).log()
    assert float(js(log_p, log_q)) == pytest.approx(LN2, abs=1e-12)
    assert float(js(log_p, log_p)) == 0.0
    assert float(entropy(log_p)) == 0.0
    assert float(kl(log_p, log_q)) == math.inf


def test_symmetric_and_broadcast() -> None:
    anchor, others = seeded("a", 3), torch.stack([seeded(name, 3) for name in "bcd"])
    assert js(anchor, others).shape == (3,)
    np.testing.assert_allclose(js(anchor, others), js(others, anchor), atol=1e-12)


@given(st.text(), st.text(), st.floats(0, 60))
def test_bounded(one: str, other: str, sharpness: float) -> None:
    assert 0 <= float(js(seeded(one, sharpness), seeded(other, sharpness))) <= LN2
