"""Probes from a file: all of them, or one sentence about the first thing that is wrong."""

import hashlib
from collections.abc import Iterator
from importlib.resources import as_file, files
from pathlib import Path
from typing import get_args

import msgspec
from msgspec import Struct

from workers.errors import DiffError
from workers.lake.tables import EvalSplit
from workers.probes.probe import Kind, Probe

MAX_FILE_BYTES = 64 << 20
MAX_ROW_BYTES = 1 << 20
MAX_ROWS = 100_000
MAX_PROBLEM = 300
"""characters of what is wrong with a row, which may quote the row"""

_FORM = (
    "a row should be one JSON object with id, category and prompt, and where wanted topic, answer, paraphrases, "
    f"choices, kind ({', '.join(get_args(Kind))}), eval_split ({', '.join(get_args(EvalSplit))}) and scorer"
)
_DECODER = msgspec.json.Decoder(Probe)


class ProbeSet(Struct, frozen=True):
    """Probes in the order of their ids, so that the same set is asked in the same order."""

    probes: tuple[Probe, ...]
    sha: str
    """SHA-256 of the content: neither formatting nor the order of keys or rows matters"""


def read_probes(path: str | Path) -> ProbeSet:
    """The probes of a JSONL file, one a line; blank lines are skipped.

    Raises `DiffError`: "missing" where it cannot be read, "probes_invalid" where it is not what it should be.
    """
    path = Path(path)
    found: dict[str, Probe] = {}
    first_row: dict[str, int] = {}
    for number, line in _rows(path):
        probe = _probe(path, number, line)
        if probe.id in found:
            raise _invalid(
                path, number, f"the id {probe.id!r} is that of row {first_row[probe.id]} and should be its own"
            )
        if len(found) == MAX_ROWS:
            raise _invalid(path, number, f"it is one probe too many, and there should be at most {MAX_ROWS:,}")
        found[probe.id], first_row[probe.id] = probe, number
    if not found:
        raise DiffError("probes_invalid", f"{path} holds no probes; it should have one a line, as JSON.")
    probes = tuple(sorted(found.values(), key=lambda probe: probe.id))
    return ProbeSet(probes=probes, sha=_sha(probes))


def default_probes() -> ProbeSet:
    """Those that ship with Streakline."""
    with as_file(files("workers.probes") / "default.jsonl") as path:
        return read_probes(path)


def _rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number, from 1, and bytes of every line that holds something."""
    read_bytes = 0
    number = 0
    try:
        # Opening a pipe would wait for its other end.
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not a file")
        with path.open("rb") as file:
            while line := file.readline(MAX_ROW_BYTES + 2):
                number += 1
                read_bytes += len(line)
                if read_bytes > MAX_FILE_BYTES:
                    raise DiffError(
                        "probes_invalid", f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; split or shorten it."
                    )
                if len(line.rstrip(b"\r\n")) > MAX_ROW_BYTES:
                    raise _invalid(path, number, f"it is longer than {MAX_ROW_BYTES >> 20} MiB and should be shorter")
                if line.strip():
                    yield number, line
    except OSError as error:
        raise DiffError(
            "missing", f"The probes {path} cannot be read ({error}); name a JSONL file that this worker can read."
        ) from error


def _probe(path: Path, number: int, line: bytes) -> Probe:
    try:
        return _DECODER.decode(line.decode())
    except UnicodeDecodeError as error:
        raise _invalid(path, number, f"byte {error.start} is not UTF-8, and the file should be") from error
    except (msgspec.DecodeError, RecursionError) as error:
        # A probe's own complaint says what it should be; the decoder's does not.
        is_own = isinstance(error.__cause__, ValueError)
        said = str(error)[:MAX_PROBLEM]
        raise _invalid(path, number, said if is_own else f"{said}; {_FORM}") from error


def _invalid(path: Path, number: int, problem: str) -> DiffError:
    return DiffError("probes_invalid", f"{path}, row {number}: {problem}.")


def _sha(probes: tuple[Probe, ...]) -> str:
    return hashlib.sha256(b"\n".join(map(msgspec.json.encode, probes))).hexdigest()
