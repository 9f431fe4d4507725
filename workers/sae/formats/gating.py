"""The magnitude path of a gated SAE, which every library saves as the logarithm of a scale."""

from pathlib import Path

import torch

from workers.sae.activations import Gated
from workers.sae.formats.files import Weights
from workers.sae.formats.refusals import invalid


def gated(folder: Path, weights: Weights, encoder: torch.Tensor, *, log_scale: str, bias: str) -> Gated:
    """From the tensors of those names, (features,); raises `DiffError`."""
    n = encoder.shape[1]
    scaled = encoder * weights.read(log_scale, (n,)).exp().to(encoder.dtype)
    if not scaled.isfinite().all():
        raise invalid(folder, f"{log_scale} is so large that the weights it scales overflow; save the SAE again")
    return Gated(scaled, weights.read(bias, (n,)))
