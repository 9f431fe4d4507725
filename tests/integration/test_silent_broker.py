"""A broker that falls silent while a stream worker starts leaves none that stands still for ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import decode, encode
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from stream_app.dying import EXIT_FAILED
from stream_app.engine.replay import signals_of
from stream_app.settings import StreamSettings
from tests.diff_service import ask
from tests.faulty_broker import FaultyBroker, faulty_broker
from tests.publishing import publish, signals_on
from tests.worker import Worker, running_worker, wait_until
from tests.workload import fleet

TOPICS = TopicSettings(partitions=4)

# Sooner than after 90 s, and with time to silence the broker between the assignment and the recovery.
_IMPATIENT = """
from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from stream_app.app import make_app, run_app
from stream_app.settings import StreamSettings

settings = load_settings(StreamSettings)
app = make_app(load_settings(KafkaSettings), load_settings(TopicSettings), settings, on_tansu=True)
app.conf.broker_request_timeout = 6.0
app.conf.stream_recovery_delay = 5.0
run_app(app, settings)
"""


@pytest.fixture
def front() -> Iterator[FaultyBroker]:
    with faulty_broker() as faulty:
        ensure_topics(KafkaSettings(kafka_bootstrap=faulty.bootstrap), TOPICS)
        yield faulty


def failing(worker: Worker) -> set[str] | None:
    """The checks of its /readyz that do; None while it does not answer."""
    status, checks = ask(f"http://127.0.0.1:{worker.metrics_port}/readyz")
    return set(checks) if status else None


def test_a_worker_whose_broker_falls_silent_before_its_tables_are_recovered_ends_and_nothing_is_lost(
    front: FaultyBroker, tmp_path: Path
) -> None:
    """Faust would take the time-out for the end of the service: no recovery, no batch, and not a word."""
    kafka = KafkaSettings(kafka_bootstrap=front.bootstrap)
    records = list(fleet(runs=7, steps=400, layers=3))
    expected = {each.signal_id: encode(each) for each in signals_of(decode(record.value) for record in records)}
    half = len(records) // 2
    with running_worker(kafka, TOPICS, tmp_path / "data") as worker:
        worker.wait_for_events(publish(kafka, TOPICS, records[:half]))
    publish(kafka, TOPICS, records[half:])
    with running_worker(kafka, TOPICS, tmp_path / "other", program=("-c", _IMPATIENT)) as worker:
        wait_until(lambda: "partitions" not in (failing(worker) or {"partitions"}), worker)
        front.pause()
        assert worker.process.wait(120) == EXIT_FAILED
    assert "CRITICAL streakline.stream: the broker was silent for 6 s while the tables" in worker.log.read_text()
    front.forward()
    with running_worker(kafka, TOPICS, tmp_path / "other"):
        wait_until(lambda: {each.signal_id: encode(each) for each in signals_on(kafka, TOPICS)} == expected)


def test_a_worker_does_not_ask_for_topics_that_are_there(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    """On a connection that went mute it would wait 20 minutes for the answer."""
    with running_worker(kafka, topics, tmp_path / "data", StreamSettings(log_level="debug")) as worker:
        worker.wait_until_ready()
        log = worker.log.read_text()
    assert "faust" in log
    assert "Creating topic" not in log
