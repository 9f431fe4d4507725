"""The SAE grid: what its script draws, and the same in a short table."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from streakline.report.content import SaeCell, SaeLayer

MOVERS = 5
"""features of a layer in the table"""


class Row(Struct, frozen=True):
    """A layer, as the script takes it."""

    layer: int
    n_cells: int
    features_per_cell: int
    in_doubt: bool
    cells: tuple[SaeCell, ...]


class Mover(Struct, frozen=True):
    """A feature that moved."""

    layer: int
    cell: SaeCell


def grid(layers: Sequence[SaeLayer]) -> tuple[Row, ...]:
    """A row a layer, in their order."""
    return tuple(
        Row(
            layer=layer.summary.layer,
            n_cells=layer.n_cells,
            features_per_cell=layer.features_per_cell,
            in_doubt=layer.summary.fvu_alarm,
            cells=tuple(map(_brief, sorted(layer.cells, key=lambda cell: cell.cell))),
        )
        for layer in layers
    )


def _brief(cell: SaeCell) -> SaeCell:
    # To the four digits that are shown: half the bytes.
    return msgspec.structs.replace(cell, delta_mean=float(f"{cell.delta_mean:.4g}"))


def movers(layers: Iterable[SaeLayer]) -> tuple[Mover, ...]:
    """Of each layer those that moved most."""
    return tuple(
        Mover(layer=layer.summary.layer, cell=cell)
        for layer in layers
        for cell in sorted(layer.cells, key=lambda cell: -abs(cell.delta_mean))[:MOVERS]
    )
