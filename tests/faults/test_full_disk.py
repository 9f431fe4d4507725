"""A disk that is full when a process begins."""

from pathlib import Path

from producers.kafka import KafkaSettings
from producers.spool.folder import folders
from producers.topics import TopicSettings
from stream_app.dying import EXIT_FAILED
from tests.delivered import delivered
from tests.faults.arrived import compared_events
from tests.faults.cases import Place
from tests.faults.hurting import limit_files
from tests.faults.stream_cases import RECOVERS_SLOWLY
from tests.faults.supervised_trainer import RUN_ID, SupervisedTrainer
from tests.faulty_broker import FaultyBroker
from tests.publishing import publish
from tests.worker import running_worker, wait_until
from tests.workload import fleet


def test_a_worker_that_recovers_its_states_ends(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    count = publish(kafka, topics, fleet(runs=14, steps=20, layers=4))
    with running_worker(kafka, topics, tmp_path / "first") as worker:
        worker.wait_for_events(count)
    with running_worker(kafka, topics, tmp_path / "second", program=("-c", RECOVERS_SLOWLY, "stream")) as worker:
        wait_until(lambda: "recovering" in worker.log.read_text(), worker)
        limit_files(worker.process.pid, 0)
        assert worker.process.wait(60) == EXIT_FAILED


def test_a_publisher_delivers_what_was_left_before_its_own(
    front: FaultyBroker, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    front.refuse()
    with SupervisedTrainer(Place(kafka, topics, tmp_path), 300, lambda _: 0.002) as trainer:
        trainer.wait_until_kept(100)
        with trainer.held_down():
            front.forward()
        limit_files(trainer.process.pid, 0)
        trainer.wait_until_finished()
    figures = compared_events(delivered(kafka, topics, RUN_ID), trainer.kept, 300)
    assert figures.is_right, figures
    assert list(folders(trainer.spool)) == []
