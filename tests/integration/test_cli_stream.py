"""`streakline stream` refuses to start on what cannot be right, in one sentence, before it reads anything."""

import socket
from pathlib import Path

import pytest

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.commands import settings_environ, start


def refused(environ: dict[str, str], folder: Path) -> tuple[int, str]:
    """How a worker that must not start ends: its exit code and its one line."""
    worker = start("stream", environ={"STREAKLINE_DATA_DIR": str(folder / "data"), **environ})
    _, err = worker.communicate(timeout=60)
    lines = err.decode().splitlines()
    assert len(lines) == 1, err.decode()
    return worker.returncode, lines[0]


def test_a_broker_that_is_away(tmp_path: Path) -> None:
    code, line = refused({"STREAKLINE_KAFKA_BOOTSTRAP": "127.0.0.1:1"}, tmp_path)
    assert code == 3
    assert line.startswith("streakline: no answer from the broker at 127.0.0.1:1")


def test_topics_that_are_missing(kafka: KafkaSettings, tmp_path: Path) -> None:
    environ = settings_environ(kafka, TopicSettings(topic_prefix="never-made."))
    assert refused(environ, tmp_path) == (
        3,
        "streakline: topic never-made.steps is missing: run `streakline topics ensure`",
    )


def test_another_number_of_partitions(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    code, line = refused({**settings_environ(kafka, topics), "STREAKLINE_PARTITIONS": "5"}, tmp_path)
    assert code == 3
    assert "has 4 partitions and the settings say 5: set STREAKLINE_PARTITIONS=4" in line


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("STREAKLINE_THRESHOLDS", "{folder}/missing.toml", "No such file or directory"),
        ("STREAKLINE_THRESHOLDS", "{folder}/wrong.toml", "cooldown"),
        ("STREAKLINE_METRICS_PORT", "{taken}", "in use"),
        ("STREAKLINE_METRICS_PORT", "many", "STREAKLINE_METRICS_PORT: Expected `int | null`, got `str`"),
        ("STREAKLINE_DATA_DIR", "{folder}/wrong.toml/data", "Not a directory"),
    ],
)
def test_settings_that_cannot_be_right(
    name: str, value: str, complaint: str, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    (tmp_path / "wrong.toml").write_text("[default]\ncooldown = 5\n")
    with socket.create_server(("127.0.0.1", 0)) as server:
        setting = value.format(folder=tmp_path, taken=server.getsockname()[1])
        code, line = refused({**settings_environ(kafka, topics), name: setting}, tmp_path)
    assert code == 2
    assert complaint in line
