"""Finding parameters again without keeping them alive."""

from collections.abc import Callable, Iterable, Iterator
from weakref import ref

import torch


class Positions:
    """Tensors, each with its number; one that nobody else holds any more is forgotten."""

    def __init__(self, numbered: Iterable[tuple[int, torch.Tensor]]) -> None:
        self._positions: dict[int, int] = {}
        self._refs: list[tuple[int, ref[torch.Tensor]]] = []
        for position, tensor in numbered:
            self._positions[id(tensor)] = position
            self._refs.append((position, ref(tensor, self._forget(id(tensor)))))

    def __len__(self) -> int:
        """How many are still alive."""
        return len(self._positions)

    def __iter__(self) -> Iterator[tuple[int, torch.Tensor]]:
        """(position, tensor) of all that are alive."""
        for position, reference in self._refs:
            if (tensor := reference()) is not None:
                yield position, tensor

    def among(self, tensors: Iterable[torch.Tensor]) -> list[tuple[int, torch.Tensor]]:
        """(position, tensor) of those of `tensors` that have a position."""
        positions = self._positions
        return [(position, tensor) for tensor in tensors if (position := positions.get(id(tensor))) is not None]

    def _forget(self, key: int) -> Callable[[object], None]:
        # Before Python gives the number away again.
        positions = self._positions

        def forget(_: object) -> None:
            positions.pop(key, None)

        return forget
