"""SAELens: ``cfg.json`` and ``sae_weights.safetensors``, of version 6 and, where they say the same, of those before."""

from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from msgspec import Meta, Struct

from workers.sae.activations import Activation, JumpRelu, Relu, TopK
from workers.sae.encoder import Sae
from workers.sae.formats.files import MAX_SIDE, Placement, SafetensorsFile, Weights, read_config, sha_of
from workers.sae.formats.gating import gated
from workers.sae.formats.hooks import HookNames, layer_of
from workers.sae.formats.refusals import invalid, quoted, unsupported
from workers.sae.normalisation import Normalisation

CONFIG = "cfg.json"
WEIGHTS = "sae_weights.safetensors"

Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]


class Metadata(Struct, frozen=True):
    """Where version 6 keeps the hook."""

    hook_name: str | None = None


class ActivationArguments(Struct, frozen=True):
    """Of a version before 6."""

    k: Side | None = None


class Config(Struct, frozen=True):
    """The fields that change a feature; all others are ignored."""

    d_in: Side
    d_sae: Side
    architecture: str = "standard"
    apply_b_dec_to_input: bool = True
    normalize_activations: str | bool = "none"
    reshape_activations: str = "none"
    k: int | float | None = None
    """whole, but for a BatchTopK's, which is refused for what it is"""
    rescale_acts_by_decoder_norm: bool = False
    finetuning_scaling_factor: bool = False
    metadata: Metadata = Metadata()
    hook_name: str | None = None
    hook_point: str | None = None
    activation_fn: str | None = None
    activation_fn_str: str | None = None
    activation_fn_kwargs: ActivationArguments | None = None

    @property
    def hook(self) -> str | None:
        """Whatever version wrote it."""
        return self.metadata.hook_name or self.hook_name or self.hook_point


class Kind(NamedTuple):
    """What the config comes to, whatever version wrote it."""

    architecture: str
    """standard, topk, jumprelu or gated"""
    k: int
    """0 but for topk"""


def load(folder: Path, placement: Placement) -> Sae:
    """Raises `DiffError`."""
    config = read_config(folder / CONFIG, Config)
    layer = layer_of(folder, config.hook, HookNames.SAELENS)
    normalisation = _normalisation(folder, config)
    kind = _kind(folder, config)
    weights = Weights(folder, SafetensorsFile(folder / WEIGHTS), placement)
    width, n = config.d_in, config.d_sae
    encoder = weights.matrix("W_enc", (width, n))
    return Sae(
        layer=layer,
        hook=config.hook or "",
        sha=sha_of(folder / CONFIG, folder / WEIGHTS),
        activation=_activation(folder, config, kind, weights, encoder),
        normalisation=normalisation,
        encoder=encoder,
        encoder_bias=weights.read("b_gate" if kind.architecture == "gated" else "b_enc", (n,)),
        decoder_bias=weights.read("b_dec", (width,)),
        subtracts_decoder_bias=config.apply_b_dec_to_input,
        read_decoder=partial(weights.matrix, "W_dec", (n, width)),
    )


def _activation(folder: Path, config: Config, kind: Kind, weights: Weights, encoder: torch.Tensor) -> Activation:
    n = config.d_sae
    if kind.architecture == "topk":
        rescales = config.rescale_acts_by_decoder_norm
        return TopK(kind.k, weights.read("W_dec", (n, config.d_in)).norm(dim=-1) if rescales else None)
    if kind.architecture == "jumprelu":
        return JumpRelu(weights.read("threshold", (n,)))
    if kind.architecture == "gated":
        return gated(folder, weights, encoder, log_scale="r_mag", bias="b_mag")
    return Relu()


def _normalisation(folder: Path, config: Config) -> Normalisation:
    match config.normalize_activations:
        case False | "none":
            return "none"
        case "constant_norm_rescale":
            return "constant_norm_rescale"
        case "layer_norm":
            return "layer_norm"
        case True | "expected_average_only_in":
            what = (
                "its normalisation expected_average_only_in needs a scale that is not stored with it; fold the scale"
                " in with SAELens' fold_activation_norm_scaling_factor and save it again"
            )
            raise unsupported(folder, what)
        case other:
            what = f"its normalisation {quoted(other)} is not known; fold it into the weights and save it again"
            raise unsupported(folder, what)


def _kind(folder: Path, config: Config) -> Kind:
    if config.finetuning_scaling_factor:
        raise unsupported(folder, "it has a fine-tuning scaling factor; fold it into the weights and save it again")
    if config.reshape_activations != "none":
        raise unsupported(folder, "it reshapes its input (hook_z); name one of the residual stream")
    architecture = config.architecture
    function = config.activation_fn or config.activation_fn_str
    k = config.k
    if function == "topk":
        # Before version 6 this, not the architecture, said so.
        architecture = "topk"
        k = k or (config.activation_fn_kwargs.k if config.activation_fn_kwargs else None)
    elif function not in {None, "relu"}:
        raise unsupported(
            folder, f"its activation function {quoted(function)} is not known; name one with relu or topk"
        )
    if "batchtopk" in architecture:
        what = (
            "it is a BatchTopK SAE as it is trained, whose features depend on the batch; save it for inference"
            " (SAELens' save_inference_model), which makes it a jumprelu one"
        )
        raise unsupported(folder, what)
    if architecture not in {"standard", "topk", "jumprelu", "gated"}:
        what = f"its architecture {quoted(architecture)} is not known; name one of standard, topk, jumprelu or gated"
        raise unsupported(folder, what)
    if architecture == "topk" and (k is None or not 1 <= k <= config.d_sae or k != int(k)):
        raise invalid(folder, f"its k is {k} of {config.d_sae} features; correct {CONFIG}")
    return Kind(architecture, int(k or 0))
