"""SAEs as a training script of one's own may save them: ``plain_sae.json`` and ``plain_sae.safetensors``."""

from functools import partial
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from workers.sae.activations import Relu
from workers.sae.encoder import Sae
from workers.sae.formats.files import MAX_SIDE, Placement, SafetensorsFile, Weights, read_config, sha_of
from workers.sae.formats.format import Format

CONFIG = "plain_sae.json"
WEIGHTS = "plain_sae.safetensors"

Side = Annotated[int, Meta(ge=1, le=MAX_SIDE)]


class Config(Struct, frozen=True):
    """`plain_sae.json`."""

    layer: Annotated[int, Meta(ge=0, le=9_999)]
    """whose output it was trained on"""
    width: Side
    """of the residual stream"""
    features: Side


def load(folder: Path, placement: Placement) -> Sae:
    """ReLU of (x - decoder_bias) @ encoder + encoder_bias. Raises `DiffError`."""
    config = read_config(folder / CONFIG, Config)
    weights = Weights(folder, SafetensorsFile(folder / WEIGHTS), placement)
    width, features = config.width, config.features
    return Sae(
        layer=config.layer,
        hook=f"layer {config.layer}",
        sha=sha_of(folder / CONFIG, folder / WEIGHTS),
        activation=Relu(),
        normalisation="none",
        encoder=weights.matrix("encoder", (width, features)),
        encoder_bias=weights.read("encoder_bias", (features,)),
        decoder_bias=weights.read("decoder_bias", (width,)),
        subtracts_decoder_bias=True,
        read_decoder=partial(weights.matrix, "decoder", (features, width)),
    )


plain = Format(CONFIG, WEIGHTS, load)
