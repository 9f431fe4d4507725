"""A record as it came from a topic, where what is kept of it lives, and why it may be refused."""

from typing import Literal

from msgspec import Struct

from producers import codec

RefusalReason = codec.Reason | Literal["wrong_key", "failed"]


class RawRecord(Struct, frozen=True):
    """One record of a topic, as it came."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    published_at: float
    """Unix seconds, by its producer's clock or the broker's"""


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
