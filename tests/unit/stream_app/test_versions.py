"""What an earlier release stored is read by a later one, with one function for each version in between."""

import msgspec
import pytest
from msgspec import Struct

from stream_app.engine.state import RunState
from stream_app.records import RunRecord, decode_record, encode_record
from stream_app.versions import Fields, Reader, UnreadableRecord, latest_version


class First(Struct, frozen=True, array_like=True):
    """As a first release stores it."""

    version: int
    name: str
    seconds: float


class Second(Struct, frozen=True, array_like=True):
    """Of other fields in another order: nothing of it can be read as the first."""

    version: int
    milliseconds: int
    name: str


class Third(Struct, frozen=True, array_like=True):
    """With one more, without which it may be read as the second."""

    version: int
    milliseconds: int
    name: str
    labels: tuple[str, ...]


class ThirdsHead(Struct, frozen=True, array_like=True):
    """The first fields of the third."""

    version: int
    milliseconds: int


def to_second(fields: Fields) -> Fields:
    name, seconds = fields
    return [round(seconds * 1000), name]


def to_third(fields: Fields) -> Fields:
    return [*fields, []]


UPGRADES = (to_second, to_third)
STORED = [First(1, "a", 1.5), Second(2, 1500, "a"), Third(3, 1500, "a", ())]


@pytest.mark.parametrize("stored", STORED)
def test_every_version_is_read_as_the_last(stored: Struct) -> None:
    raw = msgspec.msgpack.encode(stored)
    assert Reader(Third, "thing", UPGRADES).read(raw) == STORED[2]
    assert Reader(ThirdsHead, "thing", UPGRADES).read(raw) == ThirdsHead(3, 1500)


@pytest.mark.parametrize("stored", STORED[1:])
def test_a_later_version_is_refused_by_name_whatever_its_fields_are(stored: Struct) -> None:
    version = STORED.index(stored) + 1
    sentence = rf"the stored thing is of version {version}, this release reads 1 at most: run the release that wrote it"
    with pytest.raises(UnreadableRecord, match=sentence):
        Reader(First, "thing", ()).read(msgspec.msgpack.encode(stored))


def test_a_later_version_that_looks_like_ours_is_refused() -> None:
    with pytest.raises(UnreadableRecord, match="of version 3, this release reads 2 at most"):
        Reader(Second, "thing", (to_second,)).read(msgspec.msgpack.encode(STORED[2]))


@pytest.mark.parametrize(
    "fields", [[1], [1, "a"], [1, "a", "b"], [1, "a", 1.0, 2.0], [0, "a", 1.0], [-1, "a", 1.0], ["a"], 3]
)
def test_what_is_no_record_of_any_version_is_unreadable(fields: object) -> None:
    with pytest.raises(UnreadableRecord, match="the stored thing cannot be read"):
        Reader(Third, "thing", UPGRADES).read(msgspec.msgpack.encode(fields))


def test_a_record_of_today_is_read_by_a_release_that_stores_more() -> None:
    class NextRecord(RunRecord, frozen=True, array_like=True):
        labels: dict[str, str] | None = None

    def with_labels(fields: Fields) -> Fields:
        return [*fields, {"team": fields[0][3]}]

    today = decode_record(encode_record(RunRecord(1, RunState(project="assistant"), 12.5)))
    read = Reader(NextRecord, "state of a run", (with_labels,)).read(encode_record(today))
    assert (read.version, read.state, read.seen_at, read.labels) == (2, today.state, 12.5, {"team": "assistant"})
    assert latest_version((with_labels,)) == 2
