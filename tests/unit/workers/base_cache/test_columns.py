"""What is read back is what was measured, to the last bit."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays
from msgspec.structs import replace

from tests.unit.workers.base_cache.measurements import arrays, bits, layer, measurement
from workers.base_cache.columns import decode, encode
from workers.calibration.answers import Answer
from workers.lake.tables import BehaviourRow
from workers.measurement import Measurement
from workers.sae.measure import LayerSums

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FLOATS = st.floats() | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, math.nan, -math.nan, math.inf])
LARGEST = 2**63 - 1


def layers() -> st.SearchStrategy[LayerSums]:
    def of(features: int) -> st.SearchStrategy[LayerSums]:
        def array(dtype: Any) -> st.SearchStrategy[Any]:
            return numpy_arrays(dtype, features)

        return st.builds(
            LayerSums,
            layer=st.integers(0, 200),
            hook=TEXTS,
            sae_sha=TEXTS,
            tokens=st.integers(0, LARGEST),
            sums=array(np.float64),
            counts=array(np.int64),
            maxima=array(np.float32),
            fvu=FLOATS,
        )

    return st.integers(0, 5).flatmap(of)


BEHAVIOUR = st.builds(
    BehaviourRow,
    model=st.just("base"),
    probe_id=TEXTS,
    category=TEXTS,
    topic=st.none() | TEXTS,
    kind=TEXTS,
    eval_split=st.sampled_from(["held_out", "train"]),
    measure=TEXTS,
    variant=TEXTS,
    value=FLOATS,
    text=st.none() | TEXTS,
)
ANSWERS = st.builds(
    Answer,
    probe_id=TEXTS,
    category=TEXTS,
    topic=st.none() | TEXTS,
    eval_split=st.sampled_from(["held_out", "train"]),
    prompt=TEXTS,
    answer=TEXTS,
    given=TEXTS,
    confidence=FLOATS,
    joint_probability=FLOATS,
    confidence_kind=st.sampled_from(["choices", "greedy"]),
    correct=st.booleans(),
    score=FLOATS,
)
MEASUREMENTS = st.builds(
    Measurement,
    behaviour=st.lists(BEHAVIOUR, max_size=6).map(tuple),
    answers=st.lists(ANSWERS, max_size=6).map(tuple),
    layers=st.lists(layers(), max_size=3).map(tuple),
)


@settings(max_examples=60, deadline=None)
@given(MEASUREMENTS)
def test_a_measurement_comes_back_bit_for_bit(measured: Measurement) -> None:
    parts = encode(measured)
    assert bits(decode(parts)) == bits(measured)
    assert encode(decode(parts)) == parts


def test_values_at_the_edge_come_back() -> None:
    strange = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000123))[0]
    edges = [0.0, -0.0, strange, math.nan, -math.nan, 5e-324, -5e-324, math.inf, -math.inf, 1.7976931348623157e308]
    whole = measurement()
    measured = replace(
        whole,
        behaviour=tuple(replace(whole.behaviour[0], value=value) for value in edges * 3),
        layers=tuple(
            replace(
                layer(1),
                fvu=value,
                sums=np.array(edges),
                counts=np.array([0, LARGEST, -LARGEST - 1]),
                maxima=np.array(edges[:-1], np.float32),
            )
            for value in edges
        ),
    )
    assert bits(decode(encode(measured))) == bits(measured)


def test_nothing_is_a_measurement_too() -> None:
    empty = Measurement(behaviour=(), answers=(), layers=())
    assert bits(decode(encode(empty))) == bits(empty)


def test_layers_are_kept_in_their_order_and_may_be_written_to() -> None:
    back = decode(encode(replace(measurement(), layers=(layer(7), layer(2), layer(5, features=0))))).layers
    assert [found.layer for found in back] == [7, 2, 5]
    assert back[2].n_features == 0
    for array in arrays(back[0]):
        array[:] = 1
        assert (array == 1).all()


def test_many_features_are_kept() -> None:
    measured = Measurement(behaviour=(), answers=(), layers=tuple(layer(at, features=131_072) for at in range(2)))
    assert bits(decode(encode(measured))) == bits(measured)


def test_arrays_that_are_laid_out_otherwise_give_the_same_bytes() -> None:
    found = layer(1)
    apart = np.zeros((found.n_features, 2))
    apart[:, 0] = found.sums
    whole = measurement()
    other = replace(whole, layers=(replace(found, sums=apart[:, 0]),))
    assert encode(other) == encode(replace(whole, layers=(found,)))


def test_a_text_that_is_no_unicode_is_a_value_error() -> None:
    whole = measurement()
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode(replace(whole, behaviour=(replace(whole.behaviour[0], text="\ud800"),)))


def test_files_of_other_columns_are_refused() -> None:
    parts = encode(measurement())
    with pytest.raises(ValueError, match="columns are others"):
        decode({**parts, "layers": parts["answers"]})
    with pytest.raises(ValueError, match="Parquet"):
        decode({**parts, "answers": b"not Parquet, whatever it is"})
