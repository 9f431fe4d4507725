"""The bytes of the archive's files: sorted, so that the steps of one run are found without reading the others'."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from workers.lake.schemas import ARCHIVE_SCHEMAS

ROW_GROUP_ROWS = 8192
"""few enough that the statistics of `run_id` and `ts` say which to skip"""


def serialise(table: str, parts: Sequence[pa.Table]) -> bytes:
    """All rows of `parts`, by run, as the bytes of a Parquet file of `table`; equal for equal rows.

    A column that only some of them have is null in the others. Floats are byte-stream split: norms were float32 once,
    and of such a double three bytes are always 0.
    """
    whole = _together(ARCHIVE_SCHEMAS[table], parts)
    whole = whole.take(pc.sort_indices(whole, [("run_id", "ascending"), ("offset", "ascending")]))
    leaves = [leaf for field in whole.schema for leaf in _leaves(field.name, field.type)]
    floats = [path for path, kind in leaves if pa.types.is_floating(kind)]
    buffer = io.BytesIO()
    with pq.ParquetWriter(
        buffer,
        whole.schema,
        compression="zstd",
        use_dictionary=[path for path, _ in leaves if path not in floats],
        use_byte_stream_split=floats,
    ) as writer:
        writer.write_table(whole, row_group_size=ROW_GROUP_ROWS)
    return buffer.getvalue()


def _together(schema: pa.Schema, parts: Sequence[pa.Table]) -> pa.Table:
    """Their rows, in chunks of one; `schema` where all have it."""
    parts = [schema.empty_table(), *parts]
    if any(part.schema != schema for part in parts):
        # Files of another version.
        parts = [part.cast(pa.schema([field.with_nullable(True) for field in part.schema])) for part in parts]
    return pa.concat_tables(parts, promote_options="default").combine_chunks()


def _leaves(path: str, kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    """Every column that Parquet makes of one of type `kind`, as it spells them."""
    if pa.types.is_map(kind):
        return [(f"{path}.key_value.key", kind.key_type), *_leaves(f"{path}.key_value.value", kind.item_type)]
    if pa.types.is_list(kind):
        return _leaves(f"{path}.list.element", kind.value_type)
    if pa.types.is_struct(kind):
        return [leaf for field in kind for leaf in _leaves(f"{path}.{field.name}", field.type)]
    return [(path, kind)]
