"""Another number of partitions, as docs/operations.md has it done: no signal is lost, none comes twice."""

import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import decode, encode
from producers.events import Signal
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, ensure_topics, topic_names
from stream_app.engine.replay import signals_of
from stream_app.histories import decode_history
from tests.clusters import forget_topics, topics_under
from tests.commands import settings_environ, streakline
from tests.publishing import publish, publish_to, signals_on
from tests.scored import scored_diff
from tests.worker import running_worker, wait_until
from tests.workload import Published, fleet


@pytest.fixture
def more(kafka: KafkaSettings) -> Iterator[TopicSettings]:
    """New topics, of more partitions."""
    settings = topics_under(f"more-{uuid.uuid4().hex[:8]}.", partitions=7)
    ensure_topics(kafka, settings)
    yield settings
    forget_topics(kafka, settings.topic_prefix)


def diff(run_id: str, project: str, ts: float, score: float) -> Published:
    return Published(project.encode(), encode(scored_diff(run_id, project=project, ts=ts, score=score)))


def resumed(records: list[Published]) -> list[Published]:
    """The same runs once more, as another attempt."""
    found = []
    for record in records:
        event = decode(record.value)
        kind = type(event)
        values = {name: getattr(event, name) for name in event.__struct_fields__} | {"attempt": 1}
        found.append(Published(record.key, encode(kind(**values))))
    return found


def offline(records: list[Published]) -> dict[str, bytes]:
    return {each.signal_id: encode(each) for each in signals_of(decode(record.value) for record in records)}


def test_runs_end_where_they_began_and_projects_go_along(
    kafka: KafkaSettings, topics: TopicSettings, more: TopicSettings, tmp_path: Path
) -> None:
    old, new = topic_names(topics), topic_names(more)
    running = list(fleet(runs=9, steps=80, layers=2, seed=5))
    half = len(running) // 2
    # A run whose machine died half way, and that is resumed with the new settings, beside those that run on.
    died = list(fleet(runs=9, steps=80, layers=2, seed=6))
    again = resumed([record for record in died if record.key == b"fleet/run-0003"])
    projects = [f"project-{index}" for index in range(12)]

    with running_worker(kafka, topics, tmp_path / "old") as worker:
        publish_to(kafka, old.diffs, [diff("before", project, 1.0, 0.9) for project in projects])
        worker.wait_for_events(publish(kafka, topics, running[:half]))
        with running_worker(kafka, more, tmp_path / "new") as newer:
            newer.wait_for_events(publish(kafka, more, again))
        # Those that were under way end under the prefix that they began under.
        worker.wait_for_events(len(running[:half]) + publish(kafka, topics, running[half:]))
        wait_until(lambda: len({each.key() for each in read_topic(kafka, old.projects_changelog)}) == 12, worker)

    environ = settings_environ(kafka, more)
    for _ in range(2):
        ended = streakline("topics", "take-over", topics.topic_prefix, environ=environ)
        assert (ended.code, ended.err) == (0, "")
        assert ended.out == f"took over 12 projects from {topics.topic_prefix} for {more.topic_prefix}\n"

    with running_worker(kafka, more, tmp_path / "new") as newer:
        publish_to(kafka, new.diffs, [diff("after", project, 2.0, 0.5) for project in projects])
        wait_until(lambda: len(regressed(kafka, more)) == 12, newer, timeout_seconds=120)
    assert {each.regression.prior_run_id for each in regressed(kafka, more) if each.regression} == {"before"}
    assert Counter(each.project for each in regressed(kafka, more)) == Counter(projects)
    told = [each for where in (topics, more) for each in signals_on(kafka, where) if each.type != "category_regressed"]
    assert {each.signal_id: encode(each) for each in told} == offline(running) | offline(again)
    assert len({each.signal_id for each in told}) == len(told) > 10

    # Once more would undo what is known by now.
    ended = streakline("topics", "take-over", topics.topic_prefix, environ=environ)
    assert ended.code == 3
    assert "knows of diffs of its own, which are not to be overwritten" in ended.err
    rows = {each.key(): each.value() or b"" for each in read_topic(kafka, new.projects_changelog)}
    assert all(len(decode_history(row).runs) == 2 for row in rows.values())


def regressed(kafka: KafkaSettings, topics: TopicSettings) -> list[Signal]:
    return [signal for signal in signals_on(kafka, topics) if signal.type == "category_regressed"]


def test_nothing_is_taken_over_from_itself_or_from_nowhere(kafka: KafkaSettings, topics: TopicSettings) -> None:
    environ = settings_environ(kafka, topics)
    for prefix, said in (
        (topics.topic_prefix, "is the one to take over: set STREAKLINE_TOPIC_PREFIX"),
        ("nobody.", "there is no topic nobody.stream-projects-changelog"),
    ):
        ended = streakline("topics", "take-over", prefix, environ=environ)
        assert ended.code == 3
        assert said in ended.err
