"""`streakline diff-worker`: from a run that completes to its diff in the lake, and the truth about itself."""

import signal
from pathlib import Path

import pytest

from producers.codec import decode_diff, encode
from producers.events import DiffCompleted, RunCompleted
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, ensure_topics, topic_names
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from tests.commands import settings_environ, streakline
from tests.diff_service import running_diff_service
from tests.publishing import publish_to
from tests.small_diffs import COMPLETED_AT, write_all
from tests.worker import wait_until
from tests.workload import Published
from workers.lake.writer import Lake


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_all(tmp_path_factory.mktemp("models"))


def completed(run_id: str, models: Path, checkpoint: str = "fine-tuned") -> Published:
    event = RunCompleted(
        run_id=run_id,
        ts=COMPLETED_AT,
        steps=3,
        project="p",
        base_model=str(models / "base"),
        checkpoint=str(models / checkpoint),
        eval_set=str(models / "probes.jsonl"),
        saes=(str(models / "sae"),),
    )
    return Published(run_id.encode(), encode(event))


def test_a_run_that_completes_gets_its_diff_and_sigterm_ends_it_cleanly(
    kafka: KafkaSettings, topics: TopicSettings, redis_url: str, models: Path, tmp_path: Path
) -> None:
    names = topic_names(topics)
    environ = {**settings_environ(kafka, topics), "STREAKLINE_REDIS_URL": redis_url}
    with running_diff_service(tmp_path, models, environ) as service:
        publish_to(kafka, names.runs, [completed("sft-7", models), completed("lost", models, "nowhere")])
        service.wait_until_ready()
        assert service.ask("/healthz") == (200, {})
        wait_until(lambda: len(list(read_topic(kafka, names.diffs))) == 2, timeout_seconds=120)
        wait_until(lambda: 'streakline_diff_jobs_total{result="success"} 1.0' in service.exposed())
        wait_until(lambda: 'streakline_diff_jobs_total{result="failure"} 1.0' in service.exposed())
        service.process.terminate()
        assert service.process.wait(60) == 0
        assert "Traceback" not in service.log.read_text()
    told = [decode_diff(message.value() or b"") for message in read_topic(kafka, names.diffs)]
    (event,) = (each for each in told if isinstance(each, DiffCompleted))
    assert event.run_id == "sft-7"
    lake = Lake(str(service.lake))
    assert lake.read("runs", project="p", day="2026-01-01", run_id="sft-7", diff_id=event.diff_id) is not None
    shown = streakline("runs", environ=environ)
    assert {line.split()[0]: line.split("  ")[-1].strip() for line in shown.lines[1:]} == {
        "sft-7": "done",
        "lost": "failed: missing",
    }


def test_a_worker_is_ready_while_the_broker_answers_and_works_without_redis(models: Path, tmp_path: Path) -> None:
    port = free_port()
    broker = start_broker(port)
    kafka, topics = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), TopicSettings(partitions=2)
    environ = {
        **settings_environ(kafka, topics),
        "STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0",
        # Less than /readyz waits for the broker: to be without it is no stall.
        "STREAKLINE_STALL_SECONDS": "2",
    }
    try:
        ensure_topics(kafka, topics)
        with running_diff_service(tmp_path, models, environ) as service:
            service.wait_until_ready()
            broker.send_signal(signal.SIGSTOP)
            wait_until(lambda: "broker" in service.ask("/readyz")[1])
            assert service.ask("/healthz") == (200, {})
            broker.send_signal(signal.SIGCONT)
            service.wait_until_ready()
            publish_to(kafka, topic_names(topics).runs, [completed("sft-7", models)])
            wait_until(lambda: len(list(read_topic(kafka, topic_names(topics).diffs))) == 1, timeout_seconds=120)
            service.process.send_signal(signal.SIGINT)
            assert service.process.wait(60) == 0
    finally:
        broker.send_signal(signal.SIGCONT)
        stop(broker)
