"""Features and reconstructions are those of sae-lens, with no difference at all in float32."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.workers.sae.small_saes import FEATURES, WIDTH, load, tensors, write_dictionary, write_sparsify

TOKENS = 300


@pytest.fixture(scope="module")
def lens() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("sae_lens")


@pytest.fixture
def x() -> torch.Tensor:
    return 3 * torch.randn(TOKENS, WIDTH, generator=torch.Generator().manual_seed(7)) + 0.5


def randomised(sae: Any) -> Any:
    made = torch.Generator().manual_seed(5)
    for name, parameter in sorted(sae.named_parameters()):
        parameter.data = torch.randn(parameter.shape, generator=made) * (0.2 if parameter.ndim == 1 else 1.0)
        if name == "threshold":
            parameter.data.abs_()
    return sae


def lens_sae(lens: Any, kind: str, **fields: object) -> Any:
    metadata = lens.saes.sae.SAEMetadata(hook_name="blocks.3.hook_resid_post")
    config = getattr(lens, f"{kind}SAEConfig")(d_in=WIDTH, d_sae=FEATURES, metadata=metadata, **fields)
    return randomised(getattr(lens, f"{kind}SAE")(config))


@torch.no_grad()
def assert_same(theirs: Any, folder: Path, x: torch.Tensor) -> None:
    ours = load(folder)
    expected, features = theirs.encode(x), ours.encode(x)
    assert (features > 0).any()
    assert (features - expected).abs().max() == 0
    assert (ours.reconstruct(x, features, ours.read_decoder()) - theirs.decode(expected)).abs().max() == 0


@pytest.mark.parametrize("normalisation", ["none", "constant_norm_rescale", "layer_norm"])
@pytest.mark.parametrize("subtracts", [True, False])
@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("Standard", {}),
        ("TopK", {"k": 6}),
        ("TopK", {"k": 6, "rescale_acts_by_decoder_norm": True}),
        ("JumpReLU", {}),
        ("Gated", {}),
    ],
)
def test_saelens(
    lens: Any,
    kind: str,
    fields: dict[str, object],
    normalisation: str,
    subtracts: bool,
    x: torch.Tensor,
    tmp_path: Path,
) -> None:
    theirs = lens_sae(lens, kind, normalize_activations=normalisation, apply_b_dec_to_input=subtracts, **fields)
    theirs.save_model(tmp_path)

    assert_same(theirs, tmp_path, x)
    assert load(tmp_path).layer == 3


@pytest.mark.parametrize("rescales", [True, False])
def test_a_batch_topk_saved_for_inference(lens: Any, rescales: bool, x: torch.Tensor, tmp_path: Path) -> None:
    from sae_lens.saes.batchtopk_sae import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig

    metadata = lens.saes.sae.SAEMetadata(hook_name="blocks.3.hook_resid_post")
    config = BatchTopKTrainingSAEConfig(
        d_in=WIDTH, d_sae=FEATURES, k=4.0, metadata=metadata, rescale_acts_by_decoder_norm=rescales
    )
    trained = randomised(BatchTopKTrainingSAE(config))
    trained.topk_threshold.fill_(2.5)
    trained.save_inference_model(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = lens.SAE.load_from_disk(tmp_path)

    assert theirs.cfg.architecture() == "jumprelu"
    assert_same(theirs, tmp_path, x)


def test_sparsify(lens: Any, x: torch.Tensor, tmp_path: Path) -> None:
    theirs = lens_sae(lens, "TopK", k=5)
    theirs.load_state_dict(tensors())

    assert_same(theirs, write_sparsify(tmp_path), x)


Renamed = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


def as_linear(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        "encoder.weight": state["W_enc"].T.contiguous(),
        "encoder.bias": state["b_enc"],
        "decoder.weight": state["W_dec"].T.contiguous(),
        "b_dec": state["b_dec"],
    }


def as_auto_encoder(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    linear = as_linear(state)
    return linear | {"bias": linear.pop("b_dec")}


def as_gated(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        "encoder.weight": state["W_enc"].T.contiguous(),
        "decoder.weight": state["W_dec"].T.contiguous(),
        "decoder_bias": state["b_dec"],
        "r_mag": state["r_mag"],
        "gate_bias": state["b_gate"],
        "mag_bias": state["b_mag"],
    }


def with_one_threshold(renamed: Renamed) -> Renamed:
    return lambda state: renamed(state) | {"threshold": state["threshold"][0].clone(), "k": torch.tensor(4)}


@pytest.mark.parametrize(
    ("dict_class", "kind", "subtracts", "renamed"),
    [
        ("AutoEncoder", "Standard", True, as_auto_encoder),
        ("AutoEncoderTopK", "TopK", True, as_linear),
        ("GatedAutoEncoder", "Gated", True, as_gated),
        ("JumpReluAutoEncoder", "JumpReLU", False, dict),
        ("BatchTopKSAE", "JumpReLU", True, with_one_threshold(as_linear)),
        ("MatryoshkaBatchTopKSAE", "JumpReLU", True, with_one_threshold(dict)),
    ],
)
def test_dictionary_learning(
    lens: Any, dict_class: str, kind: str, subtracts: bool, renamed: Renamed, x: torch.Tensor, tmp_path: Path
) -> None:
    fields = {"k": 6} if kind == "TopK" else {}
    theirs = lens_sae(lens, kind, apply_b_dec_to_input=subtracts, **fields)
    if "BatchTopK" in dict_class:
        theirs.threshold.data.fill_(1.5)
    state = {name: value.detach().clone() for name, value in theirs.state_dict().items()}

    assert_same(theirs, write_dictionary(tmp_path, dict_class, renamed(state), fields), x)
