"""Gradient norms equal the naive ones, and cost one sync."""

import math
from collections.abc import Iterable

import pytest
import torch
from torch import nn

from producers.gradients.norms import GradientNorms, Measured, layer_of
from tests.unit.producers.gradients.syncs import Syncs


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attn(x)
        return x + self.mlp(x)  # type: ignore[no-any-return]


class Model(nn.Module):
    def __init__(self, width: int = 8, *, sparse: bool = False, tied: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, width, sparse=sparse)
        self.layers = nn.ModuleList(Block(width) for _ in range(2))
        self.lm_head = nn.Linear(width, 11, bias=False)
        if tied:
            self.lm_head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.embed(tokens)
        for layer in self.layers:
            x = layer(x)
        return self.lm_head(x)  # type: ignore[no-any-return]


def trained(**kinds: bool) -> Model:
    torch.manual_seed(0)
    model = Model(**kinds)
    model(torch.tensor([[1, 1, 2, 3]])).square().sum().backward()
    return model


def naive(parameters: Iterable[tuple[str, torch.Tensor]]) -> Measured:
    squares: dict[str, float] = {}
    largest: float | None = None
    for name, parameter in parameters:
        if parameter.grad is None or not parameter.requires_grad:
            continue
        norm = parameter.grad.to_dense().double().norm().item()
        layer = layer_of(name)
        squares[layer] = squares.get(layer, 0.0) + norm * norm
        largest = norm if largest is None else max(largest, norm)
    return Measured(largest, {layer: math.sqrt(square) for layer, square in squares.items()})


def assert_close(measured: Measured, expected: Measured) -> None:
    assert measured.max_grad == pytest.approx(expected.max_grad, rel=1e-5)
    assert measured.grad_norms == pytest.approx(expected.grad_norms, rel=1e-5)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("model.layers.0.self_attn.q_proj.weight", "model.layers.0.self_attn"),
        ("layers.3.mlp.experts.7.w1.weight", "layers.3.mlp"),
        ("blocks.2.weight", "blocks.2"),
        ("0.weight", "0"),
        ("transformer.h.10.ln_1.bias", "transformer.h.10.ln_1"),
        ("lm_head.weight", "lm_head"),
        ("prompts.3", "prompts"),
        ("cls_token", "cls_token"),
        ("module.layers.1.mlp.up.weight", "layers.1.mlp"),
        ("_orig_mod.module.layers.1.mlp.up.weight", "layers.1.mlp"),
        ("module._orig_mod.layers.1._orig_mod.mlp.up.weight", "layers.1.mlp"),
        ("_fsdp_wrapped_module.layers.1._checkpoint_wrapped_module.mlp.up.weight", "layers.1.mlp"),
        ("module", "module"),
    ],
)
def test_a_parameter_belongs_to_a_layer(name: str, layer: str) -> None:
    assert layer_of(name) == layer


@pytest.mark.parametrize("kinds", [{}, {"sparse": True}, {"tied": True}])
def test_norms_equal_the_naive_ones(kinds: dict[str, bool]) -> None:
    model = trained(**kinds)
    measured = GradientNorms(model).measure()
    assert_close(measured, naive(model.named_parameters()))
    assert {"embed", "layers.0.self_attn", "layers.0.mlp", "layers.1.mlp"} <= set(measured.grad_norms)


def test_tied_parameters_count_once_also_in_a_list_that_repeats_them() -> None:
    model = trained(tied=True)
    measured = GradientNorms(model.named_parameters(remove_duplicate=False)).measure()
    assert measured == GradientNorms(model).measure()
    assert "lm_head" not in measured.grad_norms


def test_frozen_parameters_and_absent_gradients_are_left_out() -> None:
    model = trained()
    norms = GradientNorms(model)
    model.layers[0].requires_grad_(False)
    model.lm_head.weight.grad = None
    assert set(norms.measure().grad_norms) == {"embed", "layers.1.self_attn", "layers.1.mlp"}
    model.zero_grad()
    assert norms.measure() == Measured(None, {})


def test_a_group_of_the_callers_own() -> None:
    measured = GradientNorms(trained(), group=lambda name: name.split(".")[0]).measure()
    assert set(measured.grad_norms) == {"embed", "layers", "lm_head"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_types_beside_float32_do_not_overflow(dtype: torch.dtype) -> None:
    wide, narrow = (nn.Parameter(torch.ones(5, dtype=kind)) for kind in (torch.float32, dtype))
    wide.grad, narrow.grad = torch.full_like(wide, 2.0), torch.full_like(narrow, 60_000.0)
    measured = GradientNorms(
        [("a.weight", wide), ("b.weight", narrow), ("b.bias", nn.Parameter(torch.ones(5)))]
    ).measure()
    assert measured.grad_norms == pytest.approx({"a": 2 * 5**0.5, "b": 60_000.0 * 5**0.5}, rel=2e-3)
    assert measured.max_grad == measured.grad_norms["b"]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", range(4))
def test_what_is_not_finite_comes_through_wherever_it_stands(bad: float, where: int) -> None:
    parameters = [(f"layers.{index}.weight", nn.Parameter(torch.ones(3))) for index in range(4)]
    for _, parameter in parameters:
        parameter.grad = torch.ones(3)
    parameters[where][1].grad = torch.tensor([1.0, bad, 1.0])
    measured = GradientNorms(parameters).measure()
    assert measured.max_grad == pytest.approx(bad, nan_ok=True)
    assert measured.grad_norms.pop(f"layers.{where}") == pytest.approx(bad, nan_ok=True)
    assert all(map(math.isfinite, measured.grad_norms.values()))


def test_a_nan_beside_an_infinity_in_one_layer_is_not_finite() -> None:
    weight, bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))
    weight.grad, bias.grad = torch.tensor([math.nan]), torch.tensor([math.inf])
    measured = GradientNorms([("a.weight", weight), ("a.bias", bias)]).measure()
    assert measured.max_grad is not None
    assert math.isnan(measured.max_grad)
    assert not math.isfinite(measured.grad_norms["a"])


def test_one_sync() -> None:
    model = trained()
    norms = GradientNorms(model)
    with Syncs() as syncs:
        norms.measure()
    assert syncs.count == 1
    with Syncs() as syncs:
        naive(model.named_parameters())
    assert syncs.count == len(list(model.parameters())), "the counter sees the naive way's"


def test_nothing_else_needs_a_number_from_the_device() -> None:
    model = Model().to("meta")
    for parameter in model.parameters():
        parameter.grad = torch.empty_like(parameter)
    with Syncs() as syncs:
        measured = GradientNorms(model).measure()
    assert syncs.count == 1
    assert set(measured.grad_norms.values()) == {0.0}


def test_one_sync_a_device() -> None:
    here, meta = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2, device="meta"))
    here.grad, meta.grad = torch.ones(2), torch.ones(2, device="meta")
    with Syncs() as syncs:
        measured = GradientNorms([("a.weight", here), ("a.bias", meta), ("b.weight", meta)]).measure()
    assert syncs.count == 2
    assert measured.grad_norms == {"a": pytest.approx(2**0.5)}


def test_between_unscaling_and_clipping() -> None:
    model, plain = trained(), trained()
    expected = GradientNorms(plain).measure()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    norms = GradientNorms(model)
    model.zero_grad()
    scaler.scale(model(torch.tensor([[1, 1, 2, 3]])).square().sum()).backward()
    scaled = norms.measure()
    scaler.unscale_(optimizer)
    measured = norms.measure()
    total = nn.utils.clip_grad_norm_(model.parameters(), 0.01)
    clipped = norms.measure()

    assert_close(measured, expected)
    assert math.hypot(*measured.grad_norms.values()) == pytest.approx(total.item(), rel=1e-5)
    assert scaled.max_grad is not None
    assert measured.max_grad is not None
    assert clipped.max_grad is not None
    assert measured.max_grad == pytest.approx(scaled.max_grad / 2**12, rel=1e-5)
    assert clipped.max_grad < 0.01 < measured.max_grad
    scaler.step(optimizer)
    scaler.update()
