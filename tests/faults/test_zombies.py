"""A stream worker that stands still for longer than its session, between judging a batch and writing its states."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import decode, encode
from producers.events import Signal
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import signals_of
from tests.committed import committed
from tests.publishing import publish, signals_on
from tests.worker import Worker, running_worker, wait_until
from tests.workload import Published, fleet

# It stands still in the first batch after the file is there: its signals are told, its states are not yet. The next
# batch is held until it has heard that its partitions are gone, and is dropped then: else it soon catches up.
_STANDS_STILL = """
import asyncio, os, signal
from pathlib import Path
from stream_app.tables import ReplicatedTable
from streakline.cli.main import main

replicate = ReplicatedTable.replicate
still = Path({still!r})
left = None

async def stand_still(self, values):
    global left
    app = self._app
    if left == app.consumer_generation_id:
        while left == app.consumer_generation_id:
            await asyncio.sleep(0.05)
        return {{}}
    if values and still.exists():
        still.unlink()
        os.kill(os.getpid(), signal.SIGSTOP)
        left = app.consumer_generation_id
    return await replicate(self, values)

ReplicatedTable.replicate = stand_still
main()
"""

RUNS = 14
STEPS = 400


@pytest.fixture
def parts() -> list[list[Published]]:
    """A fleet's records in four parts, in order; what each run does shows in the signals of all of them."""
    records = list(fleet(runs=RUNS, steps=STEPS, layers=4, seed=5))
    quarter = len(records) // 4
    return [
        records[:quarter],
        records[quarter : 2 * quarter],
        records[2 * quarter : 3 * quarter],
        records[3 * quarter :],
    ]


def expected(parts: list[list[Published]]) -> dict[str, bytes]:
    return by_id(signals_of(decode(record.value) for part in parts for record in part))


def by_id(signals: Iterator[Signal] | list[Signal]) -> dict[str, bytes]:
    return {signal.signal_id: encode(signal) for signal in signals}


def stands_still(worker: Worker) -> bool:
    state = Path(f"/proc/{worker.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


def states(kafka: KafkaSettings, topics: TopicSettings) -> int:
    return sum(1 for _ in read_topic(kafka, topic_names(topics).state_changelog))


@pytest.mark.parametrize("goes_on", ["another, with nothing", "the one that stood still"])
def test_what_it_writes_behind_the_worker_that_took_over_is_left_out(
    goes_on: str, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, parts: list[list[Published]]
) -> None:
    still = tmp_path / "still"
    program = ("-c", _STANDS_STILL.format(still=str(still)), "stream")
    with running_worker(kafka, topics, tmp_path / "first", program=program) as first:
        count = publish(kafka, topics, parts[0])
        first.wait_for_events(count)
        still.touch()
        count += publish(kafka, topics, parts[1])
        wait_until(lambda: stands_still(first))
        with running_worker(kafka, topics, tmp_path / "second") as second:
            second.wait_until_ready()
            count += publish(kafka, topics, parts[2])
            # Of the second part it gets what the first had not taken, and what that stood still with.
            wait_until(lambda: by_id(signals_on(kafka, topics)) == expected(parts[:3]), second)
            wait_until(lambda: sum(committed(kafka, topics).values()) == count, second)
            before = states(kafka, topics)
            first.process.send_signal(signal.SIGCONT)
            wait_until(lambda: states(kafka, topics) > before, first)
            second.kill()
        if goes_on == "another, with nothing":
            first.kill()
            with running_worker(kafka, topics, tmp_path / "third") as third:
                publish(kafka, topics, parts[3])
                wait_until(lambda: by_id(signals_on(kafka, topics)) == expected(parts), third, 30)
                assert "is behind the one before it" in third.log.read_text()
        else:
            publish(kafka, topics, parts[3])
            wait_until(lambda: by_id(signals_on(kafka, topics)) == expected(parts), first, 30)
