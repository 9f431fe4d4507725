import json
from pathlib import Path

import pytest
from confluent_kafka import Producer

from producers.codec import encode
from producers.events import DiffCompleted, DiffFailed, Lifecycle, RunCompleted, RunFailed, RunStarted, StepEvent
from producers.kafka import KafkaSettings, producer_config
from producers.redis.client import connect
from producers.topics import TopicSettings, topic_names
from streakline.processes import free_port
from streakline.redis_server import running_redis
from stream_app.engine.replay import Replay, steps
from stream_app.records import VERSION, RunRecord, encode_record
from tests.commands import settings_environ, streakline
from workers.coordination.board import Board, JobProgress

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
    # Nobody answers there: what is on the topics is all there is.
    return {**settings_environ(kafka, topics), "STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}


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
        "diff": None,
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


def test_how_far_the_diffs_are(
    environ: dict[str, str], kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    sha = "ab" * 8
    events: list[DiffCompleted | DiffFailed] = [
        DiffCompleted(run_id="well", ts=1.0, diff_id=sha, base_sha=sha, ft_sha=sha, probes_sha=sha),
        DiffFailed(run_id="badly", ts=1.0, reason="missing", error="it is not there: save it"),
    ]
    producer = Producer(producer_config(kafka))
    for event in events:
        producer.produce(topic_names(topics).diffs, encode(event), event.project)
    producer.produce(topic_names(topics).diffs, b"no event")
    producer.flush()
    progress = JobProgress(run_id="still", attempt=0, stage="features", percent=80.4, eta_seconds=61.0, worker="w")
    with running_redis(tmp_path / "redis.log") as url:
        Board(connect(url), topics.topic_prefix).show(progress)
        shown = streakline("runs", environ={**environ, "STREAKLINE_REDIS_URL": url})
        rows = streakline("runs", "--json", environ={**environ, "STREAKLINE_REDIS_URL": url}).lines
    assert [line.split("  ")[-1].strip() for line in shown.lines[1:]] == [
        "0",
        "done",
        "failed: missing",
        "features 80 %, 1 min",
    ]
    assert shown.lines[0].endswith("diff")
    assert json.loads(rows[-1])["diff"] == {
        "state": "making",
        "diff_id": None,
        "reason": None,
        "stage": "features",
        "percent": 80.4,
        "eta_seconds": 61.0,
    }
    without = streakline("runs", environ=environ)
    assert [line.split("  ")[-1].strip() for line in without.lines[2:4]] == ["done", "failed: missing"]
    assert "features" not in without.out
    assert without.err.count("left out 1 record ") == 3


@pytest.mark.parametrize("url", ["nonsense", "redis://127.0.0.1:1/0"])
def test_without_redis_there_is_no_word_of_it(url: str, environ: dict[str, str]) -> None:
    ended = streakline("runs", environ={**environ, "STREAKLINE_REDIS_URL": url})
    assert ended.code == 0
    assert ended.err.count("\n") == 2
    assert "diff" not in ended.out.splitlines()[0]
