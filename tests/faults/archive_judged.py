"""From a lake to figures: the judge is what is on the archived topics, record by record."""

import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from confluent_kafka import Consumer, TopicPartition
from msgspec import Struct

from producers.codec import MalformedEvent, decode, decode_signal
from producers.events import StepEvent
from producers.kafka import client_config
from producers.reader import read_topic
from producers.topics import archive_group, topic_names
from tests.faults.cases import Figures, Place
from tests.faults.diff_judged import half_written
from tests.faults.judged import compared
from workers.archive.missing import records_missing
from workers.archive.rows import ArchivedEvent, to_events
from workers.lake.ranges import Range, Series, cuts, parse_path, topic_folder
from workers.lake.views import views
from workers.lake.writer import Lake

TABLES = ("run_events", "steps", "signals")
_LAG_SECONDS = 120.0

Source = tuple[str, int, int]
"""topic, partition and offset"""


class _Rows(Struct):
    """What readers take from the files of the archive."""

    counted: list[tuple[Source, ArchivedEvent]]
    covered: int
    """that are in an earlier file as well, of a writer that was late or died before it had committed"""


def judged(place: Place, lake: Path, *, lag: int) -> Figures:
    """What archivers have made of their topics, once all of them have ended. `lag`: see `lag_in_the_end`."""
    names = topic_names(place.topics)
    topics = (names.steps, names.runs, names.signals)
    events = {source: event for topic in topics for source, event in _events(place, topic)}
    rows = [_rows(lake, table, topic) for table in TABLES for topic in topics]
    expected = {source: _content(event) for source, event in events.items()}
    found = compared(expected, [(source, _content(event)) for each in rows for source, event in each.counted])
    steps = {source: b"" for source, event in events.items() if isinstance(event, StepEvent)}
    shown = compared(steps, ((source, b"") for source in _shown_steps(lake)))
    return Figures(
        expected=len(expected),
        missing=found.missing + shown.missing,
        # Of the archive nobody has to take out what is there twice.
        extra=found.extra + found.duplicates + shown.extra + shown.duplicates,
        duplicates=sum(each.covered for each in rows),
        half_written=half_written(lake),
        lag=lag,
    )


def _content(event: ArchivedEvent) -> bytes:
    """Of every field; JSON leaves out those that have their default, where it is the very object."""
    return repr(event).encode()


def _events(place: Place, topic: str) -> Iterator[tuple[Source, ArchivedEvent]]:
    """All that has to be in the lake: whatever is an event, and on the steps topic under its run's key."""
    names = topic_names(place.topics)
    for message in read_topic(place.kafka, topic):
        raw = message.value() or b""
        try:
            event = decode_signal(raw) if topic == names.signals else decode(raw)
        except MalformedEvent:
            continue
        if topic != names.steps or message.key() == event.run_id.encode():
            yield (topic, message.partition() or 0, message.offset() or 0), event


def _rows(lake: Path, table: str, topic: str) -> _Rows:
    files: dict[Series, list[tuple[Range, Path]]] = defaultdict(list)
    for path in (lake / topic_folder(table, topic)).glob("[!.]*.parquet"):
        found = parse_path(str(path), topic)
        assert found is not None, f"{path} is no file of the archive"
        files[found[0]].append((found[1], path))
    rows = _Rows([], 0)
    for series, ranges in files.items():
        for path, after in cuts(ranges):
            for batch in pq.ParquetFile(path).read().to_batches():
                for offset, event in to_events(table, batch):
                    if offset > after:
                        rows.counted.append(((topic, series.partition, offset), event))
                    else:
                        rows.covered += 1
    return rows


def _shown_steps(lake: Path) -> list[Source]:
    """Of every step that people see."""
    with duckdb.connect() as connection:
        connection.execute(views(str(lake)))
        return connection.execute('SELECT topic, partition, "offset" FROM steps').fetchall()


def lag_in_the_end(place: Place, lake: Path) -> int:
    """Wait until all that is on the topics now is committed, and in the lake, which may have been emptied since it was;
    how many records are not when the time is over.
    """
    names = topic_names(place.topics)
    # Not asked for: Tansu gives the start of the last batch.
    ends: dict[tuple[str, int], int] = {}
    for topic in (names.steps, names.runs, names.signals):
        for message in read_topic(place.kafka, topic):
            ends[topic, message.partition() or 0] = (message.offset() or 0) + 1
    asking = Consumer(client_config(place.kafka) | {"group.id": archive_group(place.topics)})
    deadline = time.monotonic() + _LAG_SECONDS
    try:
        while True:
            answer = asking.committed([TopicPartition(*key) for key in ends], timeout=30)
            lag = sum(max(0, ends[each.topic, each.partition] - max(0, each.offset)) for each in answer)
            lag = lag or records_missing(place.kafka, place.topics, Lake(str(lake)))
            if not lag or time.monotonic() > deadline:
                return lag
            time.sleep(0.2)
    finally:
        asking.close()
