"""Batches of texts of about one length."""

from collections.abc import Sequence

import torch
from msgspec import Struct

PAD = 0
"""an id that every model knows; whatever it is, it is masked"""


class Padded(Struct, frozen=True):
    """Ids of one batch; both tensors are (batch, tokens)."""

    ids: torch.Tensor
    mask: torch.Tensor
    """1 on real tokens"""


def batches(lengths: Sequence[int], max_tokens: int) -> list[list[int]]:
    """Indices in batches whose padded size is at most `max_tokens`, the longest first: memory runs out early or never.

    A text longer than that is a batch of its own.

    >>> batches([1, 4, 2, 9, 1], 8)
    [[3], [1, 2], [0, 4]]
    """
    made: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if made and lengths[made[-1][0]] * (len(made[-1]) + 1) <= max_tokens:
            made[-1].append(index)
        else:
            made.append([index])
    return made


def pad(rows: Sequence[Sequence[int]], device: torch.device, *, left: bool = False) -> Padded:
    """The rows as one rectangle on `device`."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), PAD, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for index, row in enumerate(rows):
        where = slice(width - len(row), None) if left else slice(len(row))
        ids[index, where] = torch.tensor(row, dtype=torch.long)
        mask[index, where] = 1
    return Padded(ids.to(device), mask.to(device))
