"""Which features a fine-tune changed: two measurements held against each other, nothing else."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from msgspec import Struct
from numpy.typing import NDArray

from workers.errors import DiffError
from workers.lake.tables import SaeLayerRow
from workers.sae.measure import LayerSums

FVU_ALARM_RATIO = 1.5
FVU_ALARM_FLOOR = 0.1
"""below it an SAE fits well, whatever the ratio to a base that it fits better still"""

FEATURE_SCHEMA = pa.schema(
    [
        ("layer", pa.int64()),
        ("feature", pa.int64()),
        ("tokens", pa.int64()),
        ("base_sum", pa.float64()),
        ("ft_sum", pa.float64()),
        ("base_count", pa.int64()),
        ("ft_count", pa.int64()),
        ("base_max", pa.float64()),
        ("ft_max", pa.float64()),
        ("delta_mean", pa.float64()),
        ("changed", pa.bool_()),
        ("label", pa.string()),
    ]
)
"""the columns of `SaeFeatureRow`"""


class Thresholds(Struct, frozen=True, kw_only=True):
    """When a feature has changed; the settings' `feature_…`."""

    min_tokens: int = 20
    min_relative: float = 0.25
    min_absolute: float = 1e-3


class LayerDiff(NamedTuple):
    """One layer, as the lake keeps it."""

    row: SaeLayerRow
    features: pa.Table
    """`FEATURE_SCHEMA`: those that are alive in either model, by feature"""


class _Changes(NamedTuple):
    """Each (features,)."""

    delta: NDArray[np.float64]
    alive: NDArray[np.bool_]
    changed: NDArray[np.bool_]


def _changes(base: LayerSums, ft: LayerSums, thresholds: Thresholds) -> _Changes:
    if (base.layer, base.sae_sha, base.n_features) != (ft.layer, ft.sae_sha, ft.n_features):
        message = f"The two models were measured with different SAEs at layer {ft.layer}: measure the base again."
        raise DiffError("sae_mismatch", message)
    if base.tokens != ft.tokens:
        message = (
            f"The base read {base.tokens} tokens and the fine-tuned model {ft.tokens} of the same texts:"
            " give both the same tokenizer."
        )
        raise DiffError("models_differ", message)
    tokens = max(base.tokens, 1)
    base_mean, ft_mean = base.sums / tokens, ft.sums / tokens
    delta = ft_mean - base_mean
    fires = np.maximum(base.counts, ft.counts)
    moved = np.abs(delta)
    changed = (
        (fires >= thresholds.min_tokens)
        & (moved >= thresholds.min_relative * np.maximum(base_mean, ft_mean))
        & (moved >= thresholds.min_absolute)
        # With both thresholds at 0 what did not move would have changed.
        & (moved > 0)
    )
    return _Changes(delta, fires > 0, changed)


def changed_features(base: LayerSums, ft: LayerSums, thresholds: Thresholds) -> tuple[int, ...]:
    """Those whose mean over all tokens moved, ascending: the ones worth a label. Raises as `compare` does."""
    return tuple(np.flatnonzero(_changes(base, ft, thresholds).changed).tolist())


def compare(base: LayerSums, ft: LayerSums, thresholds: Thresholds, labels: Mapping[int, str]) -> LayerDiff:
    """One layer's diff; `labels` by feature, as far as there are any.

    A feature changed when it fires on `min_tokens` in either model and its mean moved by both `min_relative` of the
    larger mean and `min_absolute`. Raises `DiffError` where the two are not of the same SAE and texts.
    """
    changes = _changes(base, ft, thresholds)
    changed = np.flatnonzero(changes.changed)
    n_alive = int(changes.alive.sum())
    # argmax takes the first of equals: the lowest feature.
    top = int(changed[np.abs(changes.delta[changed]).argmax()]) if changed.size else None
    row = SaeLayerRow(
        layer=ft.layer,
        hook=ft.hook,
        sae_sha=ft.sae_sha,
        n_features=ft.n_features,
        n_alive=n_alive,
        n_changed=int(changed.size),
        changed_share=changed.size / n_alive if n_alive else 0.0,
        mean_abs_delta=float(np.abs(changes.delta).mean()),
        top_feature=top,
        top_feature_label=None if top is None else labels.get(top),
        tokens=ft.tokens,
        fvu_base=base.fvu,
        fvu_fine_tuned=ft.fvu,
        fvu_alarm=is_ill_fitting(base.fvu, ft.fvu),
        min_tokens=thresholds.min_tokens,
        min_relative=thresholds.min_relative,
        min_absolute=thresholds.min_absolute,
    )
    return LayerDiff(row, _feature_table(base, ft, changes, labels))


def is_ill_fitting(fvu_base: float, fvu_fine_tuned: float) -> bool:
    """Whether the SAE explains clearly less of the fine-tune than of the base, or less than the mean would.

    >>> is_ill_fitting(0.2, 0.25), is_ill_fitting(0.2, 0.35), is_ill_fitting(0.01, 0.05)
    (False, True, False)
    """
    jumped = fvu_fine_tuned > FVU_ALARM_RATIO * fvu_base and fvu_fine_tuned > FVU_ALARM_FLOOR
    return jumped or fvu_fine_tuned > 1


def heaviest_layers(rows: Sequence[SaeLayerRow]) -> tuple[int, ...]:
    """Layers in which a feature changed, by the share that did, then by mean |Δ|, most first; of equals the lower."""
    changed = [row for row in rows if row.n_changed]
    return tuple(
        row.layer for row in sorted(changed, key=lambda row: (-row.changed_share, -row.mean_abs_delta, row.layer))
    )


def _feature_table(base: LayerSums, ft: LayerSums, changes: _Changes, labels: Mapping[int, str]) -> pa.Table:
    alive = np.flatnonzero(changes.alive)
    columns = (
        np.full(alive.size, ft.layer, dtype=np.int64),
        alive.astype(np.int64),
        np.full(alive.size, ft.tokens, dtype=np.int64),
        base.sums[alive],
        ft.sums[alive],
        base.counts[alive],
        ft.counts[alive],
        base.maxima[alive].astype(np.float64),
        ft.maxima[alive].astype(np.float64),
        changes.delta[alive],
        changes.changed[alive],
    )
    arrays = [pa.array(column) for column in columns]
    label = pa.array([labels.get(feature) for feature in alive.tolist()], type=pa.string())
    return pa.Table.from_arrays([*arrays, label], schema=FEATURE_SCHEMA)
