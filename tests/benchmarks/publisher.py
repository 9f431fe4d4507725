"""What `run.step` costs the loop, and what an hour without a broker costs the machine."""

import logging
import resource
import socket
import tempfile
import time
from pathlib import Path

from producers.gradients.norms import Measured
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.spool.settings import SpoolSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from streakline.processes import free_port
from tests.benchmarks.figures import Figure

LAYERS = (16, 100, 200)
STEPS = 3_000
LOOP_SECONDS = 0.002
"""between two steps of the loop that publishes: a fast one"""

OUTAGE_LAYERS = 200
OUTAGE_STEPS_PER_SECOND = 10
HOUR_SECONDS = 3_600
_IN_STEP = 100
"""events after which the simulated loop lets the thread catch up, as time would"""


def main() -> None:
    """Print both tables."""
    # A broker that is away is what is measured here.
    logging.getLogger("streakline").setLevel(logging.CRITICAL)
    print(f"## run.step, in microseconds: median (10th to 90th percentile) of {STEPS:,} steps")
    print(f"{'layers':>6} {'broker':>8}  {'step()':>20} {'slowest':>9} {'acknowledged':>14}")
    with running_broker() as bootstrap:
        there = KafkaSettings(kafka_bootstrap=bootstrap)
        ensure_topics(there, TopicSettings())
        away = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            # It accepts, and never answers.
            silent = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{listener.getsockname()[1]}")
            for layers in LAYERS:
                for name, kafka in (("there", there), ("away", away), ("silent", silent)):
                    _steps(layers, name, kafka)
    print(
        f"\n## An hour without a broker: {OUTAGE_STEPS_PER_SECOND * HOUR_SECONDS:,} steps of {OUTAGE_LAYERS} layers, "
        "as fast as they are kept"
    )
    _outage()


def measured(layers: int) -> Measured:
    """Norms of so many layers."""
    names = [f"model.layers.{layer // 2}.{'mlp' if layer % 2 else 'self_attn'}" for layer in range(layers)]
    return Measured(1.5, {name: 0.1234567 + layer for layer, name in enumerate(names)})


def _steps(layers: int, broker: str, kafka: KafkaSettings) -> None:
    gradients = measured(layers)
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        spool = SpoolSettings(spool_dir=folder)
        run = StepPublisher(run_id=f"bench-{layers}", kafka=kafka, topics=TopicSettings(), spool=spool)
        for step in range(STEPS):
            began = time.perf_counter()
            run.step(step, 2.0 + step % 7, learning_rate=3e-4, gradients=gradients, epoch=0.5)
            figures.append(time.perf_counter() - began)
            time.sleep(LOOP_SECONDS)
        run.close(10.0 if broker == "there" else 0.5)
    stats, figure = run.stats, Figure(figures)
    print(
        f"{layers:>6} {broker:>8}  {figure!s:>20} {1e6 * max(figures):>9,.0f} "
        f"{stats.acknowledged:>6,} of {stats.published:,}"
    )


def _outage() -> None:
    gradients = measured(OUTAGE_LAYERS)
    before = _peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        kafka = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
        run = StepPublisher(run_id="outage", kafka=kafka, topics=TopicSettings(), spool=SpoolSettings(spool_dir=folder))
        began = time.perf_counter()
        peaks = []
        for step in range(OUTAGE_STEPS_PER_SECOND * HOUR_SECONDS):
            run.step(step, 2.0 + step % 7, learning_rate=3e-4, gradients=gradients, epoch=0.5)
            if step % _IN_STEP == 0:
                while run.stats.published + run.stats.dropped < step - _IN_STEP:
                    time.sleep(0.001)
            if step % (OUTAGE_STEPS_PER_SECOND * HOUR_SECONDS // 4) == 0:
                peaks.append(_peak_mib())
        peaks.append(_peak_mib())
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        run.close(1.0)
        closing = time.perf_counter() - began
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        stats = run.stats
    records = stats.published + stats.dropped
    print(
        f"peak memory before {before:.1f} MiB, after each quarter {', '.join(f'{peak:.1f}' for peak in peaks)} MiB; "
        f"{size / 2**20:,.0f} MiB in the spool; {stats.dropped:,} of {records:,} records dropped; "
        f"close(1.0) took {closing:.2f} s; {stats.published / seconds:,.0f} events/s were kept"
    )


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
