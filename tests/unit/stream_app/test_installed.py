"""Which detectors a worker starts with, and which it refuses to start with."""

from importlib.metadata import EntryPoint

import pytest
from prometheus_client import CollectorRegistry

from producers import extensions
from producers.codec import encode
from producers.extensions import BrokenExtension
from stream_app.engine.own import OwnDetector
from stream_app.engine.replay import steps
from stream_app.engine.thresholds import load_policy
from stream_app.installed import GROUP, MAX_DETECTORS, installed_detectors
from stream_app.judging import judge
from stream_app.metrics import StreamMetrics
from stream_app.raw_records import RawRecord
from tests.unit.engine.test_own import Bounds, Seen, counting, raising

detector = OwnDetector(counting, memory=Seen, bounds=Bounds)
failing = OwnDetector(raising(KeyError("lr")), memory=Seen, bounds=Bounds)


def install(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    made = [EntryPoint(name, value, GROUP) for name, value in points]
    monkeypatch.setattr(extensions, "entry_points", lambda group: made)


def test_they_come_by_type(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("team.b", f"{__name__}:detector"), ("team.a", f"{__name__}:failing"))
    assert [each.judge.type for each in installed_detectors()] == ["team.a", "team.b"]
    policy = load_policy(None, [each.judge for each in installed_detectors()])
    assert [own.type for own in policy.of("any").own] == ["team.a", "team.b"]


@pytest.mark.parametrize(
    "type_", ["loss_plateau", "team", "Team.check", "team.a.b", "team.", "team.a-b", "a" * 33 + ".b"]
)
def test_a_type_that_a_signal_cannot_have_is_refused(type_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, (type_, f"{__name__}:detector"))
    with pytest.raises(BrokenExtension, match="is no type of a signal"):
        installed_detectors()


def test_what_is_no_detector_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("team.check", f"{__name__}:GROUP"))
    with pytest.raises(BrokenExtension, match="is a str; make it an OwnDetector"):
        installed_detectors()


def test_more_than_there_is_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"team.check_{index}" for index in range(MAX_DETECTORS + 1)]
    install(monkeypatch, *((name, f"{__name__}:detector") for name in names))
    with pytest.raises(BrokenExtension, match="17 detectors are installed and there is room for 16"):
        installed_detectors()
    install(monkeypatch, *((name, f"{__name__}:detector") for name in names[1:]))
    assert len(installed_detectors()) == MAX_DETECTORS


def test_their_signals_and_failures_are_counted_from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("team.check", f"{__name__}:detector"), ("team.fails", f"{__name__}:failing"))
    installed = installed_detectors()
    registry = CollectorRegistry()
    metrics = StreamMetrics("steps", "diffs", registry, installed)
    value = registry.get_sample_value
    ours = {"type": "team.check", "severity": "info"}
    assert value("streakline_signals_total", ours) == 0
    assert value("streakline_signals_total", {"type": "team.fails", "severity": "critical"}) == 0
    assert value("streakline_detector_failures_total", {"type": "team.check"}) == 0
    assert value("streakline_detector_info", {"type": "team.check", "version": ""}) == 1

    records = [RawRecord(0, i, b"run", encode(step), 1.0) for i, step in enumerate(steps(loss=[1.0, 2.0] * 2))]
    policy = load_policy(None, [each.judge for each in installed])
    metrics.count(4, judge(records, lambda _: None, policy, 1.0), 1.0)
    assert value("streakline_signals_total", ours) == 1
    assert value("streakline_detector_failures_total", {"type": "team.check"}) == 0
    assert value("streakline_detector_failures_total", {"type": "team.fails"}) == 1
    assert value("streakline_invalid_records_total", {"topic": "steps", "reason": "failed"}) == 0
