"""The SAE features that changed, a row a layer, as many cells as a page has room for."""

from collections.abc import Sequence

from streakline.report.asking import Asked
from streakline.report.clipping import LABEL, clipped
from streakline.report.content import SaeCell, SaeLayer
from workers.lake.tables import SaeLayerRow

CELLS = 512
"""of a layer, at most"""


def features_per_cell(n_features: int) -> int:
    """How many share a cell, as few as `CELLS` allow.

    >>> features_per_cell(300), features_per_cell(512), features_per_cell(16_384), features_per_cell(16_385)
    (1, 1, 32, 33)
    """
    return max(1, -(-n_features // CELLS))


def n_cells(n_features: int) -> int:
    """How many cells that makes."""
    return -(-n_features // features_per_cell(n_features))


def grid(asked: Asked, own: str, layers: Sequence[SaeLayerRow]) -> tuple[SaeLayer, ...]:
    """Of the diff whose rows are those for which the SQL `own` holds. Raises QueryError."""
    cells = _cells(asked, own, layers) if layers and asked.has("sae_feature_diff") else {}
    return tuple(
        SaeLayer(
            summary=row,
            features_per_cell=features_per_cell(row.n_features),
            n_cells=n_cells(row.n_features),
            cells=tuple(cells.get(row.layer, ())),
        )
        for row in layers
    )


def _cells(asked: Asked, own: str, layers: Sequence[SaeLayerRow]) -> dict[int, list[SaeCell]]:
    sizes = ", ".join(f"({row.layer}, {row.n_features}, {features_per_cell(row.n_features)})" for row in layers)
    found = asked.table(f"""
        SELECT layer, feature // features_per_cell AS cell, count(*) AS changed,
          -- Of those that moved as far as each other the first, as in workers/sae/compare.py.
          arg_max({{'feature': feature, 'delta_mean': delta_mean, 'label': label}}, (abs(delta_mean), -feature)) AS most
        FROM sae_feature_diff JOIN (VALUES {sizes}) AS sizes(layer, n_features, features_per_cell) USING (layer)
        WHERE {own} AND changed AND isfinite(delta_mean) AND feature >= 0 AND feature < n_features
        GROUP BY layer, cell
        ORDER BY layer, cell
    """)
    cells: dict[int, list[SaeCell]] = {}
    for layer, cell, changed, most in zip(*(column.to_pylist() for column in found.columns), strict=True):
        label = most["label"]
        cells.setdefault(layer, []).append(
            SaeCell(
                cell=cell,
                changed=changed,
                feature=most["feature"],
                delta_mean=most["delta_mean"],
                label=None if label is None else clipped(label, LABEL),
            )
        )
    return cells
