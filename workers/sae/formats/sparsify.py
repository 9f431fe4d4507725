"""EleutherAI's sparsify: ``cfg.json`` and ``sae.safetensors`` in a folder that is named after the hooked module."""

from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from workers.sae.activations import TopK
from workers.sae.encoder import Sae
from workers.sae.formats.files import MAX_SIDE, Placement, SafetensorsFile, Weights, read_config, sha_of
from workers.sae.formats.hooks import HookNames, layer_of
from workers.sae.formats.refusals import invalid, quoted, unsupported

CONFIG = "cfg.json"
WEIGHTS = "sae.safetensors"

Size = Annotated[int, Meta(ge=0, le=MAX_SIDE)]


class Config(Struct, frozen=True):
    """The fields that change a feature; all others are ignored."""

    d_in: Annotated[int, Meta(ge=1, le=MAX_SIDE)]
    k: Annotated[int, Meta(ge=1, le=MAX_SIDE)] = 32
    num_latents: Size | None = 0
    """0: `expansion_factor` times `d_in`"""
    expansion_factor: Size = 32
    activation: str = "topk"
    signed: bool = False
    transcode: bool = False
    skip_connection: bool = False


def load(folder: Path, placement: Placement) -> Sae:
    """Always top-k of x - b_dec, whatever became of its decoder's norms. Raises `DiffError`."""
    config = read_config(folder / CONFIG, Config)
    hook = folder.absolute().name
    layer = layer_of(folder, hook, HookNames.SPARSIFY)
    _check(folder, config)
    width, n = config.d_in, config.num_latents or config.d_in * config.expansion_factor
    if not config.k <= n <= MAX_SIDE:
        raise invalid(folder, f"its k is {config.k} of {n} features; correct {CONFIG}")
    weights = Weights(folder, SafetensorsFile(folder / WEIGHTS), placement)
    return Sae(
        layer=layer,
        hook=hook,
        sha=sha_of(folder / CONFIG, folder / WEIGHTS),
        activation=TopK(config.k),
        normalisation="none",
        encoder=weights.matrix("encoder.weight", (n, width), transposed=True),
        encoder_bias=weights.read("encoder.bias", (n,)),
        decoder_bias=weights.read("b_dec", (width,)),
        subtracts_decoder_bias=True,
        read_decoder=partial(weights.matrix, "W_dec", (n, width)),
    )


def _check(folder: Path, config: Config) -> None:
    if config.transcode or config.skip_connection:
        raise unsupported(folder, "it is a transcoder, not an autoencoder; name an SAE of the residual stream")
    if config.activation != "topk" or config.signed:
        kind = "signed" if config.signed else quoted(config.activation)
        raise unsupported(folder, f"its activation is {kind}; name one with topk, unsigned")
