"""What is stored of one project: the scores of the checkpoints of its latest runs."""

import msgspec
from msgspec import Struct

from stream_app.versions import Reader, UnreadableRecord, Upgrade, latest_version

UPGRADES: tuple[Upgrade, ...] = ()
VERSION = latest_version(UPGRADES)


class Scored(Struct, frozen=True, array_like=True, gc=False):
    """What a checkpoint scores in one category."""

    score: float
    n: int
    standard_error: float

    @property
    def basis_points(self) -> int:
        """The score in hundredths of a percentage point: in floats 0.75 - 0.70 is more than 0.05."""
        return round(self.score * 10_000)


class ScoredRun(Struct, frozen=True, array_like=True):
    """One attempt of one run that completed, by the latest diff of its checkpoint."""

    ts: float
    """Unix seconds at which it completed"""
    run_id: str
    attempt: int
    diff_id: str
    superseded: tuple[str, ...]
    """earlier diffs of the same checkpoint, should they come again"""
    base_sha: str
    probes_sha: str
    scores: dict[str, Scored]
    """by category"""


class ProjectHistory(Struct, frozen=True, array_like=True):
    """One project, as its table and the table's changelog hold it."""

    version: int = VERSION
    runs: tuple[ScoredRun, ...] = ()
    """in order of completion, the latest last"""
    revision: int = 0
    """how many diffs have changed it"""


_encoder = msgspec.msgpack.Encoder()
_histories = Reader(ProjectHistory, "history of a project", UPGRADES)


def encode_history(history: ProjectHistory) -> bytes:
    """`history` as MessagePack."""
    return _encoder.encode(history)


def decode_history(raw: bytes) -> ProjectHistory:
    """The history that `encode_history` wrote, of this release or an earlier one; raises `UnreadableRecord`."""
    return _histories.read(raw)


def is_behind(raw: bytes, other: bytes) -> bool:
    """Whether fewer diffs are behind the one history than behind the other."""
    try:
        return decode_history(raw).revision < decode_history(other).revision
    except UnreadableRecord:
        return False
