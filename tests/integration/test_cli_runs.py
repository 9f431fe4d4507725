import json

import pytest
from confluent_kafka import Producer

from producers.codec import encode
from producers.events import Lifecycle, RunCompleted, RunFailed, RunStarted, StepEvent
from producers.kafka import KafkaSettings, producer_config
from producers.topics import TopicSettings, topic_names
from stream_app.engine.replay import Replay, steps
from stream_app.records import VERSION, RunRecord, encode_record
from tests.commands import settings_environ, streakline

LIFECYCLES: list[Lifecycle] = [
    RunStarted(run_id="well", ts=100.0, project="llm"),
    RunCompleted(run_id="well", ts=200.0, project="llm", steps=50),
    RunStarted(run_id="badly", ts=300.0, project="llm"),
    RunFailed(run_id="badly", ts=400.0, project="llm", error="out of memory"),
    RunStarted(run_id="still", ts=500.0, project="vision"),
]


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    names = topic_names(topics)
    producer = Producer(producer_config(kafka))
    for event in LIFECYCLES:
        producer.produce(names.runs, encode(event), event.run_id)
    producer.produce(names.runs, encode(StepEvent(run_id="a/step", step=1, ts=1.0, loss=1.0)), b"a/step")
    producer.produce(names.runs, b"no event", b"well")
    replay = Replay()
    for step in steps(loss=[1.0 + 0.1 * i for i in range(20)], run_id="never/announced"):
        signal = replay.apply(step)
        if signal is not None:
            for _ in range(2):
                producer.produce(names.signals, encode(signal), signal.run_id)
    record = encode_record(RunRecord(VERSION, replay.states["never/announced"], 1000.0))
    producer.produce(names.state_changelog, record, b"never/announced")
    producer.produce(names.state_changelog, record, b"expired")
    producer.produce(names.state_changelog, b"no state", b"other")
    producer.flush()
    producer.produce(names.state_changelog, None, b"expired")
    producer.flush()
    return settings_environ(kafka, topics)


def test_every_run_is_a_row(environ: dict[str, str]) -> None:
    ended = streakline("runs", environ=environ)
    assert ended.code == 0
    header, *rows = ended.lines
    assert header.startswith("run ")
    assert [row.split()[0] for row in rows] == ["never/announced", "well", "badly", "still"]
    assert ended.err.count("left out 1 record ") == 2


def test_json_says_what_is_known(environ: dict[str, str]) -> None:
    rows = {row["run"]: row for row in map(json.loads, streakline("runs", "--json", environ=environ).lines)}
    assert {run: row["status"] for run, row in rows.items()} == {
        "never/announced": "running",
        "well": "completed",
        "badly": "failed",
        "still": "running",
    }
    assert rows["never/announced"] == {
        "run": "never/announced",
        "project": "default",
        "attempt": 0,
        "status": "running",
        "last_step": 19,
        "last_loss": pytest.approx(2.9),
        "started": None,
        "signals": {"critical": 1, "warning": 0, "info": 0},
    }
    assert (rows["well"]["last_step"], rows["well"]["started"]) == (50, 100.0)


def test_a_project_has_its_runs(environ: dict[str, str]) -> None:
    rows = [json.loads(line) for line in streakline("runs", "--json", "--project", "llm", environ=environ).lines]
    assert [row["run"] for row in rows] == ["well", "badly"]
    none = streakline("runs", "--project", "nobody", environ=environ)
    assert (none.code, none.out) == (0, "")
    assert none.err.endswith("there are no runs in this project\n")


def test_no_runs(kafka: KafkaSettings, topics: TopicSettings) -> None:
    ended = streakline("runs", environ=settings_environ(kafka, topics))
    assert (ended.code, ended.out, ended.err) == (0, "", "there are no runs\n")
