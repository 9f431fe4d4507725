"""A bad deploy stops instead of emptying the topic into the dead letters, and the good one goes on where it stopped."""

import uuid
from pathlib import Path

import pytest

from producers.codec import decode, encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, ensure_topics, topic_names
from stream_app.engine.replay import signals_of
from stream_app.settings import StreamSettings
from tests.committed import committed
from tests.publishing import publish, signals_on
from tests.worker import header, running_worker, wait_until
from tests.workload import Published, fleet

BAD_DEPLOY = """
import stream_app.judging
from streakline.cli.main import main

def evaluate(state, event, policy):
    raise KeyError("loss")

stream_app.judging.evaluate = evaluate
main()
"""
EXIT_FAILED = 70


@pytest.mark.parametrize("limit", [1, 100])
def test_a_bad_deploy_stops_and_the_good_one_judges_all_that_it_left(
    limit: int, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    names = topic_names(topics)
    records = list(fleet(runs=28, steps=300, layers=4))
    settings = StreamSettings(max_consecutive_failures=limit)
    with running_worker(kafka, topics, tmp_path / "data", settings, ("-c", BAD_DEPLOY, "stream")) as bad:
        # Fewer than the limit are no reason to stop.
        first = min(limit - 1, 20)
        publish(kafka, topics, records[:first])
        wait_until(lambda: sum(1 for _ in read_topic(kafka, names.dead_letters)) == first, bad)
        publish(kafka, topics, records[first:])
        assert bad.process.wait(120) == EXIT_FAILED, bad.log.read_text()
    (said,) = (line for line in bad.log.read_text().splitlines() if "CRITICAL" in line)
    assert f"judging stops: {limit} records in a row of partition " in said
    assert "STREAKLINE_MAX_CONSECUTIVE_FAILURES" in said
    assert "Traceback" not in bad.log.read_text()

    letters = list(read_topic(kafka, names.dead_letters))
    kept = {(int(header(letter, "source-partition")), int(header(letter, "source-offset"))) for letter in letters}
    assert len(kept) == len(letters)
    assert all(sum(partition == number for partition, _ in kept) < limit for number in range(topics.partitions))
    done = committed(kafka, topics)
    # All that is done with is kept: what was not acknowledged may be kept as well, and comes again.
    assert {(number, offset) for number, end in done.items() for offset in range(end)} <= kept
    assert signals_on(kafka, topics) == []

    left = [
        decode(message.value() or b"")
        for message in read_topic(kafka, names.steps)
        if (message.offset() or 0) >= done[message.partition() or 0]
    ]
    expected = {signal.signal_id: encode(signal) for signal in signals_of(left)}
    assert len(expected) > 50
    with running_worker(kafka, topics, tmp_path / "data") as good:
        good.wait_for_events(len(left))
    emitted = signals_on(kafka, topics)
    assert {signal.signal_id: encode(signal) for signal in emitted} == expected
    assert len(emitted) == len(expected)
    assert sum(1 for _ in read_topic(kafka, names.dead_letters)) == len(letters)


def test_a_rebalance_begins_the_count_anew(kafka: KafkaSettings, tmp_path: Path) -> None:
    topics = TopicSettings(topic_prefix=f"rebalanced-{uuid.uuid4().hex[:8]}.", partitions=1)
    ensure_topics(kafka, topics)
    settings, program = StreamSettings(max_consecutive_failures=3), ("-c", BAD_DEPLOY, "stream")

    def publish_failing(step: int) -> None:
        event = StepEvent(run_id="run", step=step, ts=1.0, loss=1.0)
        publish(kafka, topics, [Published(b"run", encode(event))])

    def letters() -> int:
        return sum(1 for _ in read_topic(kafka, topic_names(topics).dead_letters))

    with running_worker(kafka, topics, tmp_path / "one", settings, program) as one:
        for step in range(2):
            publish_failing(step)
        wait_until(lambda: letters() == 2, one)
        with running_worker(kafka, topics, tmp_path / "two", settings, program) as two:
            two.wait_until_ready()
            one.wait_until_ready(2)
            for step in range(2, 4):
                publish_failing(step)
                wait_until(lambda: letters() == step + 1)  # noqa: B023  # called at once
            assert (one.process.poll(), two.process.poll()) == (None, None)
            publish_failing(4)
            wait_until(lambda: EXIT_FAILED in {one.process.poll(), two.process.poll()})


def test_those_who_fill_a_partition_with_rubbish_stop_it_until_somebody_lets_the_rubbish_through(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    topics = TopicSettings(topic_prefix=f"rubbish-{uuid.uuid4().hex[:8]}.", partitions=1)
    ensure_topics(kafka, topics)
    healthy = StepEvent(run_id="healthy", step=1, ts=1.0, loss=float("nan"))
    rubbish = [Published(b"trainer-%d" % (index % 2), b"step 1: loss 2.0") for index in range(400)]
    publish(kafka, topics, [*rubbish, Published(b"healthy", encode(healthy))])
    strict = StreamSettings(failure_window_records=200)
    with running_worker(kafka, topics, tmp_path / "data", strict) as worker:
        assert worker.process.wait(120) == EXIT_FAILED, worker.log.read_text()
    assert "of the last 200 records of partition 0 of " in worker.log.read_text()
    assert "raise STREAKLINE_MAX_FAILURE_RATIO (0.5; 1 is no limit)" in worker.log.read_text()
    assert signals_on(kafka, topics) == []

    lenient = StreamSettings(failure_window_records=200, max_failure_ratio=1.0)
    with running_worker(kafka, topics, tmp_path / "data", lenient) as worker:
        wait_until(lambda: len(signals_on(kafka, topics)) == 1, worker)
    letters = {header(letter, "source-offset") for letter in read_topic(kafka, topic_names(topics).dead_letters)}
    assert letters == {str(offset) for offset in range(400)}


def test_one_trainer_that_sends_rubbish_keeps_nobody_from_being_judged(kafka: KafkaSettings, tmp_path: Path) -> None:
    topics = TopicSettings(topic_prefix=f"alone-{uuid.uuid4().hex[:8]}.", partitions=1)
    ensure_topics(kafka, topics)
    healthy = StepEvent(run_id="healthy", step=1, ts=1.0, loss=float("nan"))
    publish(kafka, topics, [*[Published(b"trainer", b"rubbish")] * 400, Published(b"healthy", encode(healthy))])
    with running_worker(kafka, topics, tmp_path / "data", StreamSettings(failure_window_records=200)) as worker:
        wait_until(lambda: len(signals_on(kafka, topics)) == 1, worker)
    assert sum(1 for _ in read_topic(kafka, topic_names(topics).dead_letters)) == 400
