"""What a release leaves behind, as files: ``python -m tests.stored_release tests/fixtures/v0.1``.

Run once a release, before its version is raised, into a folder of its own; `tests/integration/test_older_release.py`
has today's code go on with each. Nothing of a folder that is there is ever changed: that would be another release's.
"""

import base64
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from producers.codec import encode
from producers.events import RunCompleted, RunFailed, TrainerEvent
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.reader import read_topic
from producers.spool.settings import SpoolSettings
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.broker import running_broker
from stream_app.histories import decode_history
from stream_app.records import decode_record
from tests.asked_lake import RUNS, write_archive, write_diff
from tests.publishing import publish, publish_to
from tests.scored import scored_diff
from tests.worker import running_worker
from tests.workload import Published, fleet
from workers.lake.session import Session
from workers.lake.writer import Lake

STORED = Path(__file__).parent / "fixtures"
PARTITIONS = 4
AWAY = "127.0.0.1:1"
"""the broker that the spool is for: nobody listens there"""


class StoredRow(Struct, frozen=True):
    """A row of a table's changelog."""

    partition: int
    key: str
    value: str
    """base64"""
    reads: msgspec.Raw
    """what it says, as JSON"""


class LakeRows(Struct, frozen=True):
    """What its lake says in one table."""

    table: str
    columns: list[str]
    rows: list[list[str]]


class Stored(Struct, frozen=True):
    """A release's folder."""

    folder: Path

    @property
    def steps_before(self) -> list[Published]:
        """What its worker has judged."""
        return self._events("steps-before", "run_id")

    @property
    def steps_after(self) -> list[Published]:
        """How the same runs went on."""
        return self._events("steps-after", "run_id")

    @property
    def diffs(self) -> list[Published]:
        """The first of which it has judged."""
        return self._events("diffs", "project")

    def signals(self, name: str) -> set[bytes]:
        """Those of `before` and `after`, as that release judged both."""
        return set(self._lines(f"signals-{name}"))

    def changelog(self, table: str) -> list[StoredRow]:
        """Of the runs or the projects, when it had judged what was before."""
        return [msgspec.json.decode(line, type=StoredRow) for line in self._lines(f"{table}-changelog")]

    @property
    def lake_rows(self) -> list[LakeRows]:
        """Of every table."""
        return [msgspec.json.decode(line, type=LakeRows) for line in self._lines("lake-rows")]

    def _events(self, name: str, key: str) -> list[Published]:
        return [Published(msgspec.json.decode(line)[key].encode(), line) for line in self._lines(name)]

    def _lines(self, name: str) -> list[bytes]:
        return (self.folder / f"{name}.jsonl").read_bytes().splitlines()


RELEASES = [Stored(path) for path in sorted(STORED.iterdir()) if path.is_dir()]


def _keyed(events: Iterable[TrainerEvent]) -> list[Published]:
    return [Published(event.run_id.encode(), encode(event)) for event in events]


def _changelog(kafka: KafkaSettings, topic: str, read: object) -> list[bytes]:
    assert callable(read)
    last = {message.key(): message for message in read_topic(kafka, topic)}
    rows = [
        StoredRow(
            partition=message.partition() or 0,
            key=(key or b"").decode(),
            value=base64.b64encode(message.value() or b"").decode(),
            reads=msgspec.Raw(encode(read(message.value() or b""))),
        )
        for key, message in last.items()
    ]
    return [msgspec.json.encode(row) for row in sorted(rows, key=lambda row: row.key)]


def _values(kafka: KafkaSettings, topic: str) -> list[bytes]:
    return sorted({message.value() or b"" for message in read_topic(kafka, topic)})


def _write_topics(folder: Path) -> None:
    def keep(name: str, lines: Sequence[bytes]) -> None:
        (folder / f"{name}.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))

    steps = list(fleet(runs=7, steps=50, layers=2))
    ends: list[TrainerEvent] = [
        RunCompleted(run_id="fleet/run-0000", ts=1e9 + 50, steps=50, base_model="base", checkpoint="checkpoint"),
        RunFailed(run_id="fleet/run-0001", ts=1e9 + 50, error="CUDA out of memory"),
    ]
    before, after = steps[: len(steps) // 2], [*steps[len(steps) // 2 :], *_keyed(ends)]
    diffs = [
        Published(b"assistant", encode(scored_diff(f"r{at}", project="assistant", ts=at, score=0.9 - at / 5)))
        for at in (1.0, 2.0)
    ]
    with running_broker() as bootstrap, tempfile.TemporaryDirectory() as data:
        kafka, topics = KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings(partitions=PARTITIONS)
        names = topic_names(topics)
        ensure_topics(kafka, topics)
        with running_worker(kafka, topics, Path(data) / "data") as worker:
            publish_to(kafka, names.diffs, diffs[:1])
            worker.wait_for_events(publish(kafka, topics, before))
            while not (projects := _changelog(kafka, names.projects_changelog, decode_history)):
                pass
            keep("projects-changelog", projects)
            keep("runs-changelog", _changelog(kafka, names.state_changelog, decode_record))
            signals = _values(kafka, names.signals)
            keep("signals-before", signals)
            publish_to(kafka, names.diffs, diffs[1:])
            worker.wait_for_events(len(before) + publish(kafka, topics, after))
            while not any(b"category_regressed" in value for value in _values(kafka, names.signals)):
                pass
            keep("signals-after", sorted({*_values(kafka, names.signals)} - {*signals}))
    keep("steps-before", [record.value for record in before])
    keep("steps-after", [record.value for record in after])
    keep("diffs", [record.value for record in diffs])


def _write_spool(folder: Path) -> None:
    """As a trainer leaves it whose broker was never there."""
    publisher = StepPublisher(
        run_id="spooled",
        project="assistant",
        attempt=1,
        kafka=KafkaSettings(kafka_bootstrap=AWAY),
        topics=TopicSettings(),
        spool=SpoolSettings(spool_dir=str(folder), spool_min_free_bytes=0),
        close_timeout_seconds=0.5,
    )
    for step in range(20):
        publisher.step(step, 1.0 / (1 + step), grad_norms={"layers.0.mlp": 0.5})
    publisher.complete()
    publisher.close()


def _write_lake(folder: Path) -> None:
    root = folder / "lake"
    lake = Lake(str(root))
    for run in (each for each in RUNS if each.name == "sft-1" or each.prior is not None):
        write_diff(lake, run)
    write_archive(lake)
    with Session(str(root)) as session:
        tables = session.tables()
        columns = {table: session.ask(f"SELECT * FROM {quoted_name(table)}").columns for table in tables}
        asked = [rows_of(session, table, [column.name for column in columns[table]]) for table in tables]
    (folder / "lake-rows.jsonl").write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in asked))


def rows_of(session: Session, table: str, columns: Sequence[str]) -> LakeRows:
    """What a lake says in these columns."""
    names = ", ".join(map(quoted_name, columns))
    rows = session.ask(f"SELECT {names} FROM {quoted_name(table)} ORDER BY ALL").rows
    return LakeRows(table, list(columns), [[str(value) for value in row] for row in rows])


def quoted_name(name: str) -> str:
    """For SQL: offset is a word of it."""
    return f'"{name}"'


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True)
    os.environ["STREAKLINE_SPOOL_DIR"] = tempfile.mkdtemp()
    _write_topics(folder)
    _write_spool(folder / "spool")
    _write_lake(folder)


if __name__ == "__main__":
    main()
