"""A deploy that is rolled back: a worker that meets what a later release stored stops, and loses nothing of it."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from producers.codec import decode, encode
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.dying import EXIT_FAILED
from stream_app.engine.replay import signals_of
from stream_app.histories import ProjectHistory, encode_history
from tests.newer_release import PROGRAM as LATER
from tests.publishing import publish, publish_to, signals_on
from tests.scored import scored_diff
from tests.worker import PROGRAM, running_worker
from tests.workload import Published, fleet

Rows = list[tuple[int | None, int | None, bytes | None, bytes | None]]


def rows_on(kafka: KafkaSettings, topic: str) -> Rows:
    found = [(each.partition(), each.offset(), each.key(), each.value()) for each in read_topic(kafka, topic)]
    return sorted(found, key=str)


def judged(
    kafka: KafkaSettings, topics: TopicSettings, data_dir: Path, records: Sequence[Published], program: Sequence[str]
) -> None:
    """A release judges some more."""
    with running_worker(kafka, topics, data_dir, program=program) as worker:
        worker.wait_for_events(publish(kafka, topics, records))


@pytest.mark.parametrize("keeps_data", [True, False])
def test_states_survive_an_upgrade_and_a_rollback(
    keeps_data: bool, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    records = list(fleet(runs=8, steps=120, layers=4, chaos=0.0, seed=3))
    third = len(records) // 3
    names = topic_names(topics)
    folders = [tmp_path / ("data" if keeps_data else f"data-{index}") for index in range(4)]
    judged(kafka, topics, folders[0], records[:third], PROGRAM)
    judged(kafka, topics, folders[1], records[third : 2 * third], LATER)
    before = rows_on(kafka, names.state_changelog)

    publish(kafka, topics, records[2 * third :])
    with running_worker(kafka, topics, folders[2]) as worker:
        assert worker.process.wait(60) == EXIT_FAILED
        log = worker.log.read_text()
    assert "the stored state of a run is of version 2, this release reads 1 at most: run the release that" in log
    assert "Traceback" not in log
    assert rows_on(kafka, names.state_changelog) == before
    assert list(read_topic(kafka, names.dead_letters)) == []

    with running_worker(kafka, topics, folders[3], program=LATER) as worker:
        worker.wait_for_events(len(records) - 2 * third)
    expected = {signal.signal_id: encode(signal) for signal in signals_of(decode(record.value) for record in records)}
    assert {signal.signal_id: encode(signal) for signal in signals_on(kafka, topics)} == expected
    assert expected


def test_a_later_history_stops_the_worker_before_it_judges(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    names = topic_names(topics)
    later = encode_history(ProjectHistory(version=2))
    publish_to(kafka, names.projects_changelog, [Published(b"assistant", later)])
    diff = scored_diff("r", project="assistant", ts=1.0, score=0.5)
    publish_to(kafka, names.diffs, [Published(b"assistant", encode(diff))])
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        assert worker.process.wait(60) == EXIT_FAILED
        log = worker.log.read_text()
    assert "'assistant' of partition" in log
    assert "the stored history of a project is of version 2" in log
    assert [row[3] for row in rows_on(kafka, names.projects_changelog)] == [later]
    assert list(read_topic(kafka, names.dead_letters)) == []
