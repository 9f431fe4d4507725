"""Which places may be read, and how what lies far away is brought here."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import fs

from workers.errors import DiffError, TransientDiffError
from workers.models import remote
from workers.models.locations import find


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "run 1").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "root" / "probes.jsonl").write_text("{}")
    return tmp_path / "root"


def refused(uri: str, roots: list[str], **more: Any) -> DiffError:
    with pytest.raises(DiffError) as caught:
        find(uri, roots, "checkpoint", **more)
    return caught.value


def test_places_under_a_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / "run 1"
    for roots in ([str(root)], ["s3://bucket", f"file://{root}"], ["/nowhere", str(root)]):
        assert find(str(folder), roots, "checkpoint") == folder
        assert find(folder.as_uri(), roots, "checkpoint") == folder
        assert find(f"file://localhost{root}/run%201", roots, "checkpoint") == folder
        assert find(str(root / "probes.jsonl"), roots, "probes") == root / "probes.jsonl"
    (root / "latest").symlink_to(folder)
    assert find(str(root / "latest"), [str(root)], "checkpoint") == folder
    monkeypatch.chdir(root)
    assert find("run 1", ["."], "checkpoint") == folder


@pytest.mark.parametrize(
    "uri",
    [
        "{root}/../other",
        "/etc",
        "{root}x",
        "file:///etc",
        "file:/etc",
        "FILE:///etc",
        "file://{root}/%2e%2e/other",
        "file://elsewhere{root}/run%201",
        "{root}/link",
        "http://example.org/model",
        "https://example.org/model",
        "s3://bucket/model",
        "strange://bucket/model",
        "../other",
        "",
    ],
)
def test_places_outside(root: Path, uri: str) -> None:
    (root / "link").symlink_to(root.parent / "other")
    error = refused(uri.format(root=root), [str(root), "http://example.org", "https://example.org"])
    assert error.reason == "outside_roots"
    assert "STREAKLINE_MODEL_ROOTS" in str(error)
    assert repr(uri.format(root=root)) in str(error)


def test_files_that_lead_out_of_the_roots(root: Path) -> None:
    (root / "run 1" / "layer").mkdir()
    (root / "run 1" / "layer" / "config.json").symlink_to("/etc")
    error = refused(str(root / "run 1"), [str(root)])
    assert error.reason == "outside_roots"
    assert "config.json" in str(error)


def test_an_empty_root_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert refused("run 1", [""]).reason == "outside_roots"


def test_missing(root: Path) -> None:
    error = refused(str(root / "gone"), [str(root)])
    assert error.reason == "missing"
    assert "Save it there" in str(error)
    (root / "loop").symlink_to(root / "loop")
    for strange in ("a\0b", f"file://{root}/%00", f"{root}/{'a' * 300}", f"{root}/loop", "s3://[x"):
        error = refused(strange, [str(root)])
        assert error.reason == "missing"
        assert "Correct the path" in str(error)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for s3://bucket/models; the addresses asked for are in `asked.txt` beside it."""
    folder = tmp_path / "store"
    (folder / "models").mkdir(parents=True)

    def from_uri(uri: str) -> tuple[fs.FileSystem, str]:
        with (tmp_path / "asked.txt").open("a") as file:
            file.write(uri + "\n")
        path = uri.partition("bucket/")[2].partition("?")[0]
        return fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()), path

    class Stub:
        FileSystem = type("FileSystem", (), {"from_uri": staticmethod(from_uri)})

        def __getattr__(self, name: str) -> Any:
            return getattr(fs, name)

    monkeypatch.setattr(remote, "fs", Stub())
    return folder / "models"


def fill(folder: Path) -> Path:
    (folder / "checkpoint-5").mkdir(parents=True)
    for name in (
        "config.json",
        "model.safetensors",
        "tokenizer.model",
        "optimizer.pt",
        "checkpoint-5/model.safetensors",
    ):
        (folder / name).write_text(name)
    return folder


def test_a_folder_is_brought_here_once(bucket: Path, tmp_path: Path) -> None:
    fill(bucket / "run")
    cache = tmp_path / "cache"
    here = find("s3://bucket/models/run", ["s3://bucket/models"], "checkpoint", cache=cache)
    assert sorted(path.name for path in here.iterdir()) == ["config.json", "model.safetensors", "tokenizer.model"]
    assert (here / "config.json").read_text() == "config.json"
    assert find("s3://bucket/models/run", ["s3://bucket/models"], "checkpoint", cache=cache) == here
    (bucket / "run" / "config.json").write_text("changed now")
    changed = find("s3://bucket/models/run", ["s3://bucket/models"], "checkpoint", cache=cache)
    assert changed != here
    assert (changed / "config.json").read_text() == "changed now"
    assert sorted(cache.iterdir()) == sorted([here, changed])


def test_saes_keep_their_folders_and_a_file_its_name(bucket: Path, tmp_path: Path) -> None:
    (bucket / "saes" / "layer_1").mkdir(parents=True)
    (bucket / "saes" / "layer_1" / "ae.pt").write_text("sae")
    (bucket / "probes.jsonl").write_text("{}")
    here = find("s3://bucket/models/saes/", ["s3://bucket"], "SAE", cache=tmp_path / "cache")
    assert (here / "layer_1" / "ae.pt").read_text() == "sae"
    probes = find("s3://bucket/models/probes.jsonl", ["s3://bucket"], "probe set", cache=tmp_path / "cache")
    assert (probes.name, probes.read_text()) == ("probes.jsonl", "{}")


def test_access_is_the_roots_and_is_not_shown(bucket: Path, tmp_path: Path) -> None:
    root = "s3://user:secret@bucket/models?endpoint_override=localhost:9000"
    error = refused("s3://bucket/models/gone", [root], cache=tmp_path / "cache")
    assert error.reason == "missing"
    assert "secret" not in str(error)
    asked = (tmp_path / "asked.txt").read_text()
    assert asked == "s3://user:secret@bucket/models/gone?endpoint_override=localhost:9000\n"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/model",
        "s3://bucket/models-too/run",
        "s3://bucket/models/../other",
        "s3://bucket/models/%2e%2e/other",
        "s3://other/models/run",
        "gs://bucket/models/run",
        "s3://bucket/models/run?endpoint_override=10.0.0.1",
        "s3://me:key@bucket/models/run",
        "s3://bucket/models/run#part",
    ],
)
def test_far_places_outside(bucket: Path, uri: str) -> None:
    assert refused(uri, ["s3://bucket/models"]).reason == "outside_roots"


def test_an_address_that_nothing_reads(tmp_path: Path) -> None:
    error = refused("strange://bucket/run", ["strange://bucket"], cache=tmp_path)
    assert error.reason == "outside_roots"


def test_a_store_that_is_away(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OSError("timed out")

    monkeypatch.setattr("workers.models.remote.fs.FileSystem.from_uri", away)
    error = refused("s3://bucket/models/run", ["s3://bucket"], cache=tmp_path / "cache")
    assert isinstance(error, TransientDiffError)
    assert error.reason == "unavailable"


def test_a_broken_download_leaves_nothing(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bucket / "run")

    def fail(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "rename", fail)
    assert refused("s3://bucket/models/run", ["s3://bucket"], cache=tmp_path / "cache").reason == "unavailable"
    assert list((tmp_path / "cache").iterdir()) == []


def test_too_much_is_not_brought(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bucket / "run")
    monkeypatch.setattr(remote, "MAX_FILES", 1)
    assert "more than are brought here" in str(refused("s3://bucket/models/run", ["s3://bucket"], cache=tmp_path / "c"))
    (bucket / "empty").mkdir()
    assert refused("s3://bucket/models/empty", ["s3://bucket"], cache=tmp_path / "c").reason == "missing"


def test_pyarrow_knows_no_http() -> None:
    with pytest.raises(pa.ArrowInvalid):
        fs.FileSystem.from_uri("strange://bucket/run")


def test_a_full_disk_is_transient(bucket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bucket / "run")
    monkeypatch.setattr("workers.models.remote.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1}))
    error = refused("s3://bucket/models/run", ["s3://bucket"], cache=tmp_path / "cache")
    assert isinstance(error, TransientDiffError)
    assert "Clear that folder" in str(error)
