"""What a format's reader gives: numbers by name and step, and an account of what it left out."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, Protocol

from msgspec import Struct

OnRead = Callable[[int], None]
"""is told the bytes of each read"""

_KEPT_NAMES = 8

Why = Literal["no_step", "no_number", "damaged", "lost", "cut_off", "no_loss", "too_large", "histogram"]

WRONG: frozenset[Why] = frozenset({"no_step", "no_number", "damaged", "lost", "cut_off"})
"""these say that something is wrong with the file; the others are simply no steps"""


class UnreadableRecording(ValueError):
    """A file that holds no steps that could be read. The message says why and what to do, in a sentence about "it"."""


class Reading(Struct, frozen=True, gc=False):
    """Numbers that were recorded together."""

    step: int
    values: Mapping[str, float]
    """by the name the file gives them; non-finite ones included"""
    ts: float | None = None
    """Unix seconds, as the file has it"""
    run: str = ""
    """the name the file gives the run; empty where it holds one run"""
    part: int = 0
    """which of several files, in their order"""


class LeftOut:
    """What one pass over a source did not make a reading of."""

    def __init__(self) -> None:
        self.counts: Counter[Why] = Counter()
        self.unused: dict[str, None] = {}
        """a few names that mean nothing here, in the order they were met"""

    def add(self, why: Why) -> None:
        """Count one row, value or record."""
        self.counts[why] += 1

    def add_name(self, name: str) -> None:
        """Keep a name that is not used, while there are few."""
        if len(self.unused) < _KEPT_NAMES:
            self.unused[name] = None


class Source(Protocol):
    """A recording of one format. It can be read as often as wanted, and gives the same each time."""

    @property
    def kind(self) -> str:
        """What it is, as a noun for people."""

    @property
    def caveats(self) -> tuple[str, ...]:
        """What its format may lack without showing it: nouns for people."""

    def readings(self, left_out: LeftOut, on_read: OnRead) -> Iterator[Reading]:
        """Everything recorded, in its order. Raises `UnreadableRecording` and OSError."""


class Restarts(Struct):
    """Tells attempts apart: a step that goes back begins the next one.

    A step that comes again does so too where another file begins with it, as that of a run resumed from there;
    in the same file it is a repetition.

    >>> restarts = Restarts()
    >>> [restarts.attempt_of(step, part=0) for step in (1, 2, 2, 3, 2, 3)], restarts.attempt_of(3, part=1)
    ([0, 0, 0, 0, 1, 1], 2)
    """

    attempt: int = 0
    last_step: int = -1
    last_part: int = 0

    def attempt_of(self, step: int, part: int) -> int:
        """The attempt that `step`, the next one recorded, belongs to."""
        if step < self.last_step or (step == self.last_step and part != self.last_part):
            self.attempt += 1
        self.last_step, self.last_part = step, part
        return self.attempt
