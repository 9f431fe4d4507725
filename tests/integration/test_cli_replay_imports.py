"""Recordings of other tools, published to a real broker and read back."""

import json
import os
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from producers.codec import decode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from tests.commands import settings_environ, streakline


@pytest.fixture
def environ(kafka: KafkaSettings, topics: TopicSettings) -> dict[str, str]:
    return settings_environ(kafka, topics)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    rows = [{"loss": 2.5, "grad_norm": 0.5, "learning_rate": 1e-4, "epoch": 0.1, "step": step} for step in (10, 20)]
    history = [*rows, {"eval_loss": 1.0, "step": 20}, {**rows[0], "loss": float("nan"), "step": 30}]
    path = tmp_path / "sft-7" / "checkpoint-30" / "trainer_state.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"global_step": 30, "log_history": history}, indent=2, sort_keys=True))
    os.utime(path, (0, 1_700_000_000))
    return path


def published(kafka: KafkaSettings, topics: TopicSettings) -> list[tuple[bytes | None, StepEvent]]:
    records = []
    for message in read_topic(kafka, topic_names(topics).steps):
        event = decode(message.value() or b"")
        assert isinstance(event, StepEvent)
        records.append((message.key(), event))
    return records


def test_a_trainer_state_is_published_as_steps(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], state: Path
) -> None:
    ended = streakline("replay", state, environ=environ)
    assert (ended.code, ended.out) == (0, f"published 3 events to {topic_names(topics).steps}\n")
    told = ended.err.splitlines()
    assert "3 losses (loss) of run sft-7" in told[0]
    assert "missing: gradient norms of layers" in told[1]
    assert told[2] == f"{state}: left out: 1 rows without a training loss (evaluations, summaries)"
    records = published(kafka, topics)
    assert {key for key, _ in records} == {b"sft-7"}
    assert [(event.step, str(event.loss), event.max_grad, event.ts) for _, event in records] == [
        (10, "2.5", 0.5, 1_699_999_998.0),
        (20, "2.5", 0.5, 1_699_999_999.0),
        (30, "nan", 0.5, 1_700_000_000.0),
    ]


def test_it_is_published_as_another_run_and_attempt(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], state: Path
) -> None:
    ended = streakline("replay", state, "--run-id", "again", "--attempt", "4", "--speed", "1000", environ=environ)
    assert ended.code == 0
    events = [event for _, event in published(kafka, topics)]
    assert [(event.run_id, event.attempt, event.step) for event in events] == [
        ("again", 4, 10),
        ("again", 4, 20),
        ("again", 4, 30),
    ]


def test_event_files_and_a_table_of_runs_are_published_together(
    kafka: KafkaSettings, topics: TopicSettings, environ: dict[str, str], tmp_path: Path
) -> None:
    with SummaryWriter(str(tmp_path / "pretrain")) as writer:
        for step in range(3):
            writer.add_scalar("train/loss", 2.0, step)
            writer.add_scalar("gradients/h.0.attn.weight", 0.25, step)
    chart = tmp_path / "chart.csv"
    chart.write_text('"Step","a b - train/loss","c - train/loss"\n0,1.5,\n1,1.25,3.5\n')
    ended = streakline("replay", tmp_path / "pretrain", chart, environ=environ)
    assert (ended.code, ended.out) == (0, f"published 6 events to {topic_names(topics).steps}\n")
    by_run: dict[bytes | None, list[StepEvent]] = {}
    for key, event in published(kafka, topics):
        by_run.setdefault(key, []).append(event)
    assert {key: [event.step for event in events] for key, events in by_run.items()} == {
        b"pretrain": [0, 1, 2],
        b"a-b": [0, 1],
        b"c": [1],
    }
    assert [event.grad_norms for event in by_run[b"pretrain"]] == [{"h.0.attn.weight": 0.25}] * 3
