"""A stream worker with the example package: its detector's signals are the offline replay's, wherever they are read."""

import json
import re
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from producers.codec import encode
from producers.events import RunCompleted, RunStarted, StepEvent, TrainerEvent
from producers.kafka import KafkaSettings
from producers.publisher import StepPublisher
from producers.topics import TopicSettings
from stream_app.engine.replay import signals_of, steps
from stream_app.engine.thresholds import load_policy
from stream_app.installed import installed_detectors
from tests.commands import settings_environ, start, streakline
from tests.extra_package import DETECTOR, SOURCE, install
from tests.publishing import publish, signals_on
from tests.worker import running_worker, wait_until
from tests.workload import Published


def run_of(run_id: str, count: int, *, zero_from: int) -> list[StepEvent]:
    """Steps of which those from `zero_from` on have a learning rate of 0."""
    losses = [2.0 + step % 2 for step in range(count)]
    return [
        replace(event, learning_rate=0.0 if event.step >= zero_from else 1e-4)
        for event in steps(loss=losses, run_id=run_id)
    ]


def as_records(events: list[TrainerEvent]) -> list[Published]:
    return [Published(event.run_id.encode(), encode(event)) for event in events]


@pytest.mark.usefixtures("extra")
def test_its_signals_are_the_replays_through_a_kill_and_all_that_reads_signals_knows_them(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = RunStarted(run_id="a", ts=0.0, project="p", early_stop=(DETECTOR,))
    events: list[TrainerEvent] = [started, *run_of("a", 60, zero_from=5), *run_of("b", 40, zero_from=30)]
    policy = load_policy(None, [each.judge for each in installed_detectors()])
    expected = list(signals_of(events, policy))
    assert [(s.run_id, s.step, s.type) for s in expected] == [
        ("a", 14, DETECTOR),
        ("a", 44, DETECTOR),
        ("b", 39, DETECTOR),
    ]
    # The first worker dies in the middle of a streak, which only the detector remembers.
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        worker.wait_until_ready()
        publish(kafka, topics, as_records(events[:11]))
        worker.wait_for_events(11)
        worker.kill()
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        publish(kafka, topics, as_records(events[11:]))
        worker.wait_for_events(len(events) - 11)
        exposed = worker.exposed()
    assert {signal.signal_id: encode(signal) for signal in signals_on(kafka, topics)} == {
        signal.signal_id: encode(signal) for signal in expected
    }
    assert f'streakline_detector_info{{type="{DETECTOR}",version="1.0"}} 1.0' in exposed
    assert f'streakline_detector_failures_total{{type="{DETECTOR}"}} 0.0' in exposed
    assert f'streakline_signals_total{{severity="warning",type="{DETECTOR}"}}' in exposed
    assert f'streakline_run_signal_last_step{{run_id="a",type="{DETECTOR}",severity="warning"}} 44' in exposed

    environ = {**settings_environ(kafka, topics), "STREAKLINE_LAKE": str(tmp_path / "lake")}
    monkeypatch.chdir(tmp_path)
    told = streakline("signals", "a", "--type", DETECTOR, "--json", environ=environ)
    assert [json.loads(line)["step"] for line in told.lines] == [14, 44]
    assert streakline("archive", "--once", environ=environ).code == 0
    offline = streakline("detect", "--from-lake", environ=environ)
    assert sorted(offline.lines) == sorted(encode(signal).decode() for signal in expected)
    assert streakline("report", "a", "-o", "a.html", environ=environ).code == 0
    page = Path("a.html").read_text()
    assert f"{DETECTOR} fired 2 times, first at step 14" in page
    assert "give its schedule as many steps as it takes" in page


@pytest.mark.usefixtures("extra")
def test_a_run_is_stopped_by_it(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> None:
    with (
        running_worker(kafka, topics, tmp_path / "data"),
        StepPublisher(run_id="a", early_stop=[DETECTOR], kafka=kafka, topics=topics) as run,
    ):
        for step in range(12):
            run.step(step, loss=2.0 + step % 2, learning_rate=0.0)
        wait_until(lambda: run.should_stop is not None)
        assert run.should_stop is not None
        assert (run.should_stop.type, run.should_stop.step) == (DETECTOR, 9)


def test_its_state_does_not_hurt_a_worker_that_does_not_have_it(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(request.getfixturevalue("site")), prepend=":")
        with running_worker(kafka, topics, tmp_path / "data") as worker:
            publish(kafka, topics, as_records([*run_of("a", 20, zero_from=0)]))
            worker.wait_for_events(20)
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        publish(
            kafka, topics, as_records([*run_of("a", 60, zero_from=0)[20:], RunCompleted(run_id="a", ts=1.0, steps=60)])
        )
        worker.wait_for_events(41)
        assert "streakline_detector_info{" not in worker.exposed()
    assert [(signal.step, signal.type) for signal in signals_on(kafka, topics)] == [(9, DETECTOR)]


def test_one_that_fails_is_told_of_and_the_others_judge_on(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(SOURCE, broken, ignore=shutil.ignore_patterns("__pycache__"))
    module = broken / "streakline_extra" / "learning_rate_zero.py"
    code = module.read_text()
    assert "    event = reading.event\n" in code
    module.write_text(code.replace("    event = reading.event\n", "    event = reading.events\n"))
    monkeypatch.setenv("PYTHONPATH", str(install(tmp_path / "installed", broken)), prepend=":")
    events: list[TrainerEvent] = [
        *steps(loss=[1.0 + 0.1 * step for step in range(12)], run_id="a"),
    ]
    with running_worker(kafka, topics, tmp_path / "data") as worker:
        publish(kafka, topics, as_records(events))
        worker.wait_for_events(12)
        assert worker.counter("streakline_detector_failures_total", type=DETECTOR) == 12
        assert worker.counter("streakline_invalid_records_total") == 0
    assert [(signal.step, signal.type) for signal in signals_on(kafka, topics)] == [(10, "loss_diverging")]
    told = re.findall(
        rf"the detector {DETECTOR} failed on step (\d+) of run (\w+), .*AttributeError", worker.log.read_text()
    )
    assert told == [("0", "a")]

    file = tmp_path / "run.jsonl"
    file.write_bytes(b"\n".join(map(encode, events)))
    with start("detect", file) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert [json.loads(line)["type"] for line in out.splitlines()] == ["loss_diverging"]
    assert len(err.splitlines()) == 2
    assert f"{DETECTOR} on 12; the first of each is above" in err.decode()


def test_a_worker_does_not_start_with_one_that_cannot_be_had(
    kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "team-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: team\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[streakline.detectors]\nteam.check = no_such_module:detector\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=":")
    environ = {**settings_environ(kafka, topics), "STREAKLINE_DATA_DIR": str(tmp_path / "data")}
    with start("stream", environ=environ) as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    (line,) = err.decode().splitlines()
    assert line.startswith("streakline: the stream worker cannot start: 'team.check' of the entry point group")
    assert "Repair its package, or uninstall it" in line
