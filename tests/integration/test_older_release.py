"""What earlier releases left behind is gone on with as if this one had left it."""

import base64
import shutil
from pathlib import Path

import msgspec
import pytest

from producers.codec import decode, encode
from producers.events import RunCompleted, RunStarted
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, ensure_topics, topic_names
from stream_app.histories import decode_history
from stream_app.records import decode_record
from stream_app.settings import StreamSettings
from tests.commands import settings_environ, streakline
from tests.publishing import publish, publish_to, signals_on
from tests.stored_release import AWAY, PARTITIONS, RELEASES, Stored, rows_of
from tests.worker import running_worker, wait_until
from tests.workload import Published
from workers.lake.session import Session

each_release = pytest.mark.parametrize("stored", [pytest.param(each, id=each.folder.name) for each in RELEASES])

# They were stored long ago, and would be taken for runs that fell silent.
FOREVER = StreamSettings(abandoned_run_seconds=1e10, finished_run_seconds=1e10)


def _says_as_much(says: object, said: object) -> bool:
    """Whether it is the same but for fields that came since, last in a record and empty."""
    if isinstance(says, list) and isinstance(said, list):
        kept, new = says[: len(said)], says[len(said) :]
        return len(kept) == len(said) and not any(new) and all(map(_says_as_much, kept, said))
    return msgspec.json.encode(says) == msgspec.json.encode(said)


@each_release
def test_its_rows_say_what_they_said(stored: Stored) -> None:
    for table, read in (("runs", decode_record), ("projects", decode_history)):
        rows = stored.changelog(table)
        assert rows
        for row in rows:
            said, says = (msgspec.json.decode(each) for each in (row.reads, encode(read(base64.b64decode(row.value)))))
            assert _says_as_much(says, said), f"{said} is now read as {says}"


@each_release
@pytest.mark.parametrize("begins_anew", [False, True])
def test_a_worker_goes_on_where_its_worker_was(
    begins_anew: bool, stored: Stored, kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    """From its changelogs; and from its topics alone, all of them once more."""
    topics = TopicSettings(topic_prefix=topic_prefix, partitions=PARTITIONS)
    ensure_topics(kafka, topics)
    names = topic_names(topics)
    expected = stored.signals("after")
    if begins_anew:
        expected |= stored.signals("before")
        publish(kafka, topics, stored.steps_before)
        publish_to(kafka, names.diffs, stored.diffs[:1])
    else:
        for table, topic in (("runs", names.state_changelog), ("projects", names.projects_changelog)):
            rows = stored.changelog(table)
            publish_to(kafka, topic, [Published(row.key.encode(), base64.b64decode(row.value)) for row in rows])
            assert {(each.partition(), each.key()) for each in read_topic(kafka, topic)} == {
                (row.partition, row.key.encode()) for row in rows
            }
    publish(kafka, topics, stored.steps_after)
    publish_to(kafka, names.diffs, stored.diffs[1:])
    with running_worker(kafka, topics, tmp_path / "data", FOREVER) as worker:
        wait_until(lambda: len(signals_on(kafka, topics)) >= len(expected), worker)
        worker.wait_for_events(len(stored.steps_after))
    assert {encode(signal) for signal in signals_on(kafka, topics)} == expected
    assert list(read_topic(kafka, names.dead_letters)) == []


@each_release
def test_its_spool_is_delivered(stored: Stored, kafka: KafkaSettings, topics: TopicSettings, spool_dir: Path) -> None:
    shutil.copytree(stored.folder / "spool", spool_dir)
    for owner in spool_dir.glob("*/owner.json"):
        text = owner.read_text().replace(AWAY, kafka.kafka_bootstrap)
        owner.write_text(text.replace('"streakline.', f'"{topics.topic_prefix}'))
    ended = streakline("spool", "flush", environ=settings_environ(kafka, topics))
    assert (ended.code, ended.out) == (0, "sent 24 records of run spooled\n")
    events = [decode(message.value() or b"") for message in read_topic(kafka, topic_names(topics).steps)]
    assert isinstance(events[0], RunStarted)
    assert isinstance(events[-1], RunCompleted)
    assert [event.step for event in events[1:-1]] == list(range(20))  # type: ignore[union-attr]
    assert not list(spool_dir.glob("*/owner.json"))


@each_release
def test_its_lake_says_what_it_said_also_once_it_is_compacted(stored: Stored, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(stored.folder / "lake", root)
    for _ in range(2):
        with Session(str(root)) as session:
            for said in stored.lake_rows:
                assert said.rows
                assert rows_of(session, said.table, said.columns) == said
        assert streakline("compact", "--lake", root).code == 0
