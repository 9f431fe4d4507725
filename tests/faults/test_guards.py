"""Each guard taken out of the program: the same scenario that the right one gets through shows what it is there for."""

import signal
from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.delivered import delivered
from tests.faults.arrived import compared_events
from tests.faults.cases import Figures, Place
from tests.faults.judged import ends, judged, lag_in_the_end, lags
from tests.faults.placed import GO_ON, HELD
from tests.faults.supervised_trainer import RUN_ID, SupervisedTrainer
from tests.faulty_broker import FaultyBroker
from tests.publishing import publish
from tests.worker import running_worker, wait_until
from tests.workload import Published, fleet

RIGHT = "none"


def program(*names: str) -> tuple[str, ...]:
    return ("-m", "tests.faults.mutant", ",".join(names), "stream")


@pytest.fixture
def records() -> list[Published]:
    return list(fleet(runs=14, steps=300, layers=4, chaos=0.02, seed=11))


def in_the_end(kafka: KafkaSettings, topics: TopicSettings, data_dir: Path) -> Figures:
    """What there is once the right program has gone on with what was left."""
    with running_worker(kafka, topics, data_dir):
        lag = lag_in_the_end(kafka, topics)
    return judged(kafka, topics, lag=lag)


def assert_caught(figures: Figures, mutation: str) -> None:
    assert figures.is_right == (mutation == RIGHT), figures


@pytest.mark.parametrize("mutation", [RIGHT, "acknowledges-first", "writes-states-first"])
def test_signals_are_told_before_anything_else_is_done(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, records: list[Published], mutation: str
) -> None:
    publish(kafka, topics, records)
    with running_worker(kafka, topics, tmp_path / "data", program=program(mutation, "dies-before-telling")) as worker:
        assert worker.process.wait(120) == -signal.SIGKILL
    figures = in_the_end(kafka, topics, tmp_path / "data")
    assert_caught(figures, mutation)
    assert bool(figures.missing) == (mutation != RIGHT)


@pytest.mark.parametrize("mutation", [RIGHT, "does-not-wait-for-signals"])
def test_signals_are_told_only_when_the_broker_has_said_so(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, records: list[Published], mutation: str
) -> None:
    publish(kafka, topics, records)
    faulty = program(mutation, "dies-after-acknowledging")
    with running_worker(kafka, topics, tmp_path / "data", program=faulty) as worker:
        assert worker.process.wait(120) == -signal.SIGKILL
    figures = in_the_end(kafka, topics, tmp_path / "data")
    assert_caught(figures, mutation)
    assert bool(figures.missing) == (mutation != RIGHT)


@pytest.mark.parametrize("mutation", [RIGHT, "writes-states-to-rocksdb-first"])
def test_states_are_on_the_changelog_before_they_are_in_rocksdb(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, records: list[Published], mutation: str
) -> None:
    *before, last = records
    with running_worker(
        kafka, topics, tmp_path / "data", program=program(mutation, "dies-before-replicating")
    ) as worker:
        worker.wait_for_events(publish(kafka, topics, before))
        (tmp_path / GO_ON).touch()
        publish(kafka, topics, [last])
        assert worker.process.wait(120) == -signal.SIGKILL
    # The last event comes again to one that has its states, and then not to one that has none.
    with running_worker(kafka, topics, tmp_path / "data"):
        lag_in_the_end(kafka, topics)
    assert_caught(in_the_end(kafka, topics, tmp_path / "another"), mutation)


@pytest.mark.parametrize("mutation", [RIGHT, "does-not-check-the-generation"])
def test_a_batch_from_before_a_rebalance_is_dropped(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, records: list[Published], mutation: str
) -> None:
    third = len(records) // 3
    (tmp_path / "one").mkdir()
    faulty = program(mutation, "holds-a-batch")
    with running_worker(kafka, topics, tmp_path / "one" / "data", program=faulty) as one:
        one.wait_until_ready()
        publish(kafka, topics, records[: 2 * third])
        wait_until((tmp_path / "one" / HELD).exists, one)
        with running_worker(kafka, topics, tmp_path / "two") as two:
            two.wait_until_ready()
            # Of two partitions it judges all there is, and the other's two wait.
            until = ends(kafka, topics)
            wait_until(lambda: lags(kafka, topics, until).count(0) >= 2, two)
        one.wait_until_ready(3)
        (tmp_path / "one" / GO_ON).touch()
        publish(kafka, topics, records[2 * third :])
        lag = lag_in_the_end(kafka, topics)
    assert_caught(judged(kafka, topics, lag=lag), mutation)


@pytest.mark.parametrize("mutation", [RIGHT, "acknowledges-its-queue-in-the-end"])
def test_what_waits_in_the_queue_of_a_worker_that_ends_is_not_acknowledged(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, records: list[Published], mutation: str
) -> None:
    publish(kafka, topics, records)
    faulty = program(mutation, "ends-its-batches-first")
    with running_worker(kafka, topics, tmp_path / "data", program=faulty) as worker:
        assert worker.process.wait(120) == -signal.SIGKILL
    figures = in_the_end(kafka, topics, tmp_path / "data")
    assert_caught(figures, mutation)
    assert bool(figures.missing) == (mutation != RIGHT)


@pytest.mark.parametrize("mutation", [RIGHT, "does-not-hold-the-flow"])
def test_nothing_flows_until_the_positions_are_set(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, records: list[Published], mutation: str
) -> None:
    few = len(records) // 10
    count = publish(kafka, topics, records[:few])
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        worker.wait_for_events(count)
    publish(kafka, topics, records[few:])
    faulty = program(mutation, "seeks-slowly")
    # It has states to recover: what reads them reads steps as well, once it may.
    with running_worker(kafka, topics, tmp_path / "another", program=faulty):
        # Without the guard it may never come to the end.
        lag = lag_in_the_end(kafka, topics, timeout_seconds=120 if mutation == RIGHT else 20)
    assert_caught(judged(kafka, topics, lag=lag), mutation)


@pytest.mark.parametrize("mutation", [RIGHT, "keeps-in-memory-alone"])
def test_what_a_publisher_says_it_has_kept_outlives_it(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, mutation: str
) -> None:
    front.refuse()
    place, steps = Place(kafka, topics, tmp_path), 300

    def program_of(attempt: int) -> tuple[str, ...]:
        return ("tests.faults.mutant", mutation if attempt == 1 else RIGHT, "trainer")

    with SupervisedTrainer(place, steps, lambda _: 0.002, program_of) as trainer:
        trainer.wait_until_kept(200)
        with trainer.held_down():
            front.forward()
        trainer.wait_until_finished()
    figures = compared_events(delivered(kafka, topics, RUN_ID), trainer.kept, steps)
    assert_caught(figures, mutation)
    assert bool(figures.missing) == (mutation != RIGHT)
