"""A measurement as three Parquet files and back, bit for bit; equal measurements give equal bytes."""

import io
from typing import Literal, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct
from numpy.typing import NDArray

from workers.calibration.answers import Answer
from workers.lake.schemas import row_schema, rows_to_table, table_to_rows
from workers.lake.tables import BehaviourRow
from workers.lake.writer import serialise
from workers.measurement import Measurement
from workers.sae.measure import LayerSums

Part = Literal["behaviour", "answers", "layers"]

Row = TypeVar("Row", bound=Struct)

ARRAYS = {"sums": pa.float64(), "counts": pa.int64(), "maxima": pa.float32()}
"""of a layer; each a list of one value a feature"""
LAYER = pa.schema(
    [
        pa.field("layer", pa.int64(), nullable=False),
        pa.field("hook", pa.string(), nullable=False),
        pa.field("sae_sha", pa.string(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("fvu", pa.float64(), nullable=False),
        *(
            pa.field(name, pa.list_(pa.field("element", kind, nullable=False)), nullable=False)
            for name, kind in ARRAYS.items()
        ),
    ]
)


def encode(measurement: Measurement) -> dict[Part, bytes]:
    """The files. Raises ValueError for a text that is no Unicode."""
    return {
        "behaviour": serialise("behaviour", rows_to_table(measurement.behaviour, BehaviourRow)),
        "answers": serialise("answers", rows_to_table(measurement.answers, Answer)),
        "layers": _layers_to_bytes(measurement.layers),
    }


def decode(parts: dict[Part, bytes]) -> Measurement:
    """What `encode` was given. Raises ValueError, or OSError, for files that it did not make."""
    return Measurement(
        behaviour=tuple(table_to_rows(_table(parts["behaviour"], row_schema(BehaviourRow)), BehaviourRow)),
        answers=tuple(table_to_rows(_table(parts["answers"], row_schema(Answer)), Answer)),
        layers=tuple(_layers(_table(parts["layers"], LAYER))),
    )


def _layers_to_bytes(layers: tuple[LayerSums, ...]) -> bytes:
    columns = [pa.array([getattr(layer, field.name) for layer in layers], field.type) for field in LAYER]
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=LAYER),
        buffer,
        compression="zstd",
        use_dictionary=False,
        use_byte_stream_split=["sums.list.element", "maxima.list.element"],
    )
    return buffer.getvalue()


def _table(data: bytes, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    if not table.schema.equals(schema):
        raise ValueError("its columns are others than this version writes")
    return table


def _layers(table: pa.Table) -> list[LayerSums]:
    arrays = {name: [_array(value) for value in table[name]] for name in ARRAYS}
    rows = table.drop_columns(list(ARRAYS)).to_pylist()
    return [
        LayerSums(**row, **{name: values[at] for name, values in arrays.items()})  # type: ignore[arg-type]
        for at, row in enumerate(rows)
    ]


def _array(value: pa.ListScalar) -> "NDArray[np.generic]":
    # A copy: what is measured may be written to, and so may this.
    return np.array(value.values.to_numpy(zero_copy_only=False))
