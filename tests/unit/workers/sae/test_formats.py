"""What is read, what is refused, and in which words."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.unit.workers.sae.small_saes import (
    FEATURES,
    WIDTH,
    config,
    load,
    tensors,
    write_dictionary,
    write_saelens,
    write_sparsify,
)
from workers.errors import DiffError
from workers.sae.encoder import check_layer, check_width
from workers.sae.formats import load_sae

Write = Callable[[Path], Path]
HUGE = {"activation_dim": 1 << 24, "dict_size": 1 << 24}


def linear(**more: object) -> dict[str, object]:
    made = tensors()
    return {
        "encoder.weight": made["W_enc"].T.contiguous(),
        "encoder.bias": made["b_enc"],
        "decoder.weight": made["W_dec"].T.contiguous(),
        "b_dec": made["b_dec"],
    } | more


def refusal(folder: Path) -> DiffError:
    with pytest.raises(DiffError) as caught:
        load(folder)
    assert str(folder) in str(caught.value)
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).endswith(".")
    return caught.value


def saelens(**fields: object) -> Write:
    return lambda root: write_saelens(root / "sae", fields)


def saelens_with(**weights: torch.Tensor) -> Write:
    return lambda root: write_saelens(root / "sae", weights=tensors() | weights)


def gated_with(**weights: torch.Tensor) -> Write:
    gated = {"b_gate": torch.zeros(FEATURES), "b_mag": torch.zeros(FEATURES)}
    return lambda root: write_saelens(root / "sae", {"architecture": "gated"}, tensors() | gated | weights)


def saelens_config(text: str) -> Write:
    def write(root: Path) -> Path:
        folder = write_saelens(root / "sae")
        (folder / "cfg.json").write_text(text)
        return folder

    return write


def sparsify(name: str = "layers.3", **fields: object) -> Write:
    return lambda root: write_sparsify(root, fields, name)


def dictionary(kind: str = "AutoEncoderTopK", weights: object = None, **fields: object) -> Write:
    return lambda root: write_dictionary(root / "sae", kind, linear() if weights is None else weights, fields)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (saelens(normalize_activations="expected_average_only_in"), "fold the scale in with SAELens'"),
        (saelens(normalize_activations=True), "expected_average_only_in needs a scale that is not stored"),
        (saelens(normalize_activations="covariance_whitening"), "normalisation 'covariance_whitening' is not known"),
        (saelens(architecture="batchtopk", k=4), "save it for inference (SAELens' save_inference_model)"),
        (saelens(architecture="batchtopk", k=2.5), "BatchTopK SAE as it is trained"),
        (saelens(architecture="matryoshka_batchtopk"), "features depend on the batch"),
        (saelens(architecture="temporal"), "architecture 'temporal' is not known"),
        (saelens(activation_fn="tanh-relu"), "activation function 'tanh-relu' is not known"),
        (saelens(finetuning_scaling_factor=True), "fold it into the weights"),
        (saelens(reshape_activations="hook_z"), "reshapes its input"),
        (saelens(metadata={"hook_name": "blocks.3.hook_mlp_out"}), "trained at 'blocks.3.hook_mlp_out', and only"),
        (saelens(metadata={"hook_name": "blocks.3.hook_resid_pre"}), "as in blocks.8.hook_resid_post"),
        (saelens(metadata={"hook_name": "blocks.3.hook_resid_post\n"}), "and only the residual stream"),
        (saelens(metadata={}), "does not say where it was trained; add the hook"),
        (sparsify("layers.3.mlp"), "trained at 'layers.3.mlp'"),
        (sparsify(transcode=True), "a transcoder"),
        (sparsify(skip_connection=True), "a transcoder"),
        (sparsify(signed=True), "its activation is signed"),
        (sparsify(activation="groupmax"), "its activation is 'groupmax'; name one with topk"),
        (dictionary(kind="CrossCoder"), "its class 'CrossCoder' is not known; name one of AutoEncoder,"),
        (dictionary(submodule_name="mlp_out_layer_3"), "trained at 'mlp_out_layer_3'"),
        (dictionary(submodule_name=None), "add the hook, as in resid_post_layer_8"),
        (dictionary("BatchTopKSAE", linear(threshold=torch.tensor(-1.0))), "threshold was never set"),
    ],
)
def test_what_cannot_be_measured_is_unsupported(write: Write, sentence: str, tmp_path: Path) -> None:
    error = refusal(write(tmp_path))

    assert error.reason == "sae_unsupported"
    assert sentence in str(error)


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (saelens(d_in=WIDTH + 1), "W_enc has the shape [12, 40], not [13, 40] as its config says"),
        (saelens(d_sae=-1), "cfg.json is malformed (Expected `int` >= 1 - at `$.d_sae`); save the SAE again"),
        (saelens(d_in="12"), "Expected `int`, got `str` - at `$.d_in`"),
        (saelens(architecture="topk"), "its k is None of 40 features"),
        (saelens(architecture="topk", k=41), "its k is 41 of 40 features"),
        (saelens(architecture="topk", k=2.5), "its k is 2.5 of 40 features"),
        (gated_with(r_mag=torch.full((FEATURES,), 99.0)), "r_mag is so large that the weights it scales overflow"),
        (saelens(architecture="jumprelu"), "it has no tensor threshold"),
        (saelens_with(b_dec=torch.full((WIDTH,), torch.nan)), "b_dec holds numbers that are not finite"),
        (saelens_with(W_enc=torch.full((WIDTH, FEATURES), torch.inf)), "W_enc holds numbers that are not finite"),
        (saelens_with(b_enc=torch.zeros(FEATURES, dtype=torch.int32)), "not floating-point numbers"),
        (saelens_config('{"d_in": 12, "d_sa'), "cfg.json is malformed"),
        (saelens_config(""), "cfg.json is malformed"),
        (saelens_config("[]"), "Expected `object`, got `array`"),
        (saelens_config(json.dumps(config()).replace("12", "NaN", 1)), "cfg.json is malformed"),
        (saelens_config("[" * 100_000), "cfg.json is malformed"),
        (saelens_config(" " * (1 << 20) + "{}"), "cfg.json is larger than 1 MiB"),
        (sparsify(k=FEATURES + 1), "its k is 41 of 40 features"),
        (sparsify(num_latents=0, expansion_factor=4), "encoder.weight has the shape [40, 12], not [48, 12]"),
        (dictionary(k=None), "its k is None of 40 features"),
        (dictionary(layer=4, k=3), "says layer 4 and 'resid_post_layer_3'; correct config.json"),
        (dictionary(weights=[1, 2], k=3), "its weights cannot be read: 'it holds a list, not a state dict'"),
        (
            dictionary("JumpReluAutoEncoder", {"W_enc": torch.zeros(()).expand(1 << 24, 1 << 24)}, **HUGE),
            "W_enc is sparse, or smaller than it says",
        ),
        (dictionary("AutoEncoder", linear(b_dec=torch.zeros(WIDTH).to_sparse())), "b_dec is sparse"),
        (dictionary("AutoEncoder", linear(b_dec=torch.zeros(WIDTH, device="meta"))), "(ae.pt); save or copy it again"),
        (dictionary(weights={}, k=3), "it has no tensor encoder.weight"),
    ],
)
def test_what_is_damaged_is_invalid(write: Write, sentence: str, tmp_path: Path) -> None:
    error = refusal(write(tmp_path))

    assert error.reason == "sae_invalid"
    assert sentence in str(error)


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.99])
@pytest.mark.parametrize(
    "write",
    [saelens(), sparsify(), dictionary(k=3)],
    ids=["sae_weights.safetensors", "sae.safetensors", "ae.pt"],
)
def test_a_truncated_file_is_invalid(write: Write, kept: float, tmp_path: Path) -> None:
    folder = write(tmp_path)
    weights = next(path for path in folder.iterdir() if path.suffix in {".safetensors", ".pt"})
    whole = weights.read_bytes()
    weights.write_bytes(whole[: int(kept if kept >= 1 else kept * len(whole))])

    error = refusal(folder)
    assert error.reason == "sae_invalid"
    assert "save or copy it again" in str(error)


class RunsCode:
    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return (Path.touch, (Path("never"),))  # type: ignore[return-value]


def test_a_pickle_that_would_run_code_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = refusal(write_dictionary(tmp_path / "sae", "AutoEncoder", RunsCode()))

    assert error.reason == "sae_invalid"
    assert "its weights cannot be read" in str(error)
    assert not Path("never").exists()


def test_other_pickles_are_unsafe(tmp_path: Path) -> None:
    (tmp_path / "sae.pkl").write_bytes(pickle.dumps({}))
    error = refusal(tmp_path)

    assert error.reason == "unsafe_format"
    assert "pickle (sae.pkl), which can run code" in str(error)


def test_a_folder_that_is_not_there_is_missing(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere")

    assert error.reason == "missing"
    assert "correct the path" in str(error)


def test_a_folder_without_an_sae_says_what_is_known(tmp_path: Path) -> None:
    error = refusal(tmp_path)

    assert error.reason == "sae_invalid"
    assert "cfg.json with sae_weights.safetensors" in str(error)


def test_a_config_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_saelens(tmp_path)

    def refuse(*_arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)

    assert "cfg.json cannot be read (Permission denied); copy the folder again" in str(refusal(folder))


def test_weights_without_their_config(tmp_path: Path) -> None:
    save_file(tensors(), tmp_path / "sae_weights.safetensors")

    assert "cfg.json is missing beside sae_weights.safetensors" in str(refusal(tmp_path))


def test_a_decoder_is_checked_when_it_is_read(tmp_path: Path) -> None:
    sae = load(write_saelens(tmp_path, weights=tensors() | {"W_dec": torch.zeros(FEATURES, WIDTH + 1)}))

    with pytest.raises(DiffError, match="W_dec has the shape"):
        sae.read_decoder()


def test_configs_from_before_version_6(tmp_path: Path) -> None:
    old = {
        "d_in": WIDTH,
        "d_sae": FEATURES,
        "hook_point": "blocks.2.hook_resid_post",
        "activation_fn_str": "topk",
        "activation_fn_kwargs": {"k": 4},
        "normalize_activations": False,
    }
    folder = write_saelens(tmp_path)
    (folder / "cfg.json").write_text(json.dumps(old))
    sae = load(folder)

    assert (sae.layer, sae.hook) == (2, "blocks.2.hook_resid_post")
    assert ((sae.encode(torch.randn(50, WIDTH)) > 0).sum(dim=-1) == 4).all()


def test_sparsify_folders_may_carry_the_models_prefix(tmp_path: Path) -> None:
    assert load(write_sparsify(tmp_path, name="model.layers.11")).layer == 11


def test_the_sha_is_of_config_and_weights(tmp_path: Path) -> None:
    first, same = load(write_saelens(tmp_path / "a")), load(write_saelens(tmp_path / "b"))
    other_config = load(write_saelens(tmp_path / "c", {"apply_b_dec_to_input": False}))
    other_weights = load(write_saelens(tmp_path / "d", weights=tensors(1)))

    assert len(first.sha) == 64
    assert first.sha == same.sha
    assert len({first.sha, other_config.sha, other_weights.sha}) == 3


def test_bfloat16_keeps_the_biases_in_float32(tmp_path: Path) -> None:
    folder = write_saelens(tmp_path)
    sae = load_sae(folder, torch.device("cpu"), torch.bfloat16)
    x = torch.randn(200, WIDTH)
    features, exact = sae.encode(x.bfloat16()), load(folder).encode(x.bfloat16())

    assert (sae.encoder.dtype, sae.read_decoder().dtype) == (torch.bfloat16, torch.bfloat16)
    assert {sae.encoder_bias.dtype, sae.decoder_bias.dtype, features.dtype} == {torch.float32}
    torch.testing.assert_close(features, exact, atol=0.1, rtol=0.02)


def test_an_sae_of_another_model_does_not_fit(tmp_path: Path) -> None:
    sae = load(write_saelens(tmp_path))
    check_width(sae, WIDTH)
    check_layer(sae, 4)

    with pytest.raises(DiffError, match="12 wide, the model's is 16: name SAEs") as width:
        check_width(sae, 16)
    with pytest.raises(DiffError, match=r"layer 3 \(blocks.3.hook_resid_post\), the model has layers 0 to 2") as layer:
        check_layer(sae, 3)
    assert width.value.reason == layer.value.reason == "sae_mismatch"
