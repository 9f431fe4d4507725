"""`streakline archive` and `streakline detect --from-lake`: what was archived is judged as what was recorded is."""

import json
import signal
import time
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest

from producers.codec import MalformedEvent, decode, encode
from producers.events import MAX_LAYERS, StepEvent, TrainerEvent
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.processes import free_port
from stream_app.engine.replay import signals_of
from stream_app.engine.thresholds import ThresholdPolicy, Thresholds
from tests.commands import settings_environ, start, streakline
from tests.publishing import publish
from tests.workload import Published, fleet
from workers.archive.files import serialise
from workers.archive.rows import Record, to_table
from workers.lake.ranges import Range, Series, range_path
from workers.lake.writer import Lake

TOPIC = "streakline.steps"


def events_of(records: list[Published]) -> list[TrainerEvent]:
    """Those that are judged."""
    found = []
    for record in records:
        try:
            event = decode(record.value)
        except MalformedEvent:
            continue
        if record.key == event.run_id.encode():
            found.append(event)
    return found


def by_run(lines: list[str]) -> dict[str, list[str]]:
    found = defaultdict(list)
    for line in lines:
        found[json.loads(line)["run_id"]].append(line)
    return found


def archive_by_hand(
    lake: Path, events: list[StepEvent], *, partition: int = 0, first: int = 0, generation: str = "0a", at: int = 0
) -> Path:
    """As the archive keeps them: one file."""
    records = [Record(first + index, at, event) for index, event in enumerate(events)]
    held = Range(first, first + len(events) - 1)
    data = serialise("steps", [to_table("steps", TOPIC, partition, records)])
    return Path(Lake(str(lake)).write_bytes(range_path("steps", Series(TOPIC, partition, generation), held), data))


def diverging(run_id: str, count: int = 40, ts: float = 0.0) -> list[StepEvent]:
    return [StepEvent(run_id=run_id, step=step, ts=ts + step, loss=1.0 + 0.1 * step) for step in range(count)]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


def test_what_is_archived_fires_what_the_recording_does(
    kafka: KafkaSettings, topics: TopicSettings, lake: Path, tmp_path: Path
) -> None:
    records = list(fleet(16, 80, 6, chaos=0.1))
    environ = settings_environ(kafka, topics) | {"STREAKLINE_SESSION_TIMEOUT_SECONDS": "2"}
    port = free_port()
    with start("archive", "--lake", lake, "--metrics-port", str(port), environ=environ) as process:
        publish(kafka, topics, records)

        def exposed(path: str) -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
                    return str(response.read().decode())
            except OSError:
                return ""

        deadline = time.monotonic() + 60
        held = 0.0
        while not (held and exposed("/readyz")) and time.monotonic() < deadline:
            time.sleep(0.5)
            lines = exposed("/metrics").splitlines()
            held = sum(float(line.split()[-1]) for line in lines if line.startswith("streakline_archive_held_bytes "))
        # All of it is held after the same while again, and written when it is told to end.
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    recording = tmp_path / "events.jsonl"
    recording.write_bytes(b"".join(encode(event) + b"\n" for event in events_of(records)))
    thresholds = tmp_path / "thresholds.toml"
    thresholds.write_text("[default]\ncooldown_steps = 7\n")
    for arguments in ([], ["--thresholds", str(thresholds)]):
        expected = streakline("detect", recording, *arguments)
        ended = streakline("detect", "--from-lake", "--lake", lake, *arguments, environ=environ)
        assert (ended.code, ended.err) == (0, "")
        assert len(ended.lines) > 20
        assert by_run(ended.lines) == by_run(expected.lines)
    run_id = "fleet/run-0001"
    ended = streakline("detect", "--from-lake", "--lake", lake, "--run", run_id, environ=environ)
    assert ended.lines == by_run(streakline("detect", recording).lines)[run_id]


def test_what_is_shown_can_be_narrowed(lake: Path, tmp_path: Path) -> None:
    day = 1_769_904_000.0  # 2026-02-01
    archive_by_hand(lake, diverging("a", 80, day - 30), partition=1)
    archive_by_hand(lake, diverging("b"))
    everything = [encode(each).decode() for each in signals_of([*diverging("b"), *diverging("a", 80, day - 30)])]
    assert streakline("detect", "--from-lake", "--lake", lake).lines == everything
    late = [line for line in everything if json.loads(line)["ts"] >= day]
    assert 0 < len(late) < len(everything)
    assert streakline("detect", "--from-lake", "--lake", lake, "--since", "2026-02-01").lines == late
    assert streakline("detect", "--from-lake", "--lake", lake, "--project", "default").lines == everything
    assert streakline("detect", "--from-lake", "--lake", lake, "--project", "other").lines == []
    output = tmp_path / "signals.jsonl"
    assert streakline("detect", "--from-lake", "--lake", lake, "--output", output).out == ""
    assert output.read_text().splitlines() == everything


def test_overlapping_files_and_a_topic_made_anew_are_one_run(lake: Path) -> None:
    events = diverging("a", 120)
    policy = ThresholdPolicy(default=Thresholds())
    archive_by_hand(lake, events[:50], generation="ff", at=1)
    archive_by_hand(lake, events[30:60], first=30, generation="ff", at=1)
    archive_by_hand(lake, events[20:40], first=20, generation="ff", at=1)
    # Published again, and some more.
    archive_by_hand(lake, events[40:], generation="0a", at=2)
    expected = [encode(each).decode() for each in signals_of(events, policy)]
    assert streakline("detect", "--from-lake", "--lake", lake).lines == expected


def test_what_cannot_be_done_is_one_sentence(lake: Path) -> None:
    ended = streakline("detect", "--from-lake", "--lake", lake)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith(f"streakline: the lake {lake} holds nothing of topic {TOPIC}: ")
    path = archive_by_hand(lake, diverging("a"))
    ended = streakline("detect", "--from-lake", "--lake", lake, "--run", "b", "--run", "a")
    assert (ended.code, len(ended.lines)) == (1, 1)
    assert "holds nothing of b: " in ended.err
    path.write_bytes(b"damaged")
    ended = streakline("detect", "--from-lake", "--lake", lake)
    assert ended.code == 1
    assert f"the lake {lake} cannot be read: " in ended.err
    ended = streakline("detect", "--from-lake", "x.jsonl")
    assert (ended.code, "leave the files out" in ended.err) == (2, True)
    ended = streakline("detect", "x.jsonl", "--since", "2026-02-01")
    assert (ended.code, "these go with --from-lake" in ended.err) == (2, True)
    assert streakline("detect", "--from-lake", "--lake", "nonsense://x").code == 1


def test_events_that_cannot_be_judged_are_told_of(lake: Path) -> None:
    layers = dict.fromkeys((f"layer.{i}" for i in range(MAX_LAYERS)), 0.0)
    events = [StepEvent(run_id="a", step=0, ts=0.0, loss=1.0, grad_norms=dict(layers))]
    events.append(StepEvent(run_id="a", step=1, ts=0.0, loss=1.0, grad_norms={"one more": 0.0}))
    archive_by_hand(lake, events)
    ended = streakline("detect", "--from-lake", "--lake", lake)
    assert ended.code == 1
    assert ended.err.startswith("streakline: left out 1 of the archived events: ")


def test_an_archiver_that_cannot_start_says_why(kafka: KafkaSettings, topics: TopicSettings) -> None:
    environ = settings_environ(kafka, topics)
    ended = streakline("archive", "--lake", "nonsense://x", environ=environ)
    assert (ended.code, ended.err.startswith("streakline: the archiver cannot start: ")) == (2, True)
    away = environ | {"STREAKLINE_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}"}
    assert streakline("archive", environ=away).code == 3


def test_once_archives_what_there_is_and_compact_merges_it(
    kafka: KafkaSettings, topics: TopicSettings, lake: Path
) -> None:
    environ = settings_environ(kafka, topics) | {"STREAKLINE_LAKE": str(lake)}
    away = {"STREAKLINE_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    for seed in range(2):
        publish(kafka, topics, fleet(12, 20, 2, seed=seed))
        assert streakline("archive", "--once", environ=environ).code == 0
    sql = 'SELECT count(*) AS n, count(DISTINCT (partition, "offset")) AS different FROM steps'
    before = streakline("query", sql, "--format", "jsonl", environ=environ).lines
    ended = streakline("compact", environ=environ | away)
    assert (ended.code, ended.err) == (0, "")
    assert f"compacted 2 files of steps/v=1/topic={topics.topic_prefix}steps into {topics.topic_prefix}" in ended.out
    assert streakline("query", sql, "--format", "jsonl", environ=environ).lines == before
    (counts,) = map(json.loads, before)
    assert counts["n"] == counts["different"] > 0
    lake.rename(lake.with_name("away"))
    lake.touch()
    ended = streakline("archive", "--once", environ=environ)
    assert (ended.code, "The lake cannot be used" in ended.err) == (1, True)
