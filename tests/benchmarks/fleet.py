"""Many publishers at once against one broker and one stream worker; every step and every signal is checked."""

import tempfile
from pathlib import Path

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from tests.fleet import Fleet, play

FLEETS = (
    Fleet(runs=50, steps=200, layers=24, step_seconds=0.05),
    Fleet(runs=200, steps=200, layers=24, step_seconds=0.2),
    Fleet(runs=2_000, steps=50, layers=24, step_seconds=None),
)


def main() -> None:
    """Print the table."""
    print("## A fleet: publishers, broker and one stream worker on the same machine; nothing lost, signals as offline")
    print(
        f"{'runs':>6} {'each is':>10} {'steps':>6} {'records':>8} {'published/s':>11}  {'publishing, s':>14} "
        f"{'then judged after, s':>21} {'signals':>8}"
    )
    for fleet in FLEETS:
        with tempfile.TemporaryDirectory() as folder, running_broker() as bootstrap:
            kafka, topics = KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings()
            ensure_topics(kafka, topics)
            played = play(fleet, kafka, topics, Path(folder))
        kind = "simulated" if fleet.step_seconds is None else "a process"
        print(
            f"{fleet.runs:>6,} {kind:>10} {fleet.steps:>6} {played.records:>8,} "
            f"{played.records / played.publishing_seconds:>11,.0f}  {played.publishing_seconds:>14.1f} "
            f"{played.judging_seconds:>21.1f} {played.signals:>8,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
