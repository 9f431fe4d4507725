"""Measure what every feature does on a set of texts: one model, all layers, one streaming pass.

A model's measurement owes nothing to the other model, so the base's can be kept and used again.
"""

from collections.abc import Sequence

import numpy as np
import torch
from msgspec import Struct
from numpy.typing import NDArray

from workers.errors import DiffError
from workers.models.language_model import Done, LanguageModel, ResidualBatch
from workers.sae.encoder import Sae, check_width
from workers.sae.statistics import FeatureSums, UnexplainedVariance

TOKENS_PER_TILE = 512
"""encoded at once: with 131 k features a tile is 256 MiB, whatever the batch"""
FVU_TOKENS = 4096
"""the first ones of a layer's; more move the figure in its third digit only, and each costs a decoding"""


class LayerSums(Struct, frozen=True, kw_only=True, eq=False):
    """What one model did at one layer; arrays are (features,)."""

    layer: int
    hook: str
    sae_sha: str
    tokens: int
    sums: NDArray[np.float64]
    counts: NDArray[np.int64]
    """tokens on which the feature fires"""
    maxima: NDArray[np.float32]
    fvu: float
    """over the first `FVU_TOKENS` tokens; NaN where there are none"""

    @property
    def n_features(self) -> int:
        """How many features the SAE has."""
        return int(self.sums.shape[0])


class _Layer:
    """One SAE and what it has seen."""

    def __init__(self, sae: Sae) -> None:
        device = sae.encoder.device
        self.sae = sae
        self.features = FeatureSums(sae.n_features, device)
        self.fit = UnexplainedVariance(sae.width, device)
        self._decoder: torch.Tensor | None = None
        self._is_finite = torch.ones((), dtype=torch.bool, device=device)

    def add(self, x: torch.Tensor) -> None:
        """Count in (tokens, width) of real tokens."""
        check_width(self.sae, x.shape[-1])
        self._is_finite &= x.isfinite().all()
        for tile in torch.split(x, TOKENS_PER_TILE):
            features = self.sae.encode(tile)
            self.features.add(features)
            if (room := FVU_TOKENS - self.fit.tokens) > 0:
                self._add_fit(tile[:room], features[:room])

    def _add_fit(self, x: torch.Tensor, features: torch.Tensor) -> None:
        if self._decoder is None:
            self._decoder = self.sae.read_decoder()
        self.fit.add(x, self.sae.reconstruct(x, features, self._decoder))
        if self.fit.tokens >= FVU_TOKENS:
            self._decoder = None

    def result(self) -> LayerSums:
        """What there is to keep; raises `DiffError` where the model gave something other than numbers."""
        sums = self.features.sums.cpu().numpy()
        if not np.isfinite(sums).all():
            raise self._not_finite()
        return LayerSums(
            layer=self.sae.layer,
            hook=self.sae.hook,
            sae_sha=self.sae.sha,
            tokens=self.features.tokens,
            sums=sums,
            counts=self.features.counts.cpu().numpy(),
            maxima=self.features.maxima.cpu().numpy(),
            fvu=self.fit.value(),
        )

    def _not_finite(self) -> DiffError:
        if self._is_finite:
            message = (
                f"The SAE of layer {self.sae.layer} gives features that are not finite for activations that are:"
                " look at its weights, or measure in float32."
            )
            return DiffError("sae_invalid", message)
        message = (
            f"The activations at layer {self.sae.layer} are not finite: look for NaN or infinities in the"
            " checkpoint's weights, or measure in float32."
        )
        return DiffError("checkpoint_invalid", message)


def check_one_a_layer(saes: Sequence[Sae]) -> None:
    """Raise `DiffError` where two SAEs are of the same layer: a feature's number would mean two things."""
    layers = [sae.layer for sae in saes]
    if twice := sorted({layer for layer in layers if layers.count(layer) > 1}):
        raise DiffError("sae_mismatch", f"Layer {twice[0]} has more than one SAE: name one a layer.")


@torch.inference_mode()
def measure_features(model: LanguageModel, saes: Sequence[Sae], texts: Sequence[str], done: Done) -> list[LayerSums]:
    """Of each SAE's features on `texts`, by layer. Memory does not grow with the texts.

    Raises `DiffError` where an SAE does not fit the model, or the model's activations are not finite.
    """
    check_one_a_layer(saes)
    if not saes:
        return []
    layers = [_Layer(sae) for sae in sorted(saes, key=lambda sae: sae.layer)]

    @torch.inference_mode()
    def consume(batch: ResidualBatch) -> None:
        real = batch.mask.flatten().nonzero().squeeze(-1)
        if not real.numel():
            return
        for layer in layers:
            layer.add(batch.residuals[layer.sae.layer].flatten(0, 1).index_select(0, real))

    model.for_each_residual(texts, [layer.sae.layer for layer in layers], consume, done)
    return [layer.result() for layer in layers]
