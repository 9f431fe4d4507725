"""The stream worker on a real broker: its signals are the offline replay's, whatever happens to it."""

import json
import signal
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from producers.codec import MalformedEvent, decode, decode_signal, encode
from producers.events import RunCompleted, RunStarted, Signal, StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import signals_of, steps
from stream_app.records import decode_record
from stream_app.settings import StreamSettings
from tests.commands import streakline
from tests.large_records import LARGE, sizes, sizes_of_its_letter
from tests.publishing import publish, publish_to, signals_on
from tests.worker import header, running_worker, wait_until
from tests.workload import Published, fleet


def offline(records: Iterable[Published]) -> list[Signal]:
    return list(signals_of(decode(record.value) for record in records if record.refusal is None))


def by_id(signals: Iterable[Signal]) -> dict[str, bytes]:
    return {signal.signal_id: encode(signal) for signal in signals}


def as_records(events: Iterable[StepEvent]) -> list[Published]:
    return [Published(event.run_id.encode(), encode(event)) for event in events]


@pytest.mark.timeout(600)
def test_a_fleet_gives_the_signals_of_detect_and_every_malformed_record_is_kept(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    records = list(fleet(runs=56, steps=1_850, layers=16, chaos=0.03))
    refused = [record for record in records if record.refusal is not None]
    assert len(records) >= 100_000
    assert len(refused) > 1_000
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        count = publish(kafka, topics, records)
        worker.wait_for_events(count, timeout_seconds=400.0)

    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(record.value for record in records if record.refusal != "wrong_key"))
    detected = streakline("detect", file)
    assert detected.code == 1  # It says that lines were malformed.
    expected = {json.loads(line)["signal_id"]: line.encode() for line in detected.lines}
    assert len(expected) > 1_000
    emitted = signals_on(kafka, topics)
    assert by_id(emitted) == expected
    assert len(emitted) == len(expected)

    letters = list(read_topic(kafka, topic_names(topics).dead_letters))
    kept = Counter((letter.key(), letter.value(), header(letter, "reason")) for letter in letters)
    assert kept == Counter((record.key, record.value, record.refusal) for record in refused)
    assert all(header(letter, "source-topic") == topic_names(topics).steps for letter in letters)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("keeps_data", [True, False])
def test_workers_that_end_mid_stream_lose_and_add_nothing(
    how: signal.Signals, keeps_data: bool, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    """Every one of them recovers with a backlog waiting, which is when Faust by itself loses what it reads."""
    records = list(fleet(runs=14, steps=2_000, layers=4, chaos=0.02, seed=1))
    expected = by_id(offline(records))
    publish(kafka, topics, records)
    for index in range(4):
        with running_worker(kafka, topics, tmp_path / ("data" if keeps_data else f"data-{index}")) as worker:
            wait_until(lambda: worker.events() > 0, worker)  # called at once
            worker.process.send_signal(how)
            assert worker.process.wait(30) == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    assert len(by_id(signals_on(kafka, topics))) < len(expected)
    with running_worker(kafka, topics, tmp_path / "data"):
        wait_until(lambda: by_id(signals_on(kafka, topics)) == expected, timeout_seconds=120)


# A fetch that began before the flow was stopped ends before it is resumed: the broker takes its time with the
# committed offsets.
_SEEKS_SLOWLY = """
import asyncio
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from streakline.cli.main import main

seek = AIOKafkaConsumerThread.seek_to_committed

async def seek_slowly(self):
    await asyncio.sleep(5)
    return await seek(self)

async def fetch(self, consumer, partitions, timeout=None, max_records=None):
    with consumer._fetcher._subscriptions.fetch_context():
        return await consumer._fetcher.fetched_records(partitions, timeout=30, max_records=max_records)

AIOKafkaConsumerThread.seek_to_committed = seek_slowly
AIOKafkaConsumerThread._fetch_records = fetch
main()
"""


def test_what_is_fetched_before_the_positions_are_set_is_judged_though_nothing_was_ever_committed(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    publish(kafka, topics, as_records([StepEvent(run_id="only", step=1, ts=1.0, loss=1.0)]))
    with running_worker(kafka, topics, tmp_path / "first") as worker:
        worker.wait_for_events(1)
    # It has a table to recover, and three of four partitions that nothing was committed for.
    with running_worker(kafka, topics, tmp_path / "second", program=("-c", _SEEKS_SLOWLY, "stream")) as worker:
        worker.wait_until_ready()
        count = publish(kafka, topics, fleet(runs=14, steps=10, layers=4))
        wait_until(lambda: worker.events() == count, worker)


# As just after a rebalance, when Faust looks before aiokafka has set the position.
_LOOKS_EARLY = """
from pathlib import Path
from aiokafka import TopicPartition
from faust.transport.drivers.aiokafka import Consumer
from streakline.cli.main import main

verify = Consumer.verify_event_path

def look_early(self, now, tp):
    assignment = self._thread._consumer._subscription.subscription.assignment
    state = assignment.state_value(TopicPartition(tp.topic, tp.partition))
    kept, state._position = state._position, None
    try:
        verify(self, now, tp)
    finally:
        state._position = kept
    Path({looked!r}).touch()

Consumer.verify_event_path = look_early
main()
"""


def test_a_look_for_a_livelock_ends_nobody(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    looked = tmp_path / "looked"
    program = ("-c", _LOOKS_EARLY.format(looked=str(looked)), "stream")
    with running_worker(kafka, topics, tmp_path / "data", program=program) as worker:
        wait_until(looked.exists, worker)
        worker.wait_for_events(publish(kafka, topics, fleet(runs=7, steps=10, layers=4)))


def test_two_workers_share_the_load_and_one_takes_over(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    records = list(fleet(runs=28, steps=1_500, layers=4, seed=2))
    half = len(records) // 2
    expected = by_id(offline(records))
    with (
        running_worker(kafka, topics, tmp_path / "one") as one,
        running_worker(kafka, topics, tmp_path / "two") as two,
    ):
        one.wait_until_ready()
        two.wait_until_ready()
        publish(kafka, topics, records[:half])
        wait_until(lambda: one.events() > 0 and two.events() > 0)
        two.kill()
        publish(kafka, topics, records[half:])
        wait_until(lambda: by_id(signals_on(kafka, topics)) == expected, one, timeout_seconds=120)


def test_a_run_that_ended_is_forgotten_after_its_delay_and_a_restart_is_judged_anew(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    settings = StreamSettings(finished_run_seconds=1.0, expiry_interval_seconds=0.5)
    losses = [float(step) for step in range(12)]
    first = [
        Published(b"run", encode(RunStarted(run_id="run", ts=0.0, project="p", early_stop=("loss_diverging",)))),
        *as_records(steps(loss=losses)),
        Published(b"run", encode(RunCompleted(run_id="run", ts=12.0, steps=12))),
        Published(b"other", as_records(steps(loss=[1.0], run_id="other"))[0].value),
    ]

    def states() -> dict[bytes, bytes | None]:
        return {m.key() or b"": m.value() for m in read_topic(kafka, topic_names(topics).state_changelog)}

    with running_worker(kafka, topics, tmp_path / "data", settings) as worker:
        publish(kafka, topics, first)
        wait_until(lambda: states().get(b"run", b"") is None, worker)
        assert decode_record(states()[b"other"] or b"").state.last_step == 0
        assert worker.counter("streakline_expired_runs_total") == 1
        # The same attempt again: its state is gone, so it is a run like any other.
        publish(kafka, topics, as_records(steps(loss=losses, run_id="run")))
        wait_until(lambda: len(signals_on(kafka, topics)) == 2, worker)
    assert [(signal.project, signal.action) for signal in signals_on(kafka, topics)] == [
        ("p", "stop"),
        ("default", None),
    ]


def test_what_a_hostile_producer_sends_ends_in_the_dead_letters(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    hostile = [
        Published(b"__faust\0offset__", b"x"),
        Published(b"__faust\0offset__", as_records(steps(loss=[1.0]))[0].value),
        Published(None, b""),
        Published(b"run", b"[" * 100_000),
        Published(b"run", b'{"run_id": "run", "step": 1, "ts": 1, "loss": 1, "gradNorms": {"a": {"b": 1}}}'),
        Published(b"run", b" " * 1_100_000),
        Published(b"run\n", as_records(steps(loss=[1.0]))[0].value.replace(b'"run"', b'"run\\n"')),
    ]
    for record in hostile:
        try:
            assert decode(record.value).run_id.encode() != record.key
        except MalformedEvent:
            continue
    healthy = as_records(steps(loss=[float("nan")], run_id="healthy"))
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        worker.wait_for_events(publish(kafka, topics, [*hostile, *healthy]))
        assert worker.process.poll() is None
    letters = list(read_topic(kafka, topic_names(topics).dead_letters))
    assert Counter(letter.value() for letter in letters) == Counter(record.value for record in hostile)
    assert [signal.run_id for signal in signals_on(kafka, topics)] == ["healthy"]


def test_records_that_are_larger_than_a_letter_are_cut_and_the_others_judged(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    publish_to(kafka, topic_names(topics).steps, LARGE, max_bytes=64 << 20)
    healthy = as_records(steps(loss=[float("nan")], run_id="healthy"))
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        worker.wait_for_events(len(LARGE) + publish(kafka, topics, healthy))
    letters = read_topic(kafka, topic_names(topics).dead_letters)
    assert sorted(map(sizes, letters)) == sorted(map(sizes_of_its_letter, LARGE))
    assert [signal.run_id for signal in signals_on(kafka, topics)] == ["healthy"]


def test_thresholds_of_a_project_apply_to_its_runs(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    thresholds = tmp_path / "thresholds.toml"
    thresholds.write_text("[projects.calm]\ndivergence_rise = 100.0\n")
    losses = [float(step) for step in range(12)]
    calm = Published(b"calm", encode(RunStarted(run_id="calm", ts=0.0, project="calm")))
    records = [calm, *as_records(steps(loss=losses, run_id="calm")), *as_records(steps(loss=losses, run_id="other"))]
    with running_worker(kafka, topics, tmp_path / "data", StreamSettings(thresholds=str(thresholds))) as worker:
        worker.wait_for_events(publish(kafka, topics, records))
    assert [decode_signal(encode(s)).run_id for s in signals_on(kafka, topics)] == ["other"]
