"""A record as it came from a topic, where what is kept of it lives, and why it may be refused."""

from typing import Literal, Self

from msgspec import Struct

from producers import codec
from producers.dead_letters import LetterId

BatchReason = Literal["batch_too_large", "batch_damaged"]
RefusalReason = codec.Reason | BatchReason | Literal["wrong_key", "failed"]


class RefusedBatch(bytes):
    """A batch as its producer sent it, none of whose records from `first_offset` on can be read.

    It stands in the value's place of a record at its last offset. No producer can make one: it is told by its type.
    """

    reason: BatchReason
    detail: str
    first_offset: int

    def __new__(cls, raw: bytes | memoryview, reason: BatchReason, detail: str, first_offset: int) -> Self:
        """With its header, still compressed."""
        made = super().__new__(cls, raw)
        made.reason, made.detail, made.first_offset = reason, detail, first_offset
        return made


class RawRecord(Struct, frozen=True):
    """One record of a topic, as it came."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    published_at: float
    """Unix seconds, by its producer's clock or the broker's"""
    requeued_from: LetterId | None = None
    """the dead letter that it was, where somebody requeued it"""


class RowKey(Struct, frozen=True):
    """Where a row of a table lives: a table is split as its topic is, by the same keys."""

    partition: int
    name: bytes
    """the run's or the project's"""


class Refusal(Struct, frozen=True):
    """A record that goes to the dead letters, and why."""

    record: RawRecord
    reason: RefusalReason
    detail: str
