"""The stream worker on a real broker: what it says of checkpoints is said once, whatever happens to it."""

import signal
import time
from pathlib import Path

from producers.codec import encode
from producers.events import CategoryScore, DiffCompleted, DiffFailed, Signal
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from stream_app.histories import ProjectHistory, decode_history
from stream_app.regressing import advance
from stream_app.settings import StreamSettings
from tests.publishing import publish_to, signals_on
from tests.worker import Worker, header, running_worker, wait_until
from tests.workload import Published

DELTA = "streakline_eval_category_score_delta"
PROJECTS = 6
RUNS = 40
NOW = time.time()


def diff(project: str, index: int, *, category: str = "math", score: float | None = None) -> DiffCompleted:
    """The diff of a project's run number `index`; every third one is 10 points worse than the one before it."""
    score = (0.8 if index % 3 else 0.7) if score is None else score
    return DiffCompleted(
        run_id=f"{project}-run-{index:02}",
        ts=NOW - RUNS + index,
        project=project,
        diff_id=f"{index:016x}",
        base_sha="ab" * 8,
        ft_sha="cd" * 8,
        probes_sha="ef" * 8,
        categories=(CategoryScore(category=category, score=score, n=100, standard_error=0.04),),
    )


def as_record(event: DiffCompleted | DiffFailed) -> Published:
    return Published(event.project.encode(), encode(event))


def offline(diffs: list[DiffCompleted]) -> list[Signal]:
    histories: dict[str, ProjectHistory] = {}
    signals = []
    for event in diffs:
        histories[event.project], fired = advance(histories.get(event.project, ProjectHistory()), event)
        signals += fired
    return signals


def by_id(signals: list[Signal]) -> dict[str, bytes]:
    return {signal.signal_id: encode(signal) for signal in signals}


def diffs_taken(worker: Worker, topics: TopicSettings) -> float:
    return worker.counter("streakline_events_total", topic=topic_names(topics).diffs)


def send(kafka: KafkaSettings, topics: TopicSettings, records: list[Published]) -> int:
    return publish_to(kafka, topic_names(topics).diffs, records)


def test_a_checkpoint_that_fell_behind_is_told_and_shown(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    odd = 'say "a\\b"\n{}'
    failed = DiffFailed(run_id="p-run-09", ts=NOW, project="p", reason="out_of_memory", error="a larger GPU")
    first, second = (
        diff("p", 1, category=odd, score=0.75),
        diff("p", 2, category=odd, score=0.6999),
    )
    malformed = [
        Published(b"p", b"{"),
        Published(b"p", encode(first).replace(b"0.75", b"7.5")),
        Published(b"other", encode(first)),
        Published(None, b""),
    ]
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        records = [*malformed, as_record(first), as_record(failed), as_record(second), as_record(second)]
        count = send(kafka, topics, records)
        wait_until(lambda: diffs_taken(worker, topics) == count, worker)
        assert worker.counter(DELTA, run_id="p-run-02", category=odd) == -0.0501
        assert worker.counter(DELTA) == -0.0501
        assert worker.counter("streakline_signals_total", type="category_regressed", severity="warning") == 1
        assert worker.counter("streakline_ignored_events_total") == 2
        assert worker.counter("streakline_invalid_records_total", topic=topic_names(topics).diffs) == len(malformed)
    (told,) = signals_on(kafka, topics)
    assert (told.signal_id, told.project) == (f"p-run-02/0/0/category_regressed/{odd}", "p")
    assert told.regression is not None
    assert (told.regression.drop_basis_points, told.regression.prior_run_id) == (501, "p-run-01")

    letters = list(read_topic(kafka, topic_names(topics).dead_letters))
    assert {header(letter, "source-topic") for letter in letters} == {topic_names(topics).diffs}
    kept = sorted((letter.key() or b"", letter.value() or b"", header(letter, "reason")) for letter in letters)
    reasons = ["not_json", "invalid", "wrong_key", "not_json"]
    expected = zip(malformed, reasons, strict=True)
    assert kept == sorted((record.key or b"", record.value, reason) for record, reason in expected)

    settings = StreamSettings(per_run_metrics="none")
    with running_worker(kafka, topics, tmp_path / "hides", settings) as worker:
        worker.wait_until_ready()
        assert DELTA not in worker.exposed()


def test_workers_that_are_killed_and_lose_their_disk_lose_and_add_nothing(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    diffs = [diff(f"project-{project}", index) for index in range(RUNS) for project in range(PROJECTS)]
    expected = by_id(offline(diffs))
    assert len(expected) == PROJECTS * (RUNS // 3)
    parts = [diffs[start : start + 60] for start in range(0, len(diffs), 60)]
    for number, part in enumerate(parts):
        send(kafka, topics, [as_record(event) for event in part])
        with running_worker(kafka, topics, tmp_path / f"data-{number}") as worker:
            wait_until(lambda: diffs_taken(worker, topics) > 0, worker)  # called at once
            worker.process.send_signal(signal.SIGKILL)
            worker.process.wait(30)
    with running_worker(kafka, topics, tmp_path / "data-last") as worker:
        wait_until(lambda: by_id(signals_on(kafka, topics)) == expected, worker)
        worker.wait_until_ready()
        log = worker.log.read_text()
        assert log.count("states recovered") == 1
        # All of it again: known, and nothing comes of it.
        before = len(signals_on(kafka, topics))
        taken = diffs_taken(worker, topics)
        count = send(kafka, topics, [as_record(event) for event in diffs])
        wait_until(lambda: diffs_taken(worker, topics) >= taken + count, worker)
        assert len(signals_on(kafka, topics)) == before
        for project in range(PROJECTS):
            assert worker.counter(DELTA, run_id=f"project-{project}-run-{RUNS - 1:02}") == -0.1
        assert worker.counter(DELTA) == sum([-0.1] * PROJECTS)
    stored = {m.key(): m.value() or b"" for m in read_topic(kafka, topic_names(topics).projects_changelog)}
    assert len(stored) == PROJECTS
    for raw in stored.values():
        assert [run.run_id[-2:] for run in decode_history(raw).runs] == [f"{index:02}" for index in range(8, RUNS)]
