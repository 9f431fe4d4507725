"""Everything that may happen to the files of a kept measurement."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.workers.base_cache.measurements import contents, key

KEY = key()
OTHER = key(base_sha="ff")
PARTS = ("behaviour", "answers", "layers")

Damage = Callable[[Path, Path], None]
"""of the folder, by one of another key"""


def part_in(place: Path, part: str) -> Path:
    (path,) = place.glob(f"{part}-*.parquet")
    return path


def cut(name: str, length: int) -> Damage:
    def damage(place: Path, _: Path) -> None:
        path = place / "entry.json" if name == "entry" else part_in(place, name)
        path.write_bytes(path.read_bytes()[:length])

    return damage


def flip(part: str, at: float) -> Damage:
    def damage(place: Path, _: Path) -> None:
        data = bytearray((path := part_in(place, part)).read_bytes())
        data[int(at * (len(data) - 1))] ^= 1
        path.write_bytes(data)

    return damage


def lengthen(part: str) -> Damage:
    def damage(place: Path, _: Path) -> None:
        with part_in(place, part).open("ab") as file:
            file.write(b"\0")

    return damage


def drop(part: str) -> Damage:
    return lambda place, _: part_in(place, part).unlink()


def take_over(part: str) -> Damage:
    """The other key's file, under this one's name."""

    def damage(place: Path, other: Path) -> None:
        part_in(place, part).write_bytes(part_in(other, part).read_bytes())

    return damage


def exchange(one: str, two: str) -> Damage:
    def damage(place: Path, _: Path) -> None:
        paths = part_in(place, one), part_in(place, two)
        first, second = (path.read_bytes() for path in paths)
        paths[0].write_bytes(second)
        paths[1].write_bytes(first)

    return damage


def everything_of_the_other(place: Path, other: Path) -> None:
    for name, data in contents(other).items():
        (place / name).write_bytes(data)


def the_others_entry(place: Path, other: Path) -> None:
    (place / "entry.json").write_bytes((other / "entry.json").read_bytes())


def entry_of(data: bytes) -> Damage:
    def damage(place: Path, _: Path) -> None:
        (place / "entry.json").write_bytes(data)

    return damage


def entry_with(**changes: object) -> Damage:
    def damage(place: Path, _: Path) -> None:
        entry = json.loads((path := place / "entry.json").read_bytes())
        path.write_text(json.dumps(entry | changes))

    return damage


def key_with(**changes: object) -> Damage:
    return entry_with(key={**msgspec.structs.asdict(KEY), **changes})


def leaves_out(part: str) -> Damage:
    """With a total that fits what is left."""

    def damage(place: Path, _: Path) -> None:
        entry = json.loads((path := place / "entry.json").read_bytes())
        entry["bytes"] -= entry["files"].pop(part)["size"]
        path.write_text(json.dumps(entry))

    return damage


def leads_elsewhere(place: Path, _: Path) -> None:
    entry = json.loads((path := place / "entry.json").read_bytes())
    entry["files"]["layers"]["sha256"] = "../../../../../../etc/passwd".ljust(64, "0")
    path.write_text(json.dumps(entry))


DAMAGES = {
    **{f"{name} cut to {length}": cut(name, length) for name in (*PARTS, "entry") for length in (0, 1, 100, -1)},
    **{f"{part} flipped at {at}": flip(part, at) for part in PARTS for at in (0, 0.3, 0.6, 1)},
    **{f"{part} lengthened": lengthen(part) for part in PARTS},
    **{f"{part} missing": drop(part) for part in PARTS},
    **{f"{part} of another key": take_over(part) for part in PARTS},
    **{f"without {part}": leaves_out(part) for part in PARTS},
    "two files exchanged": exchange("behaviour", "answers"),
    "all of another key": everything_of_the_other,
    "entry of another key": the_others_entry,
    "entry of another version": entry_with(format=2),
    "entry of another size": entry_with(bytes=1),
    "entry of other code": key_with(code_version="0.1.1"),
    "entry of other SAEs": key_with(sae_shas=["ee", "dd"]),
    "a path for a digest": leads_elsewhere,
    **{
        f"entry {data[:12]!r}": entry_of(data)
        for data in (
            b"{}",
            b"null",
            b"[]",
            b"\xff\xfe\0",
            b"\0" * 4096,
            b'{"format":' * 3000,
            b'{"x":' + b"[" * 100_000,
        )
    },
}
DAMAGED = pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
