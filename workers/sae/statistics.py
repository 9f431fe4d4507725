"""What is kept of activations that are not: sums over tokens, on the device.

A tile's reductions run in float32 and are added up in float64, so a million tokens cost no digits.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch

LOG = logging.getLogger(__name__)


class TileSums(NamedTuple):
    """Of one tile, each (features,)."""

    sums: torch.Tensor
    counts: torch.Tensor
    """tokens on which the feature fires (> 0), int64"""
    maxima: torch.Tensor


def reduce_reference(features: torch.Tensor) -> TileSums:
    """Of (tokens, features), none negative and at least one token; padding is already gone."""
    return TileSums(features.sum(dim=0), (features > 0).sum(dim=0), features.amax(dim=0))


@cache
def fused(device: torch.device) -> Callable[[torch.Tensor], TileSums]:
    """One pass over the tile in place of three; where nothing can be compiled, the reference: slower, and the same."""
    compiled: Callable[[torch.Tensor], TileSums] = torch.compile(reduce_reference, dynamic=True)
    try:
        compiled(torch.zeros(2, 2, device=device))
    except Exception as error:
        # An image for GPUs need not have the C compiler that Triton asks for, and says so in many ways.
        LOG.warning("SAE statistics run unfused, as nothing can be compiled here: %s", error)
        return reduce_reference
    return compiled


def reduce(features: torch.Tensor) -> TileSums:
    """`reduce_reference`; on a GPU fused into one kernel."""
    if not features.is_cuda:
        return reduce_reference(features)
    return fused(features.device)(features)


class FeatureSums:
    """Running sums of one layer's features, each (features,) on the device."""

    def __init__(self, n_features: int, device: torch.device) -> None:
        self.tokens = 0
        self.sums = torch.zeros(n_features, dtype=torch.float64, device=device)
        self.counts = torch.zeros(n_features, dtype=torch.int64, device=device)
        self.maxima = torch.zeros(n_features, dtype=torch.float32, device=device)

    def add(self, features: torch.Tensor) -> None:
        """Count in (tokens, features)."""
        tile = reduce(features)
        self.tokens += features.shape[0]
        self.sums += tile.sums
        self.counts += tile.counts
        torch.maximum(self.maxima, tile.maxima, out=self.maxima)


class UnexplainedVariance:
    """FVU = Σ‖x - x̂‖² / Σ‖x - mean‖² over tokens: 0 is a perfect reconstruction, 1 no better than the mean."""

    def __init__(self, width: int, device: torch.device) -> None:
        self.tokens = 0
        self._error = torch.zeros((), dtype=torch.float64, device=device)
        self._squares = torch.zeros((), dtype=torch.float64, device=device)
        self._sum = torch.zeros(width, dtype=torch.float64, device=device)

    def add(self, x: torch.Tensor, reconstruction: torch.Tensor) -> None:
        """Count in residuals and their reconstruction, each (tokens, width)."""
        exact = x.double()
        self.tokens += x.shape[0]
        self._error += (exact - reconstruction.double()).square().sum()
        self._squares += exact.square().sum()
        self._sum += exact.sum(dim=0)

    def value(self) -> float:
        """NaN before there are tokens that differ."""
        if self.tokens == 0:
            return float("nan")
        # In float64 the difference of large sums keeps ten digits of a residual stream's variance.
        variance = float(self._squares - self._sum.square().sum() / self.tokens)
        return float(self._error) / variance if variance > 0 else float("nan")
