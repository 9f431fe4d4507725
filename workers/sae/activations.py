"""What an SAE makes of its pre-activations: one struct a kind, its parameters with it, everything in float32.

Each does the operations of the library that trained it in the same order, so that float32 results are equal bit for
bit.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Relu:
    """max(0, z); of the architecture `standard`."""

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """(tokens, features) → (tokens, features)."""
        return torch.relu(pre)


@dataclass(frozen=True, eq=False)
class TopK:
    """The `k` largest of each token, the others 0 (Gao et al. 2024, arXiv:2406.04093)."""

    k: int
    decoder_norms: torch.Tensor | None = None
    """(features,): where set, the choice and the values are of z · ‖decoder row‖, which decoding takes out again"""

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """(tokens, features) → (tokens, features)."""
        if self.decoder_norms is not None:
            pre = pre * self.decoder_norms
        values, indices = torch.topk(pre, k=self.k, dim=-1, sorted=False)
        return torch.zeros_like(pre).scatter_(-1, indices, values.relu())


@dataclass(frozen=True, eq=False)
class JumpRelu:
    """z where z > threshold, else 0 (Rajamanoharan et al. 2024, arXiv:2407.14435); a trained BatchTopK is one too."""

    threshold: torch.Tensor
    """(features,)"""

    def __call__(self, pre: torch.Tensor) -> torch.Tensor:
        """(tokens, features) → (tokens, features)."""
        return torch.relu(pre) * (pre > self.threshold).to(pre.dtype)


@dataclass(frozen=True, eq=False)
class Gated:
    """Where the gate's pre-activation is positive, the magnitude path's (Rajamanoharan et al. 2024, arXiv:2404.16014).

    Both paths share the encoder's directions: the second one's weights are W_enc · exp(r_mag).
    """

    magnitude_weights: torch.Tensor
    """(width, features), multiplied out once: doing it for each tile would cost as much as the tile"""
    magnitude_bias: torch.Tensor
    """(features,)"""

    def __call__(self, pre: torch.Tensor, encoder_input: torch.Tensor) -> torch.Tensor:
        """(tokens, features), (tokens, width) → (tokens, features)."""
        magnitudes = (encoder_input @ self.magnitude_weights).float() + self.magnitude_bias
        return (pre > 0).to(pre.dtype) * torch.relu(magnitudes)


Activation = Relu | TopK | JumpRelu | Gated
