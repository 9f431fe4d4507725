"""What came of each case, kept in a file as soon as it is known: rounds of hours may be interrupted and resumed."""

from pathlib import Path

import msgspec

from tests.faults.table import Played


def kept(path: Path | None) -> list[Played]:
    """What the file holds, right or not; nothing where there is none yet."""
    if path is None or not path.exists():
        return []
    return [msgspec.json.decode(line, type=Played) for line in path.read_bytes().splitlines()]


def keep(path: Path | None, played: Played) -> None:
    """Add it to the file, if there is to be one."""
    if path is not None:
        with path.open("ab") as file:
            file.write(msgspec.json.encode(played) + b"\n")
