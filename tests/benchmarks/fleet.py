"""Many publishers at once against one broker and one stream worker; every step and every signal is checked."""

import tempfile
from pathlib import Path

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from tests.fleet import Fleet, play

FLEETS = (
    Fleet(processes=50, runs_each=1, steps=200, layers=24, step_seconds=0.05),
    Fleet(processes=200, runs_each=1, steps=200, layers=24, step_seconds=0.2),
    Fleet(processes=10, runs_each=200, steps=20, layers=24, step_seconds=4.0),
)


def main() -> None:
    """Print the table."""
    print("## A fleet: publishers, broker and one stream worker on the same machine; nothing lost, signals as offline")
    print(
        f"{'runs':>6} {'processes':>9} {'steps':>6} {'wanted/s':>9}  {'published/s':>11} {'publishing, s':>14} "
        f"{'then judged after, s':>21} {'signals':>8}"
    )
    for fleet in FLEETS:
        with tempfile.TemporaryDirectory() as folder, running_broker() as bootstrap:
            kafka, topics = KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings()
            ensure_topics(kafka, topics)
            played = play(fleet, kafka, topics, Path(folder))
        print(
            f"{fleet.runs:>6,} {fleet.processes:>9} {fleet.steps:>6} {fleet.runs / fleet.step_seconds:>9,.0f}  "
            f"{fleet.records / played.publishing_seconds:>11,.0f} {played.publishing_seconds:>14.1f} "
            f"{played.judging_seconds:>21.1f} {played.signals:>8,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
