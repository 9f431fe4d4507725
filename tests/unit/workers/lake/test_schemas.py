import math
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from msgspec import Struct

from tests.unit.workers.lake.rows import common, some_rows
from workers.lake.schemas import COMMON, SCHEMAS, row_schema, rows_to_table, table_to_rows, with_common
from workers.lake.tables import TABLES, CalibrationBinRow, Common, RunRow


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [0, 1, 40])
def test_rows_come_back_as_they_were(table: str, seed: int, n: int) -> None:
    kind = TABLES[table]
    rows = some_rows(kind, n, seed)
    back = table_to_rows(rows_to_table(rows, kind), kind)
    assert back == rows
    assert [repr(row) for row in back] == [repr(row) for row in rows]  # -0.0 equals 0.0


def test_nan_comes_back() -> None:
    row = msgspec.structs.replace(some_rows(CalibrationBinRow, 1)[0], accuracy=math.nan)
    (back,) = table_to_rows(rows_to_table([row], CalibrationBinRow), CalibrationBinRow)
    assert back.accuracy is not None
    assert math.isnan(back.accuracy)


@pytest.mark.parametrize("table", TABLES)
def test_common_columns_come_first(table: str) -> None:
    names = SCHEMAS[table].names
    assert tuple(names) == (*Common.__struct_fields__, *TABLES[table].__struct_fields__)
    assert len(set(names)) == len(names)


def test_types_are_those_of_the_struct() -> None:
    schema = row_schema(RunRow)
    assert schema.field("sae_shas").type == pa.list_(pa.string())
    assert schema.field("heaviest_layers").type == pa.list_(pa.int64())
    assert schema.field("robustness_verdict").nullable
    assert not schema.field("dtype").nullable
    assert COMMON.field("created_at").type == pa.timestamp("us", tz="UTC")


def test_created_at_keeps_its_microseconds() -> None:
    whole = with_common(rows_to_table(some_rows(RunRow, 1), RunRow), "runs", common(created_at=1769853600.123456))
    assert whole["created_at"].cast(pa.int64()).to_pylist() == [1769853600123456]


def test_a_missing_column_is_named() -> None:
    table = rows_to_table(some_rows(RunRow, 1), RunRow).drop_columns(["dtype"])
    with pytest.raises(ValueError, match="lack dtype"):
        with_common(table, "runs", common())


def test_a_value_that_a_field_forbids_does_not_come_back() -> None:
    table = rows_to_table(some_rows(CalibrationBinRow, 1), CalibrationBinRow)
    wrong = table.set_column(0, "model", pa.array(["other"]))
    with pytest.raises(msgspec.ValidationError):
        table_to_rows(wrong, CalibrationBinRow)


@pytest.mark.parametrize("hint", [bytes, set[int]])
def test_a_field_that_no_column_holds_is_refused(hint: Any) -> None:
    kind: type[Struct] = msgspec.defstruct("Odd", [("field", hint)])
    with pytest.raises(TypeError, match="No column holds"):
        row_schema(kind)
