"""Files of the archive: each holds one range of offsets of one partition, and its name says which.

``<table>/v=1/topic=<topic>/<topic>-<partition>-<generation>-<first>-<last>.parquet``. The generation is the topic's id
on its broker: a topic that is deleted and made anew under the same name is another one, whose offsets begin at 0 again.

Ranges may overlap: a writer that stood still wakes up and writes what another has written meanwhile. Of the files that
hold an offset, the first in the order of `cuts` is the one that counts, so that each row counts once.
"""

import re
from collections.abc import Iterable, Iterator
from typing import TypeVar

from msgspec import Struct

from workers.lake.paths import VERSION, encoded

TOPIC_FOLDERS = "topic=*"
_DIGITS = 20
"""of an offset: names sort as numbers do"""
SERIES_AND_RANGE = rf"^(.*)-(\d{{{_DIGITS}}})-(\d{{{_DIGITS}}})\.parquet$"
"""of a file's path; what comes before the range is the same for all files of a series"""


class Series(Struct, frozen=True, order=True):
    """One partition of one topic, as long as the topic lives."""

    topic: str
    partition: int
    generation: str
    """hexadecimal digits"""


class Range(Struct, frozen=True, order=True):
    """Offsets of a series, both ends included. That no record has some of them does not matter."""

    first: int
    last: int


Key = TypeVar("Key")


def topic_folder(table: str, topic: str) -> str:
    """Folder, relative to the root, of all files of `topic` in `table`."""
    return f"{table}/{VERSION}/topic={encoded(topic)}"


def range_path(table: str, series: Series, held: Range) -> str:
    """Path, relative to the root, of the file of that range: the same range has the same file, whoever writes it.

    >>> range_path("steps", Series("t", 3, "0a"), Range(7, 12))
    'steps/v=1/topic=t/t-3-0a-00000000000000000007-00000000000000000012.parquet'
    """
    name = f"{encoded(series.topic)}-{series.partition}-{series.generation}"
    return f"{topic_folder(table, series.topic)}/{range_name(name, held)}"


def range_name(series: str, held: Range) -> str:
    """Name of the file of that range, where those of its series begin with `series`."""
    return f"{series}-{held.first:0{_DIGITS}}-{held.last:0{_DIGITS}}.parquet"


def split_name(name: str) -> tuple[str, Range] | None:
    """What `range_name` made `name` of; None for any other file.

    >>> split_name(range_name("t-3-0a", Range(7, 12)))
    ('t-3-0a', Range(first=7, last=12))
    """
    match = re.match(SERIES_AND_RANGE, name)
    return (match[1], Range(int(match[2]), int(match[3]))) if match else None


def parse_path(path: str, topic: str) -> tuple[Series, Range] | None:
    """What `range_path` made `path` of; None for any other file."""
    found = split_name(path.rpartition("/")[2])
    own = re.match(rf"^{re.escape(encoded(topic))}-(\d+)-([0-9a-f]+)$", found[0]) if found else None
    return None if found is None or own is None else (Series(topic, int(own[1]), own[2]), found[1])


def ranges_of(paths: Iterable[str], topic: str) -> list[tuple[Series, Range]]:
    """What `parse_path` says of each of `paths` that is a file of `topic`."""
    return [found for path in paths if (found := parse_path(path, topic)) is not None]


def first_missing(ranges: Iterable[Range], start: int) -> int:
    """The first offset from `start` on that none of `ranges` holds.

    >>> first_missing([Range(0, 9), Range(5, 14), Range(20, 29)], 3)
    15
    """
    for held in sorted(ranges):
        if held.first > start:
            break
        start = max(start, held.last + 1)
    return start


def joined(ranges: Iterable[Range]) -> list[Range]:
    """The same offsets in as few ranges as can be, in order.

    >>> joined([Range(5, 14), Range(20, 29), Range(0, 9), Range(15, 15)])
    [Range(first=0, last=15), Range(first=20, last=29)]
    """
    found: list[Range] = []
    for held in sorted(ranges):
        if found and held.first <= found[-1].last + 1:
            before = found.pop()
            found.append(Range(before.first, max(before.last, held.last)))
        else:
            found.append(held)
    return found


def cuts(ranges: Iterable[tuple[Range, Key]]) -> Iterator[tuple[Key, int]]:
    """The keys of a series' ranges, in order, each with the offset after which its rows count; none of some counts.

    An offset that several hold counts in the first of them alone: those before that one end before it, those behind
    are cut off. What counts of each begins where what counts of those before it has ended.

    >>> list(cuts([(Range(5, 14), "b"), (Range(0, 9), "a"), (Range(2, 3), "c")]))
    [('a', -1), ('c', 9), ('b', 9)]
    """
    after = -1
    for held, key in sorted(ranges, key=lambda each: (each[0].first, -each[0].last)):
        yield key, after
        after = max(after, held.last)
