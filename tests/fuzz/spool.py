"""What a publisher that died left on the disk."""

import shutil
from pathlib import Path

import msgspec

from producers.leftovers import leftovers
from producers.spool.folder import Folder, Owner
from producers.spool.spool import Spool
from tests.fuzz.target import Target, of_file, of_folder

_OWNER = Owner(run_id="run", bootstrap="127.0.0.1:9092", steps="streakline.steps", runs="streakline.runs")


_FURNISHED_RECORDS = 3


def _furnish(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "lock").touch()
    (folder / "owner.json").write_bytes(msgspec.json.encode(_OWNER))
    (folder / "000000000001.events").write_bytes(bytes.fromhex("a50102000000028ebdba7b7d") * _FURNISHED_RECORDS)


def _deliver(path: Path) -> None:
    """Adopt the folder, take what is in it, and acknowledge it, as an heir does; the folder is gone after that."""
    raw = path.read_bytes()
    _furnish(path.parent)
    path.write_bytes(raw)
    folder = Folder.adopt(path.parent)
    assert folder is not None
    spool = Spool(folder, max_bytes=0)
    try:
        count = 0
        while (spooled := spool.read()) is not None:
            count += 1
            assert count <= len(raw) + _FURNISHED_RECORDS, "there are more records than bytes"
            spool.acknowledge(spooled.end)
    finally:
        spool.close()
        shutil.rmtree(path.parent, ignore_errors=True)


def _list(root: Path) -> None:
    problems: list[str] = []
    found = leftovers(root.parent, on_problem=problems.append)
    assert len(found) + len(problems) == 1


TARGETS = (
    Target(name="spool_events", decode=of_file("folder/000000000001.events", _deliver), allowed=(ValueError, OSError)),
    Target(name="spool_acknowledged", decode=of_file("folder/acknowledged", _deliver), allowed=(ValueError, OSError)),
    Target(name="spool_owner", decode=of_folder("folder/owner.json", _list)),
)
