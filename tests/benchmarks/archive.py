"""The archive: how fast it takes a backlog, what an event takes in the lake, and what that costs at the least."""

import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition

from producers.codec import decode, encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings, group_config
from producers.settings import to_environ
from producers.topics import TopicSettings, archive_group, ensure_topics, topic_names
from streakline.broker import running_broker
from tests.publishing import publish
from tests.workload import Published
from workers.archive.files import serialise
from workers.archive.rows import Record, to_table
from workers.settings import ArchiveSettings

EVENTS = 200_000
SAMPLE = 20_000
LAYERS = 24
RUNS = 64


def main() -> None:
    """Print all of them."""
    print(f"## streakline archive, {LAYERS} layers, {RUNS} runs, broker and bench on the same machine")
    raw = [record.value for record in records(SAMPLE)]
    mib = sum(map(len, raw)) / 2**20
    _floor(raw, mib)
    with tempfile.TemporaryDirectory() as folder, running_broker() as bootstrap:
        kafka, topics = KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings()
        ensure_topics(kafka, topics)
        publish(kafka, topics, records(EVENTS))
        seconds, peak_mib = _archived(kafka, topics, Path(folder))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
    total_mib = mib * EVENTS / SAMPLE
    print(
        f"a backlog of {EVENTS:,} events, the command's start and its place in the group included: "
        f"{EVENTS / seconds:,.0f} events/s, {total_mib / seconds:.1f} MiB/s of JSON, peak memory {peak_mib:.0f} MiB"
    )
    print(
        f"an event takes {size / EVENTS:.0f} bytes in the lake, {2**20 * mib / SAMPLE:,.0f} as JSON "
        f"({4 * LAYERS} are its norms as 32-bit floats)"
    )


def records(count: int) -> Iterator[Published]:
    """Steps whose figures were 32-bit floats, as a trainer's are."""
    rng = random.Random(0)
    names = [f"model.layers.{layer // 2}.{'mlp' if layer % 2 else 'self_attn'}" for layer in range(LAYERS)]
    for number in range(count):
        norms: dict[str, float | None] = {name: float32(rng.lognormvariate(-1.0, 0.5)) for name in names}
        event = StepEvent(
            run_id=f"team/run-{number % RUNS}",
            step=number // RUNS,
            ts=1.7e9 + number / 100,
            loss=float32(2.0 + rng.random()),
            learning_rate=3e-4,
            max_grad=max(norm for norm in norms.values() if norm is not None),
            grad_norms=norms,
        )
        yield Published(event.run_id.encode(), encode(event))


def float32(value: float) -> float:
    """As a trainer's figures are."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _floor(raw: list[bytes], mib: float) -> None:
    """Each part of the work by itself, in one thread."""
    started = time.perf_counter()
    events = [decode(each) for each in raw]
    decoded = time.perf_counter()
    table = to_table("steps", "t", 0, [Record(offset, 0, event) for offset, event in enumerate(events)])
    columns = time.perf_counter()
    serialise("steps", [table])
    ended = time.perf_counter()
    pa.Codec("zstd").compress(b"\n".join(raw))
    parts = {
        "decoding": decoded - started,
        "columns": columns - decoded,
        "sorting, Parquet and zstd": ended - columns,
        "(zstd of the JSON, to compare)": time.perf_counter() - ended,
    }
    for name, seconds in parts.items():
        print(f"{name}: {1e6 * seconds / len(raw):.1f} µs an event, {mib / seconds:,.0f} MiB/s of JSON")


def _archived(kafka: KafkaSettings, topics: TopicSettings, folder: Path) -> tuple[float, float]:
    """Seconds until the last offset is committed, and the archiver's peak of resident memory in MiB."""
    settings = ArchiveSettings(lake=str(folder / "lake"), archive_seconds=2.0, session_timeout_seconds=3.0)
    environ = {**os.environ, **to_environ(settings), **to_environ(kafka), **to_environ(topics)}
    observer = Consumer(group_config(kafka, archive_group(topics), session_timeout_seconds=6.0))
    partitions = [TopicPartition(topic_names(topics).steps, number) for number in range(topics.partitions)]
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "streakline", "archive"], env=environ, stderr=subprocess.DEVNULL)
    while sum(max(0, each.offset) for each in observer.committed(partitions, timeout=10)) < EVENTS:
        if time.perf_counter() - started > 300:
            raise TimeoutError("the backlog is not archived after five minutes")
        time.sleep(0.1)
    seconds = time.perf_counter() - started
    process.terminate()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    observer.close()
    return seconds, usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
