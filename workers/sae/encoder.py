"""A sparse autoencoder of one layer's residual stream, as far as it is needed to measure features."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from workers.errors import DiffError
from workers.sae.activations import Activation, Gated, TopK
from workers.sae.normalisation import Normalisation, denormalise, normalise


@dataclass(frozen=True, eq=False, kw_only=True)
class Sae:
    """Encoder on the device. Its matrix has the dtype asked for, all else is float32, and so are the features.

    The decoder is as large as the encoder and seldom needed: `read_decoder` fetches it from disk each time.
    """

    layer: int
    """its residuals are the output of this decoder layer"""
    hook: str
    """as the SAE's own config names the place"""
    sha: str
    """SHA-256 of its config and weights"""
    activation: Activation
    normalisation: Normalisation
    encoder: torch.Tensor
    """(width, features)"""
    encoder_bias: torch.Tensor
    """(features,); of a gated one, the gate's"""
    decoder_bias: torch.Tensor
    """(width,)"""
    subtracts_decoder_bias: bool
    """whether encoding begins with taking `decoder_bias` off"""
    read_decoder: Callable[[], torch.Tensor]
    """(features, width) in the encoder's dtype, on its device; raises `DiffError`"""

    @property
    def width(self) -> int:
        """Of the residual stream."""
        return self.encoder.shape[0]

    @property
    def n_features(self) -> int:
        """How many features it has."""
        return self.encoder.shape[1]

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        """(tokens, width) of any float dtype → (tokens, features) in float32, none negative."""
        values = normalise(x.float(), self.normalisation).values
        if self.subtracts_decoder_bias:
            # In float32, whatever the encoder's dtype: the bias is large beside what is left.
            values = values - self.decoder_bias
        encoder_input = values.to(self.encoder.dtype)
        pre = (encoder_input @ self.encoder).float() + self.encoder_bias
        if isinstance(self.activation, Gated):
            return self.activation(pre, encoder_input)
        return self.activation(pre)

    def reconstruct(self, x: torch.Tensor, features: torch.Tensor, decoder: torch.Tensor) -> torch.Tensor:
        """(tokens, width), its `encode` and `read_decoder` → (tokens, width) in float32: what the SAE takes `x` for."""
        if isinstance(self.activation, TopK) and self.activation.decoder_norms is not None:
            features = features * (1 / self.activation.decoder_norms)
        reconstruction = (features.to(decoder.dtype) @ decoder).float() + self.decoder_bias
        return denormalise(reconstruction, self.normalisation, normalise(x.float(), self.normalisation))


def check_width(sae: Sae, width: int) -> None:
    """Raise `DiffError` where the model's residual stream is not as wide as what `sae` was trained on."""
    if sae.width != width:
        message = (
            f"The SAE of layer {sae.layer} is for a residual stream {sae.width} wide, the model's is {width}:"
            " name SAEs that were trained on this run's base model."
        )
        raise DiffError("sae_mismatch", message)


def check_layer(sae: Sae, n_layers: int) -> None:
    """Raise `DiffError` where the model has no such layer."""
    if sae.layer >= n_layers:
        message = (
            f"The SAE is for layer {sae.layer} ({sae.hook}), the model has layers 0 to {n_layers - 1}:"
            " name SAEs that were trained on this run's base model."
        )
        raise DiffError("sae_mismatch", message)
