from itertools import product
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

import pytest

from workers.lake.paths import encoded, file_path, is_visible, locate

HOSTILE = [
    *("../x", "..", ".", "a/b", "a%2Fb", "o'brien", ".hidden", "%2Ehidden", "_under", "é", "a b", "*", "[a]", "", "-"),
    *("a-b", "a", "b", "compact", "/", "/" * 128, "/" * 127 + ":", "x\0y", "x" * 400),
]


def path_of(project: str, run_id: str, diff_id: str = "0123456789abcdef") -> str:
    return file_path("runs", project=project, dt="2026-01-31", run_id=run_id, diff_id=diff_id)


@pytest.mark.parametrize("project", HOSTILE)
@pytest.mark.parametrize("run_id", HOSTILE)
def test_no_name_leads_elsewhere_or_hides(project: str, run_id: str) -> None:
    parts = PurePosixPath(path_of(project, run_id)).parts
    assert parts[:2] == ("runs", "v=1")
    assert len(parts) == 5
    assert parts[2].startswith("project=")
    assert parts[3] == "dt=2026-01-31"
    assert is_visible(parts[4])
    assert all(part.isascii() and part.isprintable() and len(part) < 230 for part in parts)


def test_different_names_lie_in_different_places() -> None:
    # A hyphen joins run and diff, and is in both.
    paths = {path_of(*names) for names in product(HOSTILE, HOSTILE, ["c", "b-c", "%2Dc"])}
    assert len(paths) == len(HOSTILE) ** 2 * 3


@pytest.mark.parametrize("name", [name for name in HOSTILE if len(name) < 50])
def test_a_name_of_usual_length_can_be_read_back(name: str) -> None:
    assert unquote(encoded(name)) == name


def test_a_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    location = locate("some/lake")
    assert location.is_local
    assert location.path("runs/x") == str(tmp_path / "some/lake/runs/x")


def test_a_file_uri_is_a_folder() -> None:
    location = locate("file:///tmp/a%20lake")
    assert location.is_local
    assert location.url == "/tmp/a lake"


def test_another_file_system_keeps_its_uri_for_duckdb() -> None:
    location = locate("mock:///lake")
    assert not location.is_local
    assert location.path("runs/x") == "lake/runs/x"
    assert location.url == "mock:///lake"


def test_what_is_no_root_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a folder nor a URI"):
        locate("gopher://old/lake")


@pytest.mark.parametrize("table", ["runs", "steps"])
def test_a_lake_of_a_later_release_is_left_alone(table: str, tmp_path: Path) -> None:
    (tmp_path / table / "v=1").mkdir(parents=True)
    assert locate(str(tmp_path)).is_local
    (tmp_path / table / "v=2").mkdir()
    for root in (str(tmp_path), tmp_path.as_uri()):
        with pytest.raises(ValueError, match=rf"holds files of a later release \({table}/v=2\), this one knows v=1 at"):
            locate(root)


def test_what_is_no_table_says_nothing_of_a_lakes_version(tmp_path: Path) -> None:
    for name in ("models/v=2", "runs/v=02b", "runs/v=0", "runs/w=2"):
        (tmp_path / name).mkdir(parents=True)
    assert locate(str(tmp_path)).is_local
