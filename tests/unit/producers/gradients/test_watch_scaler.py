"""With a GradScaler a watch gives norms in the loss's own scale, and no overflow that the scale may have caused."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from producers.gradients.watch import Scaler
from tests.unit.producers.gradients.watched_models import Watch, backward, loss_of, new_model, sgd


def scaled_backward(model: nn.Module, scaler: torch.amp.GradScaler) -> None:
    with torch.autocast("cpu", dtype=torch.float16):
        loss = loss_of(model)
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clips", [False, True])
def test_scaled_gradients_are_measured_in_the_losss_own_scale(watch: Watch, fused: bool, clips: bool) -> None:
    model, plain = new_model(), new_model()
    expected = backward(plain)
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**6)
    seen = watch(model, scaler=scaler)
    for _ in range(2):
        optimizer.zero_grad()
        model.load_state_dict(plain.state_dict())
        scaled_backward(model, scaler)
        if clips:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        scaler.step(optimizer)
        scaler.update()
        measured = seen.take()
        assert measured is not None
        assert measured.max_grad == pytest.approx(expected.max_grad, rel=1e-2)
        assert measured.grad_norms == pytest.approx(expected.grad_norms, rel=1e-2)


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("clips", [False, True])
def test_overflows_until_the_scale_has_settled_are_left_out(watch: Watch, fused: bool, clips: bool) -> None:
    model = new_model()
    optimizer = sgd(model, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
    seen = watch(model, scaler=scaler)
    scales, measured = [], []
    for _ in range(8):
        optimizer.zero_grad()
        scaled_backward(model, scaler)
        scales.append(scaler.get_scale())
        if clips:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 1e9)
        scaler.step(optimizer)
        scaler.update()
        measured.append(seen.take())
    overflows = sum(scale != following for scale, following in pairwise(scales))
    assert 0 < overflows < 7, "the scale falls, and settles"
    assert measured[:overflows] == [None] * overflows
    for each in measured[overflows:]:
        assert each is not None
        assert all(map(math.isfinite, each.grad_norms.values()))


@pytest.mark.parametrize(
    ("scaler", "is_given"),
    [
        (None, True),
        (torch.amp.GradScaler("cpu", enabled=False), True),
        (torch.amp.GradScaler("cpu", init_scale=1.0), False),
        (torch.amp.GradScaler("cpu", init_scale=0.5), True),
    ],
)
def test_what_no_scale_can_explain_is_given(watch: Watch, scaler: Scaler | None, is_given: bool) -> None:
    model = new_model()
    seen, optimizer = watch(model, scaler=scaler), sgd(model)
    backward(model)
    model[0].bias.grad = torch.full((5,), math.inf)
    optimizer.step()
    measured = seen.take()
    assert (measured is not None) == is_given
    if measured is not None:
        assert measured.max_grad == math.inf


def test_the_scale_is_asked_for_in_need_only(watch: Watch) -> None:
    class Unasked:
        def is_enabled(self) -> bool:
            return True

        def get_scale(self) -> float:
            raise AssertionError("waits for the device")

    model = new_model()
    seen = watch(model, scaler=Unasked())
    expected = backward(model)
    sgd(model).step()
    assert seen.take() == expected
