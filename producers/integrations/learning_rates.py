"""The learning rate of a step, read before the scheduler moves it on."""

from typing import SupportsFloat

import torch


def learning_rate_of(optimizer: torch.optim.Optimizer) -> SupportsFloat:
    """That of the first group of parameters, as it is now; does not wait for the device."""
    rate: float | torch.Tensor = optimizer.param_groups[0]["lr"]
    # A scheduler fills a tensor in place.
    return rate.clone() if isinstance(rate, torch.Tensor) else rate
