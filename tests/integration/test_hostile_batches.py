"""Batches that no honest producer sends, on a real broker: the worker passes them, and leaves a trace of each."""

from functools import partial
from itertools import accumulate
from pathlib import Path

from producers.codec import encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.partitioner import partition_of
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.bounded_batches import MAX_BATCH_BYTES
from tests.committed import committed
from tests.publishing import publish, signals_on
from tests.record_batches import GZIP, LZ4, NONE, SNAPPY, ZSTD, batch, bomb, produce, record
from tests.worker import Worker, header, running_worker, wait_until
from tests.workload import Published

PARTITION = 2
BESIDE_BYTES = 384 << 20
"""what a worker takes when nobody attacks it, and more"""

# With the number of their records.
BOMBS = [
    (batch(bomb(GZIP, 900), GZIP), 1),
    (batch(bomb(LZ4, 230), LZ4), 1),
    (batch(bomb(ZSTD, 1500), ZSTD), 1),
    # A block that says it is 4 GiB.
    (batch(b"\xff\xff\xff\xff\x0f\0", SNAPPY, count=3), 3),
]
DAMAGED = [
    (batch(b"rubbish", ZSTD, count=2), 2),
    # A header whose name is no text.
    (batch(record(b"x", headers=b"\x02\x02\xff\x00")), 1),
    (batch(b"\xff" * 20, NONE, count=4), 4),
]


def as_sent(raw: bytes) -> bytes:
    """Without the offset and the epoch, which are the broker's, before what the checksum is of."""
    return raw[16:]


def has_counted(worker: Worker, reason: str, count: int) -> bool:
    return worker.counter("streakline_invalid_records_total", reason=reason) == count


def peak_bytes(worker: Worker) -> int:
    """The most that was resident of it."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def test_bombs_and_damaged_batches_end_as_dead_letters_and_hold_nothing_up(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    names = topic_names(topics)
    # Apache Kafka looks into what it takes, and refuses some of them itself.
    bombs, damaged = (
        [(raw, count) for raw, count in batches if produce(kafka, names.steps, PARTITION, raw) == 0]
        for batches in (BOMBS, DAMAGED)
    )
    assert bombs
    good = [
        Published(name.encode(), encode(StepEvent(run_id=name, step=1, ts=1.0, loss=float("nan"))))
        for name in map("run-{}".format, range(32))
    ]
    publish(kafka, topics, good)
    ends = list(accumulate(count for _, count in (*bombs, *damaged)))
    beside = sum(partition_of(record.key or b"", topics.partitions) == PARTITION for record in good)
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        wait_until(lambda: len(signals_on(kafka, topics)) == len(good), worker, timeout_seconds=120)
        for reason, batches in (("batch_too_large", bombs), ("batch_damaged", damaged)):
            wait_until(partial(has_counted, worker, reason, len(batches)), worker)
        # They are acknowledged as everything else is: no worker meets them again.
        wait_until(lambda: committed(kafka, topics)[PARTITION] == ends[-1] + beside, worker)
        assert peak_bytes(worker) < BESIDE_BYTES + MAX_BATCH_BYTES
    letters = sorted(read_topic(kafka, names.dead_letters), key=lambda each: int(header(each, "source-offset")))
    hostile = [("batch_too_large", as_sent(raw)) for raw, _ in bombs] + [
        ("batch_damaged", as_sent(raw)) for raw, _ in damaged
    ]
    assert [(header(letter, "reason"), as_sent(letter.value() or b"")) for letter in letters] == hostile
    assert {header(letter, "source-topic") for letter in letters} == {names.steps}
    assert {header(letter, "source-partition") for letter in letters} == {str(PARTITION)}
    # From the first record of each batch to its last there is no gap.
    assert [int(header(each, "source-offset")) + 1 for each in letters] == ends
    assert [int(header(each, "source-first-offset")) for each in letters] == [0, *ends[:-1]]
