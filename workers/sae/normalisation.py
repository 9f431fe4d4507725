"""What is done to a token's residual before an SAE sees it, and taken out of the reconstruction again."""

from typing import Literal, NamedTuple

import torch

Normalisation = Literal["none", "constant_norm_rescale", "layer_norm"]

LAYER_NORM_EPSILON = 1e-5


class Normalised(NamedTuple):
    """`values` is what the encoder gets; the others are (tokens, 1) and lead back."""

    values: torch.Tensor
    """(tokens, width)"""
    shift: torch.Tensor | None
    scale: torch.Tensor | None


def normalise(x: torch.Tensor, kind: Normalisation) -> Normalised:
    """Of (tokens, width) in float32; SAELens' definitions, whose layer norm has n - 1 in the variance."""
    if kind == "constant_norm_rescale":
        coefficient = (x.shape[-1] ** 0.5) / x.norm(dim=-1, keepdim=True)
        return Normalised(x * coefficient, None, coefficient)
    if kind == "layer_norm":
        mean = x.mean(dim=-1, keepdim=True)
        centred = x - mean
        deviation = centred.std(dim=-1, keepdim=True)
        return Normalised(centred / (deviation + LAYER_NORM_EPSILON), mean, deviation)
    return Normalised(x, None, None)


def denormalise(reconstruction: torch.Tensor, kind: Normalisation, of: Normalised) -> torch.Tensor:
    """Bring a reconstruction of `of.values` back to the scale of the residual."""
    if kind == "constant_norm_rescale" and of.scale is not None:
        return reconstruction / of.scale
    if kind == "layer_norm" and of.scale is not None and of.shift is not None:
        return reconstruction * of.scale + of.shift
    return reconstruction
