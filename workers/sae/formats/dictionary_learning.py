"""dictionary_learning: ``config.json`` and ``ae.pt``, a state dict that only PyTorch's restricted unpickler reads.

Its newer versions multiply features by the norm of their decoder row as they are encoded; here, as in SAELens, they
stay as they come. That scales a feature in both models alike.
"""

from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from msgspec import Meta, Struct

from workers.sae.activations import Activation, JumpRelu, Relu, TopK
from workers.sae.encoder import Sae
from workers.sae.formats.files import MAX_SIDE, Placement, TorchFile, Weights, read_config, sha_of
from workers.sae.formats.gating import gated
from workers.sae.formats.hooks import HookNames, layer_of
from workers.sae.formats.refusals import invalid, quoted, unsupported

CONFIG = "config.json"
WEIGHTS = "ae.pt"

BATCH_TOP_K = ("BatchTopKSAE", "MatryoshkaBatchTopKSAE")
CLASSES = ("AutoEncoder", "AutoEncoderTopK", "GatedAutoEncoder", "JumpReluAutoEncoder", *BATCH_TOP_K)

Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]


class Trainer(Struct, frozen=True):
    """How it was trained; the fields that change a feature."""

    dict_class: str
    activation_dim: Side
    dict_size: Side
    submodule_name: str | None = None
    layer: int | None = None
    k: Side | None = None


class Config(Struct, frozen=True):
    """`config.json`."""

    trainer: Trainer


def load(folder: Path, placement: Placement) -> Sae:
    """Raises `DiffError`."""
    trainer = read_config(folder / CONFIG, Config).trainer
    layer = layer_of(folder, trainer.submodule_name, HookNames.DICTIONARY_LEARNING)
    if trainer.layer is not None and trainer.layer != layer:
        what = f"its config says layer {trainer.layer} and {quoted(trainer.submodule_name)}; correct {CONFIG}"
        raise invalid(folder, what)
    if trainer.dict_class not in CLASSES:
        what = f"its class {quoted(trainer.dict_class)} is not known; name one of {', '.join(CLASSES)}"
        raise unsupported(folder, what)
    weights = Weights(folder, TorchFile(folder / WEIGHTS), placement)
    width, n = trainer.activation_dim, trainer.dict_size
    encoder = _matrix(weights, "W_enc", "encoder.weight", (width, n))
    has_gate = trainer.dict_class == "GatedAutoEncoder"
    return Sae(
        layer=layer,
        hook=trainer.submodule_name or "",
        sha=sha_of(folder / CONFIG, folder / WEIGHTS),
        activation=_activation(folder, trainer, weights, encoder),
        normalisation="none",
        encoder=encoder,
        encoder_bias=weights.read("gate_bias" if has_gate else weights.first_of("encoder.bias", "b_enc"), (n,)),
        decoder_bias=weights.read(weights.first_of("b_dec", "bias", "decoder_bias"), (width,)),
        subtracts_decoder_bias=trainer.dict_class != "JumpReluAutoEncoder",
        read_decoder=partial(_matrix, weights, "W_dec", "decoder.weight", (n, width)),
    )


def _matrix(weights: Weights, name: str, linear: str, shape: tuple[int, int]) -> torch.Tensor:
    """Either as it is, or as the weight of a linear layer, which is transposed."""
    if name in weights.shapes:
        return weights.matrix(name, shape)
    return weights.matrix(linear, (shape[1], shape[0]), transposed=True)


def _activation(folder: Path, trainer: Trainer, weights: Weights, encoder: torch.Tensor) -> Activation:
    n = trainer.dict_size
    if trainer.dict_class == "AutoEncoder":
        return Relu()
    if trainer.dict_class == "GatedAutoEncoder":
        return gated(folder, weights, encoder, log_scale="r_mag", bias="mag_bias")
    if trainer.dict_class == "JumpReluAutoEncoder":
        return JumpRelu(weights.read("threshold", (n,)))
    if trainer.dict_class in BATCH_TOP_K:
        threshold = weights.read("threshold", ())
        if threshold < 0:
            # The trainer's own mark for "not measured yet".
            what = "its BatchTopK threshold was never set; train it past threshold_start_step and save it again"
            raise unsupported(folder, what)
        return JumpRelu(threshold.expand(n))
    if trainer.k is None or trainer.k > n:
        raise invalid(folder, f"its k is {trainer.k} of {n} features; correct {CONFIG}")
    return TopK(trainer.k)
