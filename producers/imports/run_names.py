"""Run ids from the names of files, folders and runs."""

import re
from collections.abc import Iterable
from pathlib import Path

MAX_LENGTH = 128

_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:/@-]+")
_CHECKPOINT = re.compile(r"checkpoint-\d+")

# A file of such a name says nothing: its folder does.
_COMMON_STEMS = {"trainer_state", "metrics", "history", "progress", "log", "logs"}


def run_id_of(path: Path) -> str:
    """A run id from where a recording lies: the file's name or, where that is the same in every run, the folder's.

    >>> run_id_of(Path("/runs/sft 7/checkpoint-500/trainer_state.json")), run_id_of(Path("/runs/lr=1e-3.csv"))
    ('sft-7', 'lr-1e-3')
    >>> run_id_of(Path("/runs/sft-7/events.out.tfevents.1700000000.host.1.0"))
    'sft-7'
    """
    path = path.resolve()
    if path.is_dir():
        return run_id(path.name)
    if path.stem in _COMMON_STEMS or ".tfevents." in path.name:
        folder = path.parent
        return run_id(folder.parent.name if _CHECKPOINT.fullmatch(folder.name) else folder.name)
    return run_id(path.stem)


def run_id(name: str) -> str:
    """`name` as a run id: other characters become a hyphen.

    >>> run_id("sunny fire (2)"), run_id("火")
    ('sunny-fire-2', 'run')
    """
    return _NOT_ALLOWED.sub("-", name).strip("-")[:MAX_LENGTH] or "run"


def run_ids(base: str, names: Iterable[str]) -> dict[str, str]:
    """A run id for each of `names`, all different; `base` for the empty one.

    >>> run_ids("file", ["", "a b", "a-b"])
    {'': 'file', 'a b': 'a-b', 'a-b': 'a-b-2'}
    """
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        wanted = run_id(name) if name else base
        found, number = wanted, 2
        while found in taken:
            suffix = f"-{number}"
            found, number = wanted[: MAX_LENGTH - len(suffix)] + suffix, number + 1
        taken.add(found)
        ids[name] = found
    return ids
