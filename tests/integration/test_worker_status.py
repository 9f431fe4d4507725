"""What a real worker says of itself over HTTP is the truth, whatever happens around it."""

import json
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from producers.codec import encode
from producers.events import RunCompleted, RunStarted, StepEvent
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import start_broker
from streakline.processes import free_port, stop
from stream_app.settings import StreamSettings
from tests.clusters import topics_under
from tests.publishing import publish
from tests.worker import Worker, running_worker, wait_until
from tests.workload import Published, fleet


def ask(worker: Worker, path: str) -> tuple[int, dict[str, str]]:
    """The status, and the detail of every check that does not pass; 0 where there is no answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.metrics_port}{path}", timeout=10) as response:
            return response.status, {}
    except urllib.error.HTTPError as error:
        checks = json.loads(error.read())["checks"]
        return error.code, {check["name"]: check["detail"] for check in checks if not check["passes"]}
    except OSError:
        return 0, {}


def samples(worker: Worker) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name, the label values in the order of the labels' names) → value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.metrics_port}/metrics", timeout=10) as response:
        text = response.read().decode()
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def runs_shown(worker: Worker) -> set[str]:
    return {labels[0] for name, labels in samples(worker) if name == "streakline_run_active"}


def records(*events: RunStarted | StepEvent | RunCompleted) -> list[Published]:
    return [Published(event.run_id.encode(), encode(event)) for event in events]


def test_a_run_is_shown_from_its_start_to_a_while_after_its_end(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    now = time.time()
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        publish(kafka, topics, records(RunStarted(run_id="team/sft:1", ts=now, project="vision")))
        wait_until(lambda: worker.events() == 1, worker)
        assert ("streakline_run_last_step", ("team/sft:1",)) not in samples(worker)
        step = StepEvent(run_id="team/sft:1", step=3, ts=now, loss=float("nan"), max_grad=2.0)
        publish(kafka, topics, records(step))
        worker.wait_for_events(2)
        found = samples(worker)
        mark = found["streakline_run_signal_last_timestamp_seconds", ("team/sft:1", "critical", "non_finite")]
        assert now <= mark <= time.time()
        assert found["streakline_run_info", ("vision", "team/sft:1")] == 1
        assert found["streakline_run_active", ("team/sft:1",)] == 1
        assert found["streakline_run_last_event_timestamp_seconds", ("team/sft:1",)] == now
        assert found["streakline_run_grad_norm", ("team/sft:1",)] == 2
        worker.kill()
    # Another worker has it all from what is stored, at the very same moment.
    with running_worker(kafka, topics, tmp_path / "other") as worker:
        worker.wait_until_ready()
        key = "streakline_run_signal_last_timestamp_seconds", ("team/sft:1", "critical", "non_finite")
        wait_until(lambda: samples(worker).get(key) == mark, worker)
        publish(kafka, topics, records(RunCompleted(run_id="team/sft:1", ts=time.time(), steps=3)))
        # The step may come again first: whether it was committed, the kill decided.
        wait_until(lambda: samples(worker)["streakline_run_active", ("team/sft:1",)] == 0, worker)
        assert samples(worker)[key] == mark


def test_a_worker_is_ready_when_it_judges_and_says_why_not(tmp_path: Path) -> None:
    port = free_port()
    broker = start_broker(port)
    kafka, topics = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{port}"), TopicSettings(partitions=2)
    try:
        ensure_topics(kafka, topics)
        # To be without the broker for longer than a stall is none.
        with running_worker(kafka, topics, tmp_path / "data", StreamSettings(stall_seconds=5)) as worker:
            wait_until(lambda: ask(worker, "/readyz")[0] == 503, worker)
            assert ask(worker, "/healthz") == (200, {})
            assert not runs_shown(worker)
            wait_until(lambda: ask(worker, "/readyz") == (200, {}), worker)
            broker.send_signal(signal.SIGSTOP)
            wait_until(lambda: "broker" in ask(worker, "/readyz")[1], worker)
            assert samples(worker)["streakline_ready", ("broker",)] == 0
            assert ask(worker, "/healthz") == (200, {})
            broker.send_signal(signal.SIGCONT)
            wait_until(lambda: ask(worker, "/readyz") == (200, {}), worker)
            worker.process.send_signal(signal.SIGSTOP)
            with pytest.raises(OSError, match="timed out"):
                urllib.request.urlopen(f"http://127.0.0.1:{worker.metrics_port}/healthz", timeout=1)
            worker.process.send_signal(signal.SIGCONT)
    finally:
        broker.send_signal(signal.SIGCONT)
        stop(broker)


_ASKED_BEFORE_ITS_LOOP_RUNS = """
import contextlib, socket
from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from stream_app.app import make_app, run_app
from stream_app.settings import StreamSettings

settings = load_settings(StreamSettings)
app = make_app(load_settings(KafkaSettings), load_settings(TopicSettings), settings, on_tansu=True)
clients = [socket.create_connection(("127.0.0.1", settings.metrics_port), timeout=1) for _ in range(2)]
for client, path in zip(clients, ("/healthz", "/metrics")):
    client.sendall(f"GET {path} HTTP/1.0\\r\\n\\r\\n".encode())
    with contextlib.suppress(TimeoutError):
        client.recv(1)
run_app(app, settings)
"""


def test_a_worker_that_is_asked_before_its_loop_runs_works_all_the_same(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    """Prometheus may come at any moment; Faust's parts make their event loop when they are first asked."""
    publish(kafka, topics, records(StepEvent(run_id="only", step=1, ts=time.time(), loss=1.0)))
    with running_worker(kafka, topics, tmp_path / "data", program=("-c", _ASKED_BEFORE_ITS_LOOP_RUNS)) as worker:
        worker.wait_for_events(1, timeout_seconds=60)
        assert ask(worker, "/readyz") == (200, {})


def test_a_worker_without_a_partition_stands_by_and_shows_no_run(
    kafka: KafkaSettings, topic_prefix: str, tmp_path: Path
) -> None:
    topics = topics_under(topic_prefix, partitions=1)
    ensure_topics(kafka, topics)
    publish(kafka, topics, records(StepEvent(run_id="only", step=1, ts=time.time(), loss=1.0)))
    with running_worker(kafka, topics, tmp_path / "one") as one, running_worker(kafka, topics, tmp_path / "two") as two:
        workers = [one, two]
        wait_until(lambda: all(ask(worker, "/readyz") == (200, {}) for worker in workers))
        wait_until(lambda: sorted(map(len, map(runs_shown, workers))) == [0, 1])
        owner, standby = sorted(workers, key=lambda worker: -len(runs_shown(worker)))
        owner.kill()
        wait_until(lambda: runs_shown(standby) == {"only"}, standby)


def test_the_lag_is_what_waits(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    count = publish(kafka, topics, fleet(runs=20, steps=1_500, layers=24))

    def lag(worker: Worker, name: str) -> float:
        return sum(value for (each, _), value in samples(worker).items() if each == f"streakline_consumer_lag_{name}")

    with running_worker(kafka, topics, tmp_path / "data") as worker:
        wait_until(lambda: ask(worker, "/healthz")[0] == 200, worker)
        wait_until(lambda: lag(worker, "records") > 1_000 and lag(worker, "seconds") > 0, worker)
        worker.wait_for_events(count)
        wait_until(lambda: lag(worker, "records") == 0 and lag(worker, "seconds") == 0, worker)


def test_hostile_records_change_nothing_but_the_dead_letters(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    step = StepEvent(run_id="well", step=1, ts=time.time(), loss=1.0)
    names = ['x"} 1\nstreakline_run_loss{run_id="y', "a b", "<script>", "x" * 129, "../é", "{run_id}", "\\", ""]
    hostile = [Published(name.encode(), encode(step).replace(b'"well"', json.dumps(name).encode())) for name in names]
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        publish(kafka, topics, records(step))
        worker.wait_for_events(1)
        before = samples(worker)
        publish(kafka, topics, hostile)
        worker.wait_for_events(1 + len(hostile))
        after = samples(worker)
    assert worker.metrics_port
    new = {name for name, _ in after.keys() - before.keys()}
    assert new == {"streakline_invalid_record_last_timestamp_seconds"}
    changed = {name for (name, labels), value in after.items() if before.get((name, labels), value) != value}
    assert {name for name in changed if not name.startswith("process_")} <= {
        "streakline_events_total",
        "streakline_invalid_records_total",
        "streakline_last_batch_timestamp_seconds",
    }
    steps = f"{topics.topic_prefix}steps"
    assert after["streakline_invalid_records_total", ("invalid", steps)] == len(hostile)


def test_no_more_runs_are_shown_than_the_settings_say(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    now = time.time()
    made_up = [StepEvent(run_id=f"made/up-{number}", step=1, ts=now, loss=1.0) for number in range(40)]
    with running_worker(kafka, topics, tmp_path / "data", StreamSettings(per_run_limit=10)) as worker:
        publish(kafka, topics, records(*made_up))
        worker.wait_for_events(40)
        found = samples(worker)
        assert len(runs_shown(worker)) == 10
    assert found["streakline_hidden_runs", ()] == 30
    assert found["streakline_runs", ("active",)] == 40
