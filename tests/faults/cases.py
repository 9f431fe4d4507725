"""What the kill matrix is made of: who is hurt, how, in which situation, and what came of it."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings

Who = Literal["stream worker", "diff worker", "archiver", "publisher"]
How = Literal["SIGKILL", "30 SIGKILLs", "SIGTERM", "SIGSTOP", "disk full", "data emptied", "data of another"]
When = Literal["steady load", "catch-up", "rebalance", "recovery"]


class Case(Struct, frozen=True, order=True):
    """One cell of the matrix. The seed decides what is published and when the fault comes."""

    who: Who
    how: How
    when: When
    seed: int

    @property
    def name(self) -> str:
        """As a test's id and a row's title."""
        return f"{self.who}, {self.how}, {self.when}, seed {self.seed}"


class Place(Struct, frozen=True):
    """Where a case happens: a broker with topics that are its own, and a folder."""

    kafka: KafkaSettings
    topics: TopicSettings
    folder: Path


class Figures(Struct, frozen=True, kw_only=True):
    """What came of a case. It is right where everything but `expected` and `duplicates` is 0."""

    expected: int
    """results that an undisturbed pass gives: signals, events in the lake, diffs"""
    missing: int
    extra: int
    """results, by id, that it does not give, or with other content"""
    duplicates: int
    """the same result again: harmless, counted and bounded"""
    wrong_states: int = 0
    """runs whose stored state is not the replay's"""
    half_written: int = 0
    """files that cannot be read whole"""
    lag: int = 0
    """records that are still to be consumed at the end"""
    note: str = ""
    """what else happened"""

    @property
    def is_right(self) -> bool:
        """Nothing lost, nothing twice that counts, nothing left over."""
        return not (self.missing or self.extra or self.wrong_states or self.half_written or self.lag)
