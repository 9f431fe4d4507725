"""Many publishers at once against one broker and one stream worker."""

from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.fleet import Fleet, play


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "fleet",
    [
        pytest.param(Fleet(runs=200, steps=60, layers=8, step_seconds=0.05), id="200 processes"),
        pytest.param(Fleet(runs=2_000, steps=30, layers=8, step_seconds=None), id="2000 simulated runs"),
    ],
)
def test_nothing_is_lost_and_the_signals_are_the_offline_replays(
    fleet: Fleet, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    played = play(fleet, kafka, topics, tmp_path)
    assert played.signals > fleet.runs / 2
