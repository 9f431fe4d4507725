"""A broker that demands TLS and names: with the right settings everything works as it does without."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from producers.codec import decode_diff, encode
from producers.events import DiffCompleted
from producers.kafka import KafkaSettings, SaslMechanism
from producers.publisher import StepPublisher
from producers.reader import read_topic
from producers.topics import TopicSettings, ensure_topics, topic_names
from tests.commands import settings_environ, streakline
from tests.diff_pool import run_completed
from tests.diff_service import running_diff_service
from tests.publishing import publish, publish_to
from tests.recordings import RECORDINGS
from tests.replayed import emitted, replayed
from tests.secured import PASSWORD, USER, Secured, certificate_broker, clear_broker, password_broker
from tests.small_diffs import job, write_all
from tests.worker import running_worker, wait_until
from tests.workload import Published, fleet
from workers.lake.schemas import table_to_rows
from workers.lake.tables import RegressionRow
from workers.lake.writer import Lake

TOPICS = TopicSettings(partitions=2)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with password_broker(tmp_path_factory.mktemp("authority") / "of-all") as place:
        yield place


@pytest.fixture
def kafka(secured: Secured) -> KafkaSettings:
    return secured.kafka


def test_from_a_trainer_to_what_people_ask_for(
    secured: Secured, topics: TopicSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kafka = secured.kafka
    environ = settings_environ(kafka, topics)
    assert streakline("topics", "ensure", environ=environ).code == 0
    data = tmp_path / "data"
    with running_worker(kafka, topics, data) as worker:
        worker.wait_until_ready()
        with StepPublisher(run_id="sft-7", early_stop=("loss_diverging",), kafka=kafka, topics=topics) as run:
            step = 0
            while run.should_stop is None and step < 3_000:
                run.step(step, 1.0 + 0.1 * step)
                step += 1
                time.sleep(0.02)
        assert run.should_stop is not None
        assert streakline("replay", RECORDINGS[0], environ=environ).code == 0
        publish(kafka, topics, [Published(b"sft-7", b"{")])
        wait_until(lambda: worker.events() == len(list(read_topic(kafka, topic_names(topics).steps))), worker)
        worker.kill()
    # It looks up the ends of its tables' changelogs with a client of its own.
    with running_worker(kafka, topics, data) as again:
        again.wait_until_ready()
        publish(kafka, topics, fleet(runs=7, steps=60, layers=2))
        wait_until(lambda: emitted(kafka, topics) == replayed(kafka, topics), again)
        logs = again.log.read_text()

    told = {line["signal_id"] for line in map(json.loads, streakline("signals", "--json", environ=environ).lines)}
    assert told == replayed(kafka, topics).keys()
    # Of one record; a worker that was killed may have said it a second time.
    letters = map(json.loads, streakline("dead-letters", "list", "--json", environ=environ).lines)
    refused = {
        (letter["source_partition"], letter["source_offset"], letter["key"], letter["reason"]) for letter in letters
    }
    ((_, _, key, reason),) = refused
    assert (key, reason) == ("sft-7", "not_json")
    assert "sft-7" in streakline("runs", environ=environ).out
    archived = streakline("archive", "--once", "--lake", tmp_path / "lake", environ=environ)
    assert archived.code == 0, archived.err
    refound = streakline("detect", "--from-lake", "--lake", tmp_path / "lake", environ=environ)
    assert {json.loads(line)["signal_id"] for line in refound.lines} == told

    assert secured.front.let_in.keys() == {USER}
    said = logs + capfd.readouterr().err + archived.err
    assert PASSWORD not in said


def test_a_diff_and_what_it_tells_of_regressions(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    models = write_all(tmp_path / "models")
    names = topic_names(topics)
    environ = settings_environ(kafka, topics) | {"STREAKLINE_REDIS_URL": "redis://127.0.0.1:1/0"}
    with (
        running_diff_service(tmp_path, models, environ) as service,
        running_worker(kafka, topics, tmp_path / "data"),
    ):
        service.wait_until_ready()
        publish_to(kafka, names.runs, [Published(b"run-1", encode(run_completed(job(models))))])
        wait_until(lambda: len(list(read_topic(kafka, names.diffs))) == 1, timeout_seconds=120)
        (first,) = (decode_diff(message.value() or b"") for message in read_topic(kafka, names.diffs))
        assert isinstance(first, DiffCompleted), first
        # Two more of the project: all that was right is wrong.
        publish_to(kafka, names.diffs, [later(first, "run-2", 1, score=1.0), later(first, "run-3", 2, score=0.0)])

        def rows() -> list[str]:
            table = Lake(str(service.lake)).read(
                "regressions", project="p", day="2026-01-01", run_id="run-3", diff_id="2" * 16
            )
            return [] if table is None else [row.category for row in table_to_rows(table, RegressionRow)]

        wait_until(lambda: sorted(rows()) == sorted(each.category for each in first.categories), timeout_seconds=120)
        service.process.terminate()
        assert service.process.wait(60) == 0
        log = service.log.read_text()
    assert "Traceback" not in log
    assert PASSWORD not in log


def later(event: DiffCompleted, run_id: str, number: int, *, score: float) -> Published:
    """The same of another run, in which every category has `score`."""
    categories = tuple(replace(each, score=score) for each in event.categories)
    diff_id = str(number) * 16
    other = replace(event, run_id=run_id, ts=event.ts + number, diff_id=diff_id, categories=categories)
    return Published(event.project.encode(), encode(other))


def signals_are_those_of_a_replay(kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> None:
    """Judged by a worker that is killed once, and goes on with the data that it has."""
    ensure_topics(kafka, topics)
    records = list(fleet(runs=7, steps=120, layers=2))
    half = len(records) // 2
    with running_worker(kafka, topics, folder / "data") as worker:
        publish(kafka, topics, records[:half])
        worker.wait_for_events(half)
        worker.kill()
    with running_worker(kafka, topics, folder / "data") as worker:
        publish(kafka, topics, records[half:])
        expected = replayed(kafka, topics)
        assert expected
        wait_until(lambda: emitted(kafka, topics) == expected, worker)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_with_a_password_by_every_mechanism(
    mechanism: SaslMechanism, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    signals_are_those_of_a_replay(replace(kafka, kafka_sasl_mechanism=mechanism), topics, tmp_path)


def test_with_a_certificate_and_no_password(tmp_path: Path) -> None:
    with certificate_broker(tmp_path / "authority") as place:
        signals_are_those_of_a_replay(place.kafka, TOPICS, tmp_path)


def test_with_a_password_and_no_tls(tmp_path: Path) -> None:
    with clear_broker() as kafka:
        signals_are_those_of_a_replay(kafka, TOPICS, tmp_path)
