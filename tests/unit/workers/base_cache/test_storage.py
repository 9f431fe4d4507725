"""What is kept is whole, what was asked for, and the bytes that were written; or it is not used."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.workers.base_cache.damages import DAMAGED, KEY, OTHER, Damage
from tests.unit.workers.base_cache.measurements import bits, contents, folder, measurement
from workers.base_cache.storage import DamagedEntry, delete, read, read_entry, sizes, write
from workers.lake.durable import unconfirmed
from workers.lake.writer import Lake


class MemoryLake(Lake):
    """Remembers in which order it was written."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def write_bytes(self, relative_path: str, data: bytes, confirm: Callable[[], None] = unconfirmed) -> str:
        self.held[relative_path] = data
        return relative_path

    def read_bytes(self, relative_path: str) -> bytes | None:
        return self.held.get(relative_path)


def test_it_says_in_clear_what_it_is_of(tmp_path: Path) -> None:
    size = write(Lake(str(tmp_path)), KEY, measurement())
    place = folder(tmp_path, KEY)
    entry = json.loads((place / "entry.json").read_bytes())
    assert entry["key"] == {
        "base_sha": "aa",
        "tokenizer_sha": "bb",
        "probes_sha": "cc",
        "sae_shas": ["dd", "ee"],
        "dtype": "float32",
        "device": "cpu",
        "tokens_per_batch": 4096,
        "code_version": "0.1.0",
    }
    names = {f"{part}-{file['sha256'][:16]}.parquet": file["size"] for part, file in entry["files"].items()}
    assert names == {path.name: path.stat().st_size for path in place.glob("*.parquet")}
    assert entry["bytes"] == sum(names.values()) == size
    assert set(contents(place)) == {*names, "entry.json"}


def test_it_is_read_back(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert read(lake, KEY) is None
    size = write(lake, KEY, measurement())
    write(lake, OTHER, measurement(seed=1))
    stored = read(lake, KEY)
    assert stored is not None
    assert (bits(stored.measurement), stored.bytes) == (bits(measurement()), size)


def test_the_same_measurement_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(Lake(str(tmp_path / name)), KEY, measurement())
    assert contents(folder(tmp_path / "a", KEY)) == contents(folder(tmp_path / "b", KEY))


def test_another_storage_keeps_it_too() -> None:
    lake = Lake("mock:///lake")
    write(lake, KEY, measurement())
    stored = read(lake, KEY)
    assert stored is not None
    assert bits(stored.measurement) == bits(measurement())
    assert list(sizes(lake)) == [KEY.digest]
    delete(lake, KEY.digest)
    assert read(lake, KEY) is None
    assert sizes(lake) == {}


@DAMAGED
def test_what_is_damaged_is_not_used(tmp_path: Path, damage: Damage) -> None:
    lake = Lake(str(tmp_path))
    write(lake, KEY, measurement())
    write(lake, OTHER, measurement(seed=1))
    before = contents(folder(tmp_path, KEY))
    damage(folder(tmp_path, KEY), folder(tmp_path, OTHER))
    with pytest.raises(DamagedEntry):
        read(lake, KEY)
    write(lake, KEY, measurement())
    stored = read(lake, KEY)
    assert stored is not None
    assert bits(stored.measurement) == bits(measurement())
    assert before.items() <= contents(folder(tmp_path, KEY)).items()
    other = read(lake, OTHER)
    assert other is not None
    assert bits(other.measurement) == bits(measurement(seed=1))


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_no_byte_of_the_entry_can_change_what_is_read(mask: int) -> None:
    lake = MemoryLake()
    write(lake, KEY, measurement())
    (path,) = (path for path in lake.held if path.endswith("entry.json"))
    whole = lake.held[path]
    for at in range(len(whole)):
        lake.held[path] = whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :]
        try:
            stored = read(lake, KEY)
        except DamagedEntry:
            continue
        assert stored is not None
        assert bits(stored.measurement) == bits(measurement())


def test_two_writers_at_once_never_give_a_mixture() -> None:
    """Whichever way their writes fall, and wherever one of them dies."""
    steps = []
    for seed in range(2):
        lake = MemoryLake()
        write(lake, KEY, measurement(seed))
        steps.append(list(lake.held.items()))
    whole = {bits(measurement(seed)) for seed in range(2)}
    for firsts in itertools.combinations(range(8), 4):
        lake = MemoryLake()
        left = [list(own) for own in steps]
        for at in range(8):
            lake.write_bytes(*left[at not in firsts].pop(0))
            stored = read(lake, KEY)
            wrote = any(not own for own in left)
            assert (stored is not None) == wrote
            assert stored is None or bits(stored.measurement) in whole


def test_the_files_are_there_before_the_entry_that_names_them() -> None:
    lake = MemoryLake()
    write(lake, KEY, measurement())
    assert [path.rpartition("/")[2] == "entry.json" for path in lake.held] == [False, False, False, True]


def test_what_lies_beside_the_entries_is_none(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    assert sizes(lake) == {}
    write(lake, KEY, measurement())
    root = tmp_path / "base_cache" / "v=1"
    for name in ("notes.txt", f"{KEY.digest}x/entry.json", "F" * 32 + "/entry.json", "sub/" + "0" * 32 + "/x"):
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_text("{}")
    place = folder(tmp_path, KEY)
    assert sizes(lake) == {KEY.digest: sum(len(data) for data in contents(place).values())}
    delete(lake, KEY.digest)
    assert not place.exists()
    assert read_entry(lake, KEY.digest) is None
    delete(lake, KEY.digest)
