"""When a feature has changed, and what is kept of a layer."""

import math
import types
import typing
from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.errors import DiffError
from workers.lake.tables import SaeFeatureRow
from workers.sae.compare import FEATURE_SCHEMA, Thresholds, changed_features, compare, heaviest_layers, is_ill_fitting
from workers.sae.measure import LayerSums

THRESHOLDS = Thresholds(min_tokens=20, min_relative=0.25, min_absolute=0.001)
TOKENS = 1000


def measured(
    sums: Sequence[float],
    counts: Sequence[int],
    *,
    layer: int = 3,
    tokens: int = TOKENS,
    sha: str = "ab" * 32,
    fvu: float = 0.2,
) -> LayerSums:
    return LayerSums(
        layer=layer,
        hook=f"blocks.{layer}.hook_resid_post",
        sae_sha=sha,
        tokens=tokens,
        sums=np.array(sums, dtype=np.float64),
        counts=np.array(counts, dtype=np.int64),
        maxima=np.array([each / 8 for each in sums], dtype=np.float32),
        fvu=fvu,
    )


@pytest.mark.parametrize(
    ("sums", "counts", "changed"),
    [
        ((100, 200), (50, 50), True),
        ((200, 100), (50, 50), True),
        ((0, 100), (0, 20), True),
        ((100, 0), (20, 0), True),
        ((0, 100), (0, 19), False),
        ((100, 0), (19, 0), False),
        ((100, 100), (50, 50), False),
        # A quarter of the larger mean is enough, and a little less is not.
        ((96, 128), (50, 50), True),
        ((97, 128), (50, 50), False),
        # The floor: 0.001 on the mean of a thousand tokens is a sum of 1.
        ((0, 1), (0, 50), True),
        ((0, 0.99), (0, 50), False),
    ],
)
def test_what_counts_as_changed(sums: tuple[float, float], counts: tuple[int, int], changed: bool) -> None:
    base, ft = measured(sums[:1], counts[:1]), measured(sums[1:], counts[1:])

    assert bool(changed_features(base, ft, THRESHOLDS)) is changed
    assert compare(base, ft, THRESHOLDS, {}).row.n_changed == changed


def test_a_layer() -> None:
    base = measured([100, 50, 0, 10, 0], [40, 30, 0, 5, 0], fvu=0.2)
    ft = measured([100, 90, 0, 0, 300], [40, 60, 0, 0, 70], fvu=0.4)
    row, features = compare(base, ft, THRESHOLDS, {4: "dates", 0: "names"})

    assert changed_features(base, ft, THRESHOLDS) == (1, 4)
    assert (row.layer, row.hook, row.sae_sha, row.tokens) == (3, "blocks.3.hook_resid_post", "ab" * 32, TOKENS)
    assert (row.n_features, row.n_alive, row.n_changed, row.changed_share) == (5, 4, 2, 0.5)
    assert row.mean_abs_delta == pytest.approx((0.04 + 0.01 + 0.3) / 5)
    assert (row.top_feature, row.top_feature_label) == (4, "dates")
    assert (row.fvu_base, row.fvu_fine_tuned, row.fvu_alarm) == (0.2, 0.4, True)
    assert (row.min_tokens, row.min_relative, row.min_absolute) == (20, 0.25, 0.001)
    assert features.column("feature").to_pylist() == [0, 1, 3, 4]
    assert features.column("changed").to_pylist() == [False, True, False, True]
    assert features.column("label").to_pylist() == ["names", None, None, "dates"]
    assert features.column("delta_mean").to_pylist() == pytest.approx([0, 0.04, -0.01, 0.3])
    assert features.column("base_max").to_pylist() == [12.5, 6.25, 1.25, 0]
    assert [msgspec.convert(row, SaeFeatureRow).layer for row in features.to_pylist()] == [3] * 4


def test_the_features_columns_are_the_lakes() -> None:
    kinds = {int: pa.int64(), float: pa.float64(), str: pa.string(), bool: pa.bool_()}
    fields = msgspec.structs.fields(SaeFeatureRow)

    assert FEATURE_SCHEMA.names == [field.name for field in fields]
    for field in fields:
        plain = typing.get_args(field.type)[0] if isinstance(field.type, types.UnionType) else field.type
        assert FEATURE_SCHEMA.field(field.name).type == kinds[plain]


@given(
    st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, TOKENS)), min_size=1, max_size=30),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_base_against_base_changes_nothing(
    features: list[tuple[float, int]], min_relative: float, min_absolute: float
) -> None:
    same = measured([total for total, _ in features], [count for _, count in features])
    thresholds = Thresholds(min_tokens=1, min_relative=min_relative, min_absolute=min_absolute)
    row, table = compare(same, same, thresholds, {})

    assert (row.n_changed, row.changed_share, row.mean_abs_delta, row.top_feature) == (0, 0, 0, None)
    assert set(table.column("delta_mean").to_pylist()) <= {0.0}
    assert not row.fvu_alarm


def test_nothing_alive() -> None:
    row, table = compare(measured([0], [0], tokens=0), measured([0], [0], tokens=0), THRESHOLDS, {})

    assert (row.n_alive, row.changed_share, table.num_rows) == (0, 0, 0)
    assert table.schema == FEATURE_SCHEMA


@pytest.mark.parametrize(
    ("base", "fine_tuned", "alarm"),
    [
        (0.2, 0.2, False),
        (0.2, 0.3, False),
        (0.2, 0.31, True),
        (0.01, 0.09, False),
        (0.01, 0.11, True),
        (0.9, 1.01, True),
        (math.nan, math.nan, False),
    ],
)
def test_the_alarm_of_an_sae_that_no_longer_fits(base: float, fine_tuned: float, alarm: bool) -> None:
    assert is_ill_fitting(base, fine_tuned) is alarm


def test_other_saes_and_other_tokens_are_refused() -> None:
    base = measured([1], [1])

    with pytest.raises(DiffError, match="different SAEs at layer 3: measure the base again") as other_sae:
        compare(base, measured([1], [1], sha="cd" * 32), THRESHOLDS, {})
    with pytest.raises(DiffError, match="1000 tokens and the fine-tuned model 900") as other_tokens:
        compare(base, measured([1], [1], tokens=900), THRESHOLDS, {})
    assert other_sae.value.reason == "sae_mismatch"
    assert other_tokens.value.reason == "models_differ"


def test_the_heaviest_layers_come_first() -> None:
    few = compare(measured([100, 0], [50, 50], layer=1), measured([200, 0], [50, 50], layer=1), THRESHOLDS, {}).row
    many = compare(measured([100, 9], [50, 50], layer=7), measured([200, 99], [50, 50], layer=7), THRESHOLDS, {}).row
    more = compare(measured([100, 9], [50, 50], layer=9), measured([900, 99], [50, 50], layer=9), THRESHOLDS, {}).row
    also = msgspec.structs.replace(few, layer=0)

    assert heaviest_layers([few, many, also, more]) == (9, 7, 0, 1)
    untouched = msgspec.structs.replace(more, n_changed=0, changed_share=0.0)
    assert heaviest_layers([untouched, few]) == (1,)
    assert heaviest_layers([untouched]) == ()
