"""Live runs in a real Redis: what is shown is right whatever dies, and nothing that Redis does is in a worker's way."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import decode, encode
from producers.events import RunCompleted, RunFailed, RunStarted, StepEvent, TrainerEvent
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.processes import free_port, stop
from streakline.redis_server import running_redis, start_redis
from stream_app.engine.replay import signals_of
from stream_app.live import MAX_POINTS, LivePoint, LiveSignal, batches_key
from tests.live_reading import LiveReader
from tests.publishing import publish, signals_on
from tests.worker import Worker, running_worker, wait_until
from tests.workload import Published, fleet

NAN = float("nan")
AWAY = "live runs are not shown for now: Redis cannot be used"
BACK = "live runs are shown again"


@pytest.fixture
def redis_url() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture
def reader(redis_url: str, topics: TopicSettings) -> LiveReader:
    return LiveReader(redis_url, topics.topic_prefix)


def records(*events: TrainerEvent) -> list[Published]:
    return [Published(event.run_id.encode(), encode(event)) for event in events]


def step(number: int, loss: float = 1.0, *, run_id: str = "run", max_grad: float | None = 0.5) -> StepEvent:
    return StepEvent(run_id=run_id, step=number, ts=time.time(), loss=loss, max_grad=max_grad)


def log_of(worker: Worker) -> str:
    return worker.log.read_text()


def test_steps_and_signals_are_shown_and_how_the_run_ended(
    kafka: KafkaSettings, topics: TopicSettings, reader: LiveReader, redis_url: str, tmp_path: Path
) -> None:
    began = time.time()
    with running_worker(kafka, topics, tmp_path / "data", redis_url=redis_url) as worker:
        started = RunStarted(run_id="run", ts=began, project="p")
        publish(kafka, topics, records(started, step(1, 2.5), step(2, NAN, max_grad=None), step(3, 1.23456789)))
        wait_until(lambda: reader.last_step("run") == 3, worker)
        shown = reader.run("run")
        assert shown is not None
        assert (shown.project, shown.attempt, shown.state) == ("p", 0, "running")
        assert (shown.loss, shown.max_grad, shown.sparkline) == (1.23456789, 0.5, (2.5, 1.23456789))
        assert began <= (shown.event_at or 0) <= time.time()
        assert isinstance(shown.last_signal, LiveSignal)
        assert (shown.last_signal.type, shown.last_signal.severity, shown.last_signal.step) == (
            "non_finite",
            "critical",
            2,
        )
        assert reader.points("run") == [LivePoint(1, 2.5, 0.5), LivePoint(2, None, None), LivePoint(3, 1.23457, 0.5)]
        assert reader.signal_ids("run") == {each.signal_id for each in signals_on(kafka, topics)}

        ends: list[TrainerEvent] = [
            RunCompleted(run_id="run", ts=time.time(), steps=3),
            step(1, run_id="other"),
            RunFailed(run_id="other", ts=time.time(), error="out of memory"),
        ]
        publish(kafka, topics, records(*ends))
        wait_until(lambda: [reader.state(each) for each in ("run", "other")] == ["completed", "failed"], worker)
        assert [reader.batches(each)[-1].state for each in ("run", "other")] == ["completed", "failed"]
        assert set(reader.index()) == {"run", "other"}
        assert all(began <= at <= time.time() for at in reader.index().values())
        assert worker.counter("streakline_live_batches_total") == sum(
            len(reader.batches(run)) for run in ("run", "other")
        )
        assert AWAY not in log_of(worker)


def test_what_a_killed_worker_did_not_say_is_said_by_the_next(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    """Redis stands still while a run ends, and its worker dies before Redis goes on: nothing is published after."""
    with RedisOfTest() as server:
        reader = LiveReader(server.url, topics.topic_prefix)
        with running_worker(kafka, topics, tmp_path / "data", redis_url=server.url) as worker:
            publish(kafka, topics, records(step(1), step(2, NAN)))
            wait_until(lambda: reader.last_step("run") == 2, worker)
            server.halt()
            publish(kafka, topics, records(step(3), RunCompleted(run_id="run", ts=time.time(), steps=3)))
            worker.wait_for_events(4)
            worker.kill()
        server.go_on()
        assert reader.last_step("run") == 2
        with running_worker(kafka, topics, tmp_path / "data", redis_url=server.url) as worker:
            wait_until(lambda: reader.last_step("run") == 3, worker)
            shown = reader.run("run")
            assert shown is not None
            assert shown.state == "completed"
            assert shown.last_signal is not None
            assert shown.last_signal.step == 2
            # What comes again and is ignored changes nothing.
            publish(kafka, topics, records(step(1), step(2, NAN), step(3, 9.0)))
            publish(kafka, topics, records(step(1, run_id="after")))
            wait_until(lambda: reader.last_step("after") == 1, worker)
            assert reader.run("run") == shown
            assert reader.signal_ids("run") == {each.signal_id for each in signals_on(kafka, topics)}


def test_signals_of_a_worker_that_is_killed_again_and_again_are_shown_once(
    kafka: KafkaSettings, topics: TopicSettings, reader: LiveReader, redis_url: str, tmp_path: Path
) -> None:
    events = list(fleet(runs=14, steps=1_000, layers=4, seed=3))
    publish(kafka, topics, events)
    for _ in range(3):
        with running_worker(kafka, topics, tmp_path / "data", redis_url=redis_url) as worker:
            wait_until(lambda: worker.events() > 0, worker)  # called at once
            worker.kill()
    expected = {each.run_id: each for each in signals_of(decode(event.value) for event in events)}
    with running_worker(kafka, topics, tmp_path / "data", redis_url=redis_url) as worker:
        runs = [f"fleet/run-{index:04}" for index in range(14)]
        wait_until(lambda: {reader.last_step(run) for run in runs} == {999}, worker)
        for run_id in runs:
            shown, last = reader.run(run_id), expected.get(run_id)
            assert shown is not None
            found = shown.last_signal
            assert (found and (found.type, found.step)) == (last and (last.type, last.step))
            steps = [point.step for point in reader.points(run_id)]
            assert steps[-1] == 999
            assert reader.signal_ids(run_id) <= {each.signal_id for each in signals_on(kafka, topics)}


def test_a_redis_that_dies_and_comes_back_empty_is_filled_again_and_judging_never_waits(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    with RedisOfTest() as server:
        reader = LiveReader(server.url, topics.topic_prefix)
        with running_worker(kafka, topics, tmp_path / "data", redis_url=server.url) as worker:
            publish(kafka, topics, records(step(1), step(1, run_id="silent")))
            wait_until(lambda: reader.last_step("run") == reader.last_step("silent") == 1, worker)
            server.die()
            publish(
                kafka, topics, records(step(2, NAN), *(step(number, 2.0 + number % 2) for number in range(3, 1_002)))
            )
            worker.wait_for_events(1_002)
            wait_until(lambda: worker.counter("streakline_live_redis_away") == 1, worker)
            assert worker.counter("streakline_live_failures_total") > 0
            publish(kafka, topics, records(step(2_000, NAN)))
            wait_until(lambda: len(signals_on(kafka, topics)) == 2, worker)
            server.begin()
            wait_until(lambda: reader.last_step("run") == 2_000, worker)
            # What happened meanwhile is shown as one batch, thinned; and the run that said nothing is there as well.
            (batch,) = reader.batches("run")
            assert (batch.points[0].step, batch.points[-1].step) == (2, 2_000)
            assert len(batch.points) <= MAX_POINTS
            assert [each.step for each in batch.signals] == [2, 2_000]
            wait_until(lambda: reader.last_step("silent") == 1, worker)
            wait_until(lambda: worker.counter("streakline_live_redis_away") == 0, worker)
            assert (log_of(worker).count(AWAY), log_of(worker).count(BACK)) == (1, 1)


def test_without_a_redis_a_worker_says_so_once_and_judges(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    url = f"redis://somebody:secret@127.0.0.1:{free_port()}/0"
    with running_worker(kafka, topics, tmp_path / "data", redis_url=url) as worker:
        wait_until(lambda: worker.counter("streakline_live_failures_total") >= 2, worker)
        publish(kafka, topics, records(step(1, NAN)))
        wait_until(lambda: len(signals_on(kafka, topics)) == 1, worker)
    (line,) = [line for line in log_of(worker).splitlines() if "Redis" in line]
    assert line.endswith(f"{AWAY} (ConnectionError): start it, or set STREAKLINE_REDIS_URL")
    assert "secret" not in log_of(worker)


def test_a_worker_that_is_told_to_end_shows_what_waits_and_waits_for_no_redis(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    with RedisOfTest() as server:
        reader = LiveReader(server.url, topics.topic_prefix)
        for number in range(1, 4):
            with running_worker(kafka, topics, tmp_path / "data", redis_url=server.url) as worker:
                worker.wait_until_ready()
                publish(kafka, topics, records(step(number)))
                worker.wait_for_events(1)
                worker.process.terminate()
                assert worker.process.wait(30) == 0
            assert reader.last_step("run") == number
        with running_worker(kafka, topics, tmp_path / "data", redis_url=server.url) as worker:
            worker.wait_until_ready()
            server.halt()
            publish(kafka, topics, records(step(4)))
            worker.wait_for_events(1)
            worker.process.terminate()
            assert worker.process.wait(30) == 0


def test_runs_that_move_to_another_worker_are_shown_on(
    kafka: KafkaSettings, topics: TopicSettings, reader: LiveReader, redis_url: str, tmp_path: Path
) -> None:
    runs = [f"run-{index}" for index in range(16)]

    def step_all(number: int) -> None:
        publish(kafka, topics, records(*(step(number, run_id=run_id) for run_id in runs)))

    with running_worker(kafka, topics, tmp_path / "one", redis_url=redis_url) as one:
        one.wait_until_ready()
        step_all(1)
        wait_until(lambda: {reader.last_step(run_id) for run_id in runs} == {1}, one)
        with running_worker(kafka, topics, tmp_path / "two", redis_url=redis_url) as two:
            two.wait_until_ready()
            step_all(2)
            wait_until(lambda: {reader.last_step(run_id) for run_id in runs} == {2}, two)
            assert two.counter("streakline_live_batches_total") > 0
        step_all(3)
        wait_until(lambda: {reader.last_step(run_id) for run_id in runs} == {3}, one)
    assert {len(reader.points(run_id)) for run_id in runs} == {3}


def test_what_redis_refuses_of_one_run_keeps_no_other_from_being_shown(
    kafka: KafkaSettings, topics: TopicSettings, reader: LiveReader, redis_url: str, tmp_path: Path
) -> None:
    reader.client.set(batches_key(topics.topic_prefix, "run"), "not a stream")
    with running_worker(kafka, topics, tmp_path / "data", redis_url=redis_url) as worker:
        publish(kafka, topics, records(step(1), step(1, run_id="other")))
        wait_until(lambda: reader.last_step("other") == 1 and bool(reader.batches("other")), worker)
        assert reader.last_step("run") == 1
        wait_until(lambda: worker.counter("streakline_live_failures_total") == 1, worker)
        publish(kafka, topics, records(step(2), step(2, run_id="other")))
        wait_until(lambda: len(reader.batches("other")) == 2, worker)
        assert log_of(worker).count("Redis refuses") == 1


def test_a_url_that_is_none_keeps_a_worker_from_starting(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    with running_worker(kafka, topics, tmp_path / "data", redis_url="http://somebody:secret@host") as worker:
        assert worker.process.wait(60) == 2
    assert "the stream worker cannot start: STREAKLINE_REDIS_URL is no Redis URL" in log_of(worker)
    assert "secret" not in log_of(worker)


class RedisOfTest:
    """A server that can be halted, killed, and started again with nothing in it."""

    def __init__(self) -> None:
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"

    def __enter__(self) -> "RedisOfTest":
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.go_on()
        stop(self._process)

    def begin(self) -> None:
        self._process = start_redis(self._port)

    def halt(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def die(self) -> None:
        self._process.kill()
        self._process.wait()
