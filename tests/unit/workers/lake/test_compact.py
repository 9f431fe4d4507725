import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow.parquet as pq
import pytest

from tests.unit.workers.lake.rows import common, names_in, some_rows
from workers.lake import durable
from workers.lake.compact import GROUP_ROWS, compact
from workers.lake.durable import replace
from workers.lake.tables import BehaviourRow, RegressionRow, RunRow, SaeFeatureRow
from workers.lake.views import views
from workers.lake.writer import Lake

NOW = 2_000_000_000.0
LATER = NOW + 4000.0
SHOWN = ("behaviour_rows", "sae_feature_diff", "regressions", "runs")


@pytest.fixture
def aged(tmp_path: Path) -> Callable[[float], None]:
    """Gives every file that was not yet given one the time it is called with."""
    known: set[tuple[str, int]] = set()

    def age(seconds: float) -> None:
        for path in tmp_path.rglob("*"):
            key = (str(path), path.stat().st_ino)
            if path.is_file() and key not in known:
                os.utime(path, (seconds, seconds))
                known.add(key)

    return age


def write_diff(root: Path, run_id: str, seed: int = 0, project: str = "p", dt: str = "2026-01-31") -> None:
    lake = Lake(str(root))
    shared = common(run_id, "aa", project=project, dt=dt)
    features = [
        msgspec.structs.replace(row, layer=layer, feature=layer)
        for layer, row in enumerate(some_rows(SaeFeatureRow, 3, seed))
    ]
    lake.write("behaviour_rows", some_rows(BehaviourRow, 4, seed), shared)
    lake.write("sae_feature_diff", features, shared)
    lake.write("regressions", some_rows(RegressionRow, 1, seed), shared)
    lake.write("runs", some_rows(RunRow, 1, seed), shared)


def shown(root: Path) -> dict[str, list[tuple[Any, ...]]]:
    with duckdb.connect() as connection:
        connection.execute(views(str(root)))
        return {table: sorted(connection.execute(f"SELECT * FROM {table}").fetchall(), key=repr) for table in SHOWN}


def visible(root: Path, table: str) -> list[str]:
    return sorted(path.name for path in (root / table).rglob("[!.]*.parquet"))


def test_the_views_show_the_same_before_while_and_after(tmp_path: Path, aged: Callable[[float], None]) -> None:
    for seed, run_id in enumerate(("a", "b", "z")):
        write_diff(tmp_path, run_id, seed)
    before = shown(tmp_path)
    assert len(before["behaviour_rows"]) == 12

    done = compact(str(tmp_path), min_files=3, now=NOW)
    aged(NOW)
    assert [step.action for step in done] == ["compacted"] * 4
    assert {len(visible(tmp_path, table)) for table in SHOWN} == {4}
    assert shown(tmp_path) == before

    assert compact(str(tmp_path), min_files=3, now=NOW + 3599) == []
    done = compact(str(tmp_path), min_files=3, now=LATER)
    assert {step.action for step in done} == {"deleted"}
    assert {len(visible(tmp_path, table)) for table in SHOWN} == {1}
    assert shown(tmp_path) == before

    assert compact(str(tmp_path), min_files=2, now=LATER) == []


def test_few_files_are_left_alone(tmp_path: Path) -> None:
    write_diff(tmp_path, "a")
    write_diff(tmp_path, "b", project="q")
    assert compact(str(tmp_path), min_files=3, now=NOW) == []


def test_files_of_all_projects_and_days_become_one_and_their_folders_go(
    tmp_path: Path, aged: Callable[[float], None]
) -> None:
    """The same run and diff under another project or day is another."""
    for number, project in enumerate(("p", "q", "team/a b")):
        for day in range(4):
            write_diff(tmp_path, f"r{day % 2}", seed=4 * number + day, project=project, dt=f"2026-01-{day + 1:02}")
    before = shown(tmp_path)
    assert len(before["runs"]) == 12
    lake = Lake(str(tmp_path))
    which = {"project": "q", "day": "2026-01-03", "run_id": "r0", "diff_id": "aa"}
    stored = lake.read("behaviour_rows", **which)
    assert stored is not None
    compact(str(tmp_path), now=NOW)
    assert {len(visible(tmp_path, table)) for table in SHOWN} == {12}
    compact(str(tmp_path), min_files=12, now=NOW)
    aged(NOW)
    assert shown(tmp_path) == before
    compact(str(tmp_path), now=LATER)
    assert shown(tmp_path) == before
    found = lake.read("behaviour_rows", **which)
    assert found is not None
    assert found.to_pylist() == stored.to_pylist()
    assert lake.read("runs", **{**which, "project": "x"}) is None
    for table in SHOWN:
        assert [path.name.partition("-")[0] for path in (tmp_path / table / "v=1").iterdir()] == ["compact"]
    write_diff(tmp_path, "r0", seed=99, project="q", dt="2026-01-03")
    assert len(shown(tmp_path)["runs"]) == 12
    found = lake.read("behaviour_rows", **which)
    assert found is not None
    assert found.to_pylist() != stored.to_pylist()


def test_what_was_compacted_for_one_day_is_compacted_with_the_rest(
    tmp_path: Path, aged: Callable[[float], None]
) -> None:
    for run_id in ("a", "b"):
        write_diff(tmp_path, run_id, seed=1)
    compact(str(tmp_path), min_files=2, now=NOW)
    # As they were once: beside those that they hold, which they name without a folder.
    for table in SHOWN:
        (made,) = (tmp_path / table).rglob("compact-*")
        (place,) = (tmp_path / table).rglob("dt=*")
        rows = pq.ParquetFile(made).read()
        metadata = {key: value.replace(b"project=p/dt=2026-01-31/", b"") for key, value in rows.schema.metadata.items()}
        pq.write_table(rows.replace_schema_metadata(metadata), place / made.name)
        made.unlink()
    write_diff(tmp_path, "a", seed=2)
    write_diff(tmp_path, "c", project="q")
    before = shown(tmp_path)
    aged(NOW)
    compact(str(tmp_path), min_files=2, now=NOW)
    assert shown(tmp_path) == before
    aged(NOW)
    compact(str(tmp_path), min_files=2, now=LATER)
    assert {len(visible(tmp_path, table)) for table in SHOWN} == {1}
    assert shown(tmp_path) == before


def test_what_becomes_one_file_has_a_limit_and_all_is_compacted_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aged: Callable[[float], None]
) -> None:
    for number in range(6):
        write_diff(tmp_path, f"r{number}", number)
    before = shown(tmp_path)
    largest = max(path.stat().st_size for path in (tmp_path / "runs").rglob("*.parquet"))
    monkeypatch.setattr("workers.lake.compact.BATCH_BYTES", 2 * largest)
    done = compact(str(tmp_path), min_files=2, now=NOW)
    assert [len(each.names) for each in done if each.folder == "runs/v=1"] == [2, 2, 2]
    aged(NOW)
    compact(str(tmp_path), min_files=20, now=LATER)
    assert len(visible(tmp_path, "runs")) == 3
    assert shown(tmp_path) == before


@pytest.mark.parametrize(("least", "sizes"), [(1, [1] * 6), (2, [2] * 3), (4, [4, 2]), (GROUP_ROWS, [6])])
def test_a_compact_file_is_sorted_and_short_layers_share_a_row_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: int, sizes: list[int]
) -> None:
    monkeypatch.setattr("workers.lake.compact.GROUP_ROWS", least)
    for run_id in ("z", "a"):
        write_diff(tmp_path, run_id)
    compact(str(tmp_path), min_files=2, now=NOW)
    (path,) = (tmp_path / "sae_feature_diff").rglob("compact-*")
    file = pq.ParquetFile(path)
    groups = [
        file.read_row_group(group, columns=["run_id", "layer"]).to_pylist() for group in range(file.num_row_groups)
    ]
    assert [len(group) for group in groups] == sizes
    assert [(row["run_id"], row["layer"]) for group in groups for row in group] == [
        (run, layer) for run in ("a", "z") for layer in range(3)
    ]


def test_compact_files_are_compacted_with_newer_ones(tmp_path: Path, aged: Callable[[float], None]) -> None:
    for run_id in ("a", "b"):
        write_diff(tmp_path, run_id, ord(run_id))
    compact(str(tmp_path), min_files=2, now=NOW)
    write_diff(tmp_path, "c", ord("c"))
    before = shown(tmp_path)
    aged(NOW)
    compact(str(tmp_path), min_files=2, now=NOW)
    assert len(visible(tmp_path, "runs")) == 5
    assert shown(tmp_path) == before
    aged(NOW)
    compact(str(tmp_path), min_files=2, now=LATER)
    assert {len(visible(tmp_path, table)) for table in SHOWN} == {1}
    assert shown(tmp_path) == before


def test_what_appears_meanwhile_stays(
    tmp_path: Path, aged: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ("a", "b"):
        write_diff(tmp_path, run_id)

    def late(path: Path, data: bytes) -> None:
        write_diff(tmp_path, "late")
        replace(path, data)

    monkeypatch.setattr("workers.lake.compact.replace", late)
    compact(str(tmp_path), min_files=2, now=NOW)
    monkeypatch.undo()
    before = shown(tmp_path)
    aged(NOW)
    compact(str(tmp_path), min_files=20, now=LATER)
    assert "late-aa.parquet" in visible(tmp_path, "runs")
    assert "a-aa.parquet" not in visible(tmp_path, "runs")
    assert shown(tmp_path) == before
    assert len(before["runs"]) == 3


def test_an_original_written_anew_is_not_deleted(tmp_path: Path, aged: Callable[[float], None]) -> None:
    for run_id in ("a", "b"):
        write_diff(tmp_path, run_id, seed=1)
    compact(str(tmp_path), min_files=2, now=NOW)
    write_diff(tmp_path, "a", seed=2)
    aged(NOW)
    compact(str(tmp_path), min_files=20, now=LATER)
    assert "a-aa.parquet" in visible(tmp_path, "runs")
    assert "b-aa.parquet" not in visible(tmp_path, "runs")
    before = shown(tmp_path)
    assert len(before["runs"]) == 2
    compact(str(tmp_path), min_files=2, now=LATER)
    aged(LATER)
    assert shown(tmp_path) == before
    compact(str(tmp_path), min_files=2, now=LATER + 4000)
    assert {len(visible(tmp_path, table)) for table in SHOWN} == {1}
    assert shown(tmp_path) == before


class KilledError(BaseException):
    """Stands in for a process that ends here."""


@pytest.mark.parametrize("steps", range(9))
def test_killed_anywhere_nothing_is_lost_or_doubled(
    tmp_path: Path, aged: Callable[[float], None], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    for seed, run_id in enumerate(("a", "b")):
        write_diff(tmp_path, run_id, seed)
    before = shown(tmp_path)
    left = steps

    def twice() -> None:
        for now in (NOW, LATER):
            compact(str(tmp_path), min_files=2, now=now)
            aged(NOW)

    def mortal(do: Callable[..., None]) -> Callable[..., None]:
        def step(*arguments: object, **options: object) -> None:
            nonlocal left
            if left == 0:
                raise KilledError
            left -= 1
            do(*arguments, **options)

        return step

    with monkeypatch.context() as patched:
        # 4 files to write, then 8 to delete.
        patched.setattr("workers.lake.durable.os.replace", mortal(os.replace))
        patched.setattr("workers.lake.compact.Path.unlink", mortal(Path.unlink))
        with pytest.raises(KilledError):
            twice()
    assert shown(tmp_path) == before
    aged(NOW)
    compact(str(tmp_path), min_files=2, now=NOW)
    aged(NOW)
    compact(str(tmp_path), min_files=2, now=LATER)
    assert shown(tmp_path) == before
    assert {len(visible(tmp_path, table)) for table in SHOWN} == {1}


ENDLESS = """
import sys, time
from workers.lake.compact import compact
print("ready", flush=True)
while True:
    compact(sys.argv[1], min_files=2, grace_seconds=0.0, now=time.time() + 10)
"""


def test_a_compaction_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            for seed in range(12):
                write_diff(tmp_path, f"r{seed}", seed)
        finally:
            process.kill()
    rows = shown(tmp_path)
    assert {table: len(rows[table]) for table in SHOWN} == {
        "behaviour_rows": 48,
        "sae_feature_diff": 36,
        "regressions": 12,
        "runs": 12,
    }


def test_stale_temporary_files_are_swept(tmp_path: Path) -> None:
    write_diff(tmp_path, "a")
    (place,) = (tmp_path / "runs").rglob("dt=*")
    for name, age in ((".old.parquet.0.tmp", 90_000), (".young.parquet.0.tmp", 80_000), (".other", 90_000)):
        (place / name).write_bytes(b"half")
        os.utime(place / name, (NOW - age, NOW - age))
    (done,) = compact(str(tmp_path), now=NOW)
    assert (done.action, done.names) == ("swept", (".old.parquet.0.tmp",))
    assert names_in(place) == [".other", ".young.parquet.0.tmp", "a-aa.parquet"]


def test_a_folder_that_goes_while_a_file_is_written_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [tmp_path / "runs" / "v=1" / "project=p" / "dt=2026-01-31"]
    make = durable._make_folder

    def clear(path: Path) -> None:
        make(path)
        if path in gone:
            gone.remove(path)
            path.rmdir()
            path.parent.rmdir()

    monkeypatch.setattr(durable, "_make_folder", clear)
    write_diff(tmp_path, "a")
    assert gone == []
    assert visible(tmp_path, "runs") == ["a-aa.parquet"]


def test_a_run_called_compact_is_a_run(tmp_path: Path, aged: Callable[[float], None]) -> None:
    for run_id in ("compact", "compact-x"):
        write_diff(tmp_path, run_id)
    before = shown(tmp_path)
    compact(str(tmp_path), min_files=2, now=NOW)
    aged(NOW)
    compact(str(tmp_path), min_files=2, now=LATER)
    assert len(visible(tmp_path, "runs")) == 1
    assert shown(tmp_path) == before


def test_files_with_fewer_columns_are_merged(tmp_path: Path) -> None:
    for run_id in ("a", "b"):
        write_diff(tmp_path, run_id)
    path = next((tmp_path / "runs").rglob("a-*"))
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["dtype"]), path)
    compact(str(tmp_path), min_files=2, now=NOW)
    (merged,) = (tmp_path / "runs").rglob("compact-*")
    dtypes = pq.ParquetFile(merged).read()["dtype"].to_pylist()
    assert dtypes[0] is None
    assert dtypes[1] is not None


def test_what_is_no_parquet_file_is_named(tmp_path: Path) -> None:
    write_diff(tmp_path, "a")
    path = next((tmp_path / "runs").rglob("a-*"))
    path.with_name("b.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"b\.parquet is not a Parquet file"):
        compact(str(tmp_path), min_files=2, now=NOW)


def test_only_a_local_folder_can_be_compacted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a local folder"):
        compact("mock:///lake", now=NOW)
    with pytest.raises(ValueError, match="min_files is 1"):
        compact(str(tmp_path), min_files=1, now=NOW)
