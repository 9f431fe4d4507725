import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from tests.unit.workers.lake.rows import common, names_in, some_rows
from workers.errors import TransientDiffError
from workers.lake.compact import compact
from workers.lake.schemas import SCHEMAS, rows_to_table, table_to_rows
from workers.lake.tables import TABLES, LowConfidenceRow, RunRow, SaeFeatureRow
from workers.lake.writer import Lake, low_confidence_jsonl

LAYERS = (3, 1, 2)


def features(n: int = 4) -> list[SaeFeatureRow]:
    rows = some_rows(SaeFeatureRow, n * len(LAYERS))
    return [msgspec.structs.replace(row, layer=LAYERS[index // n], feature=-index) for index, row in enumerate(rows)]


def read(path: str | Path) -> Any:
    return pq.ParquetFile(path).read()


def has_run(lake: Lake, **which: str) -> bool:
    return lake.read("runs", **which) is not None


@pytest.mark.parametrize("table", [table for table in TABLES if table != "sae_feature_diff"])
@pytest.mark.parametrize("n", [0, 1, 30])
def test_a_file_holds_what_was_written(tmp_path: Path, table: str, n: int) -> None:
    rows = some_rows(TABLES[table], n, seed=n)
    whole = read(Lake(str(tmp_path)).write(table, rows, common()))
    assert table_to_rows(whole, TABLES[table]) == rows
    assert whole.schema.equals(SCHEMAS[table])
    assert whole["run_id"].to_pylist() == ["run-1"] * n
    assert whole["dt"].to_pylist() == ["2026-01-31"] * n


@pytest.mark.parametrize("table", TABLES)
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, table: str) -> None:
    kind = TABLES[table]
    rows = some_rows(kind, 20)
    first = Path(Lake(str(tmp_path / "a")).write(table, rows, common())).read_bytes()
    again = Path(Lake(str(tmp_path / "a")).write(table, rows, common())).read_bytes()
    data = rows_to_table(rows, kind).replace_schema_metadata({"who": "knows"})
    pieces = data.slice(0, 7), data.slice(7)
    chunked = type(data).from_batches([batch for piece in pieces for batch in piece.to_batches()])
    as_table = Path(Lake(str(tmp_path / "b")).write(table, chunked, common())).read_bytes()
    assert first == again == as_table
    other = Path(Lake(str(tmp_path / "b")).write(table, rows[1:], common())).read_bytes()
    assert other != first


def test_writing_again_replaces(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.write("runs", some_rows(RunRow, 5), common())
    path = lake.write("runs", some_rows(RunRow, 1), common())
    assert read(path).num_rows == 1
    assert names_in(Path(path).parent) == [Path(path).name]


def test_a_layer_is_a_row_group(tmp_path: Path) -> None:
    rows = features()
    file = pq.ParquetFile(Lake(str(tmp_path)).write("sae_feature_diff", rows, common()))
    assert table_to_rows(file.read(), SaeFeatureRow) == sorted(rows, key=lambda row: (row.layer, row.feature))
    groups = [set(file.read_row_group(group)["layer"].to_pylist()) for group in range(file.num_row_groups)]
    assert groups == [{1}, {2}, {3}]


def test_no_feature_is_a_file_too(tmp_path: Path) -> None:
    assert read(Lake(str(tmp_path)).write("sae_feature_diff", [], common())).schema == SCHEMAS["sae_feature_diff"]


def test_floats_of_features_are_split_by_byte(tmp_path: Path) -> None:
    file = pq.ParquetFile(Lake(str(tmp_path)).write("sae_feature_diff", features(), common()))
    group = file.metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    split = {column.path_in_schema for column in columns if "BYTE_STREAM_SPLIT" in column.encodings}
    assert split == {"base_sum", "ft_sum", "base_max", "ft_max", "delta_mean"}
    assert not any(column.has_dictionary_page for column in columns if column.path_in_schema in split)
    assert {column.compression for column in columns} == {"ZSTD"}


@pytest.mark.parametrize("name", ["../x", "a/b", "o'brien", ".hidden", "é", "..", "/" * 128])
def test_any_name_can_be_written(tmp_path: Path, name: str) -> None:
    root = tmp_path / "lake"
    lake = Lake(str(root))
    path = Path(lake.write("runs", some_rows(RunRow, 1), common(name, project=name)))
    assert path.resolve().is_relative_to(root / "runs" / "v=1")
    assert names_in(tmp_path) == ["lake"]
    assert read(path)["run_id"].to_pylist() == [name]
    assert has_run(lake, project=name, day="2026-01-31", run_id=name, diff_id="0123456789abcdef")


def test_a_run_is_there_once_its_row_is(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    where = {"project": "p", "day": "2026-01-31"}
    assert not has_run(lake, **where, run_id="r", diff_id="aa")
    lake.write("runs", [], common("r", "aa"))
    assert not has_run(lake, **where, run_id="r", diff_id="aa")
    lake.write("runs", some_rows(RunRow, 1), common("r", "aa"))
    assert has_run(lake, **where, run_id="r", diff_id="aa")
    assert not has_run(lake, **where, run_id="r", diff_id="bb")
    assert not has_run(lake, project="p", day="2026-02-01", run_id="r", diff_id="aa")


def test_a_run_is_still_there_when_compacted(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    originals = [Path(lake.write("runs", some_rows(RunRow, 1), common(run, "aa"))) for run in ("r", "s")]
    compact(str(tmp_path), min_files=2, now=0.0)
    for original in originals:
        original.unlink()
    assert has_run(lake, project="p", day="2026-01-31", run_id="s", diff_id="aa")
    assert not has_run(lake, project="p", day="2026-01-31", run_id="t", diff_id="aa")


def test_the_rows_of_one_diff_are_read_whether_compacted_or_not(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    rows = {run: some_rows(RunRow, 1, seed=seed) for seed, run in enumerate(("r", "s"))}
    originals = [Path(lake.write("runs", rows[run], common(run, "aa"))) for run in rows]
    for is_compacted in (False, True):
        if is_compacted:
            compact(str(tmp_path), min_files=2, now=0.0)
            originals[0].unlink()
        for run, expected in rows.items():
            stored = lake.read("runs", project="p", day="2026-01-31", run_id=run, diff_id="aa")
            assert stored is not None
            assert table_to_rows(stored, RunRow) == expected
            assert stored["run_id"].to_pylist() == [run]


@pytest.mark.parametrize("failing", ["replace", "fsync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_failing_disk_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, code: int
) -> None:
    lake = Lake(str(tmp_path))
    path = Path(lake.write("runs", some_rows(RunRow, 1), common()))
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(f"workers.lake.durable.os.{failing}", fail)
        with pytest.raises(TransientDiffError, match="Check that the disk has room") as raised:
            lake.write("runs", some_rows(RunRow, 3), common())
    assert raised.value.reason == "unavailable"
    assert path.read_bytes() == before
    assert names_in(path.parent) == [path.name]


def test_a_file_in_the_way_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(TransientDiffError, match="may write"):
        Lake(str(tmp_path)).write("runs", [], common())


KILLED = """
import sys
from tests.unit.workers.lake.rows import common, some_rows
from workers.lake.tables import BehaviourRow
from workers.lake.writer import Lake
lake, few, many = Lake(sys.argv[1]), some_rows(BehaviourRow, 100, 1), some_rows(BehaviourRow, 20_000, 2)
lake.write("behaviour_rows", few, common())
print("ready", flush=True)
while True:
    lake.write("behaviour_rows", many, common())
    lake.write("behaviour_rows", few, common())
"""


@pytest.mark.parametrize("reads", [1, 20, 60])
def test_a_killed_writer_leaves_whole_files(tmp_path: Path, reads: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            (path,) = tmp_path.rglob("[!.]*.parquet")
            seen = {read(path).num_rows for _ in range(reads)}
        finally:
            writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    assert seen | {read(path).num_rows} <= {100, 20_000}


def test_another_file_system_is_written_with_one_put() -> None:
    lake = Lake("mock:///lake")
    path = lake.write("runs", some_rows(RunRow, 1), common())
    assert path == "lake/runs/v=1/project=p/dt=2026-01-31/run-1-0123456789abcdef.parquet"
    assert has_run(lake, project="p", day="2026-01-31", run_id="run-1", diff_id="0123456789abcdef")
    assert not has_run(lake, project="p", day="2026-01-31", run_id="other", diff_id="0123456789abcdef")


def test_bytes_are_written_below_the_root(tmp_path: Path) -> None:
    path = Lake(str(tmp_path)).write_bytes("low_confidence_rows/v=1/x.jsonl", b"{}\n")
    assert path == str(tmp_path / "low_confidence_rows/v=1/x.jsonl")
    assert Path(path).read_bytes() == b"{}\n"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "."])
def test_bytes_are_not_written_elsewhere(tmp_path: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        Lake(str(tmp_path)).write_bytes(path, b"")


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "."])
@pytest.mark.parametrize("method", [Lake.read_bytes, Lake.files, Lake.delete])
def test_nothing_elsewhere_is_touched(tmp_path: Path, method: Callable[[Lake, str], object], path: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        method(Lake(str(tmp_path)), path)


@pytest.mark.parametrize("is_local", [True, False])
def test_bytes_are_read_listed_and_deleted(tmp_path: Path, is_local: bool) -> None:
    lake = Lake(str(tmp_path / "lake") if is_local else "mock:///lake")
    assert lake.files("a") == {}
    assert lake.read_bytes("a/x") is None
    lake.delete("a")
    for path, data in {"a/x": b"", "a/b/y": b"\0\xff", "ab": b"beside"}.items():
        lake.write_bytes(path, data)
    assert lake.files("a") == {"a/x": 0, "a/b/y": 2}
    assert [lake.read_bytes(path) for path in ("a/x", "a/b/y", "ab", "a/b/z")] == [b"", b"\0\xff", b"beside", None]
    lake.delete("a/x")
    assert lake.files("a") == {"a/b/y": 2}
    lake.write_bytes("a/x", b"again")
    lake.delete("a")
    lake.delete("a/x")
    assert (lake.files("a"), lake.read_bytes("a/x"), lake.read_bytes("ab")) == ({}, None, b"beside")


def test_a_deleted_link_leaves_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x").write_text("stays")
    lake = Lake(str(tmp_path / "lake"))
    lake.write_bytes("a/x", b"")
    (tmp_path / "lake" / "a" / "link").symlink_to(tmp_path / "outside")
    lake.delete("a")
    assert names_in(tmp_path / "lake") == []
    assert (tmp_path / "outside" / "x").read_text() == "stays"


def test_what_cannot_be_read_or_deleted_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.write_bytes("a/x", b"")
    with pytest.raises(TransientDiffError, match="may write"):
        lake.read_bytes("a")
    with pytest.raises(TransientDiffError, match="may write"):
        lake.read_bytes("a/x/y")
    with pytest.raises(TransientDiffError, match="may write"):
        lake.files("a/x")


def test_low_confidence_rows_are_a_dataset() -> None:
    rows = some_rows(LowConfidenceRow, 12)
    data = low_confidence_jsonl(rows)
    lines = [json.loads(line) for line in data.decode().split("\n")[:-1]]
    assert data.endswith(b"\n")
    assert [line["prompt"] for line in lines] == [row.prompt for row in rows]
    assert [line["completion"] for line in lines] == [row.answer for row in rows]
    assert [line["topic"] for line in lines] == [row.topic for row in rows]
    assert {"category", "confidence", "given", "correct", "probe_id"} <= lines[0].keys()
    assert low_confidence_jsonl([]) == b""


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    path = Path(lake.write("runs", some_rows(RunRow, 1), common("r", "aa")))
    path.write_bytes(b"PAR1 and nothing else")
    with pytest.raises(TransientDiffError, match=f"{path.name} is no Parquet file"):
        lake.read("runs", project="p", day="2026-01-31", run_id="r", diff_id="aa")


def test_rows_are_found_in_whatever_compaction_made_of_a_file_that_was_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(str(tmp_path))
    for run in ("r", "s"):
        lake.write("runs", some_rows(RunRow, 1), common(run, "aa"))
    compact(str(tmp_path), min_files=2, grace_seconds=0.0, now=0.0)
    compact(str(tmp_path), min_files=2, grace_seconds=0.0, now=1e10)
    (compacted,) = tmp_path.rglob("compact-*.parquet")
    further = compacted.with_name(compacted.name.replace("000001", "000002"))
    listed = lake._compacted

    def listed_too_early(*where: str) -> Any:
        paths = list(listed(*where))
        if compacted.exists():
            compacted.rename(further)
        return paths

    monkeypatch.setattr(lake, "_compacted", listed_too_early)
    assert lake.read("runs", project="p", day="2026-01-31", run_id="r", diff_id="aa") is not None
