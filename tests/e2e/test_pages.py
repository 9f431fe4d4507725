"""From a trainer's event to the page, through everything that is real, with the settings that are shipped.

After every fault the right people have been told exactly once, and the right alerts fire a minute later.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from producers.codec import encode
from producers.events import CategoryScore, DiffCompleted
from producers.metrics import CATEGORY_DELTA
from producers.status_server import StatusServer
from producers.topics import topic_names
from streakline.alerting import find_binaries
from streakline.archiving import ArchivingSettings
from streakline.demo.recordings import FOLDER as RECORDINGS
from streakline.diffing import DiffingSettings
from tests.commands import settings_environ, streakline
from tests.dashboards import questions
from tests.extra_package import install
from tests.live_runs import alerts, interleaved, live_run, one_step, signals
from tests.publishing import publish, publish_to, signals_on
from tests.running_stack import ANY_ARCHIVING, ANY_DIFFING, Alert, Running, running
from tests.workload import Fate, Published

RIGHT_WITHIN_SECONDS = 60.0
"""after a fault"""


@pytest.fixture(autouse=True)
def _servers_are_installed() -> None:
    """Fails with the sentence that says how to install them where they are not."""
    find_binaries()


@pytest.fixture
def diffing() -> DiffingSettings | None:
    """No diff workers, unless the test asks for some."""
    return None


@pytest.fixture
def archiving() -> ArchivingSettings | None:
    """No archiver, unless the test asks for one."""
    return None


@pytest.fixture
def it(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    diffing: DiffingSettings | None,
    archiving: ArchivingSettings | None,
) -> Iterator[Running]:
    """A stack whose workers are scraped; of one worker unless the test asks for more."""
    workers = getattr(request, "param", 1)
    with running(tmp_path / "stack", workers=workers, diffing=diffing, archiving=archiving) as it:
        it.wait_for_scrape()
        yield it


def paged_runs(it: Running) -> Counter[str | None]:
    """How often each run was paged for, repetitions and resolutions counted."""
    return Counter(page.run_id for page in it.told("pager"))


def test_every_signal_reaches_its_receiver_once(it: Running) -> None:
    fates = {f"e2e/{fate.name.lower()}": fate for fate in Fate}
    records = [record for run_id, fate in fates.items() for record in live_run(run_id, fate)]
    expected = signals(records)
    assert {each.type for each in expected} == {
        "non_finite", "loss_diverging", "gradient_spike", "attention_head_dead", "dead_layers", "loss_plateau",
    }  # fmt: skip
    publish(it.stack.kafka, it.stack.topics, [*records, Published(b"e2e/hostile", b'{"run_id": "e2e/hostile"')])
    it.wait_until(lambda: it.firing() == {*alerts(expected), Alert("StreaklineDeadLetters")})
    it.wait_until(lambda: any(page.alert == "StreaklineDeadLetters" for page in it.told("warnings")))
    it.stack.watch(40)

    critical = {each.run_id for each in expected if each.severity == "critical"}
    assert paged_runs(it) == dict.fromkeys(critical, 1)
    # A critical divergence, or the same signal at a higher severity, leaves nothing to warn of.
    diverged = {each.run_id for each in expected if each.type == "loss_diverging"}
    severe = {(each.run_id, each.type) for each in expected if each.severity == "critical"}
    warned = {
        (each.run_id, each.type)
        for each in expected
        if each.severity == "warning" and each.run_id not in diverged and (each.run_id, each.type) not in severe
    }
    told = Counter((page.run_id, page.type) for page in it.told("warnings") if page.run_id is not None)
    assert told == dict.fromkeys(warned, 1)
    # The digest waits for minutes; nobody else hears of info.
    assert it.told("digest") == []
    assert all(page.status == "firing" for each in it.notifications for page in each.pages)
    assert all(page.summary and page.summary.isprintable() for each in it.notifications for page in each.pages)
    assert it.stack.alerting is not None
    assert it.stack.alerting.receiver.heartbeats > 0


def one_diff(run_id: str, seconds_ago: float) -> Published:
    """The scores of a run of the default project that completed so long ago."""
    event = DiffCompleted(
        run_id=run_id,
        ts=time.time() - seconds_ago,
        diff_id=f"{int(seconds_ago):016x}",
        base_sha="ab" * 8,
        ft_sha="cd" * 8,
        probes_sha="ef" * 8,
        categories=(CategoryScore(category="math", score=0.75, n=100, standard_error=0.04),),
    )
    return Published(event.project.encode(), encode(event))


@pytest.fixture
def installed_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all processes that are started from here on."""
    path = (str(install(tmp_path / "extra")), os.environ.get("PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))


@pytest.mark.usefixtures("installed_detector")
@pytest.mark.parametrize(("diffing", "archiving"), [(ANY_DIFFING, ANY_ARCHIVING)])
def test_every_dashboard_panel_has_data(it: Running) -> None:
    """One run that has everything: a plateau, a spike, a loss that is not finite. A diff worker, an archiver, and a
    detector of an installed package."""
    steps = [one_step("e2e/all", loss=1.0, step=step) for step in range(25)]
    publish(it.stack.kafka, it.stack.topics, steps)
    it.wait_until(lambda: alerts(signals(steps)) <= it.firing())
    spike = one_step("e2e/all", loss=1.5, step=25)
    spike = Published(spike.key, spike.value.replace(b'"maxGrad":1.0', b'"maxGrad":10.0'))
    publish(it.stack.kafka, it.stack.topics, [spike, one_step("e2e/all", step=26), Published(b"e2e/all", b"rubbish")])
    publish_to(
        it.stack.kafka, topic_names(it.stack.topics).diffs, [one_diff("e2e/before", 20.0), one_diff("e2e/all", 10.0)]
    )
    silent = {
        (question.dashboard, question.panel, question.expression)
        for question in questions("e2e/all", {"__rate_interval": "20s", "__range": "1h"})
    }

    def answered() -> bool:
        silent.difference_update({each for each in silent if it.query(each[2])})
        return not silent

    try:
        it.wait_until(answered)
    except AssertionError:
        pytest.fail("\n".join(map(str, sorted(silent))))


def test_a_killed_worker_changes_nothing(it: Running) -> None:
    first = [one_step(f"e2e/before-{number}") for number in range(3)]
    publish(it.stack.kafka, it.stack.topics, first)
    it.wait_until(lambda: len(paged_runs(it)) == 3)
    it.kill("stream-1")
    during = [one_step(f"e2e/during-{number}") for number in range(3)]
    publish(it.stack.kafka, it.stack.topics, during)
    it.stack.watch(3)
    it.kill("stream-1")
    after = [one_step(f"e2e/after-{number}") for number in range(3)]
    publish(it.stack.kafka, it.stack.topics, after)
    _settle(it, [*first, *during, *after])
    assert [said.split()[0] for said in it.said] == ["stream-1", "stream-1"]


@pytest.mark.parametrize("it", [2], indirect=True)
def test_runs_that_move_between_two_workers_page_no_one_again(it: Running) -> None:
    """Killed, a worker's runs go to the other; started again, it takes some back."""
    records = [one_step(f"e2e/run-{number}") for number in range(16)]
    publish(it.stack.kafka, it.stack.topics, records)
    it.wait_until(lambda: len(paged_runs(it)) == 16)
    it.kill("stream-2")
    later = [one_step(f"e2e/later-{number}") for number in range(4)]
    publish(it.stack.kafka, it.stack.topics, later)
    _settle(it, [*records, *later])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_prometheus_that_starts_again_tells_nobody_again(how: signal.Signals, it: Running) -> None:
    before = [one_step(f"e2e/before-{number}") for number in range(3)]
    publish(it.stack.kafka, it.stack.topics, before)
    it.wait_until(lambda: len(paged_runs(it)) == 3)
    it.service("prometheus").process.send_signal(how)
    it.service("prometheus").process.wait()
    during = [one_step(f"e2e/during-{number}") for number in range(3)]
    publish(it.stack.kafka, it.stack.topics, during)
    _settle(it, [*before, *during])


def test_an_old_run_and_a_healthy_fleet_page_nobody(it: Running) -> None:
    """200 runs of 600 steps, ten minutes of a step a second, as fast as they can be published."""
    rng = random.Random(0)
    fleet = [
        live_run(f"e2e/healthy-{number:03}", Fate.HEALTHY, steps=600, seed=rng.randrange(10**6))
        for number in range(200)
    ]
    records = list(interleaved(fleet))
    assert signals(records) == []
    environ = settings_environ(it.stack.kafka, it.stack.topics)
    replayed = streakline("replay", *sorted(RECORDINGS.glob("*.jsonl")), environ=environ)
    assert replayed.code == 0, replayed.err
    publish(it.stack.kafka, it.stack.topics, records)
    taken = f"sum(streakline_events_total) >= {len(records)}"
    it.wait_until(lambda: it.query(taken) != [], timeout_seconds=180)
    assert len(signals_on(it.stack.kafka, it.stack.topics)) > 0
    it.stack.watch(RIGHT_WITHIN_SECONDS)
    assert it.notifications == []
    assert it.firing() == set()


def test_a_storm_pages_once_for_its_cause(it: Running) -> None:
    records = [one_step(f"e2e/storm-{number:03}") for number in range(100)]
    publish(it.stack.kafka, it.stack.topics, records)
    storm = Alert("TrainingSignalStorm", type="non_finite")
    it.wait_until(lambda: it.firing() == {*alerts(signals(records)), storm})
    # Another worker's view of it, and another kind of trouble, are not part of it.
    it.kill("stream-1")
    other = live_run("e2e/other", Fate.DIVERGES)
    publish(it.stack.kafka, it.stack.topics, other)
    it.stack.watch(RIGHT_WITHIN_SECONDS)
    assert it.firing() == {*alerts(signals([*records, *other])), storm}
    storms = [page for page in it.told("pager") if page.alert == "TrainingSignalStorm"]
    assert [(page.type, page.status) for page in storms] == [("non_finite", "firing")]
    single = paged_runs(it)
    del single[None]
    assert single["e2e/other"] == 1
    # Those that a scrape saw before there were enough of them for a storm.
    assert set(single.values()) == {1}
    assert len(single) - 1 <= 20
    assert it.told("warnings") == []


def test_a_watcher_that_does_not_watch_is_told_of(it: Running) -> None:
    publish(it.stack.kafka, it.stack.topics, [one_step("e2e/calm", loss=1.0)])
    worker = it.service("stream-1")
    # The stack would start it again before anybody has to be told.
    worker.close()
    worker.process.send_signal(signal.SIGSTOP)
    it.wait_until(lambda: Alert("StreaklineDown") in it.firing(), timeout_seconds=90)
    it.wait_until(lambda: it.told("pager") != [])
    worker.process.send_signal(signal.SIGCONT)
    it.wait_until(lambda: it.firing() == set(), timeout_seconds=90)
    it.wait_until(lambda: len(it.told("pager")) == 2, timeout_seconds=90)
    assert [(page.alert, page.status) for page in it.told("pager")] == [
        ("StreaklineDown", "firing"),
        ("StreaklineDown", "resolved"),
    ]
    # The lesser alert of the same cause, and what it means for the runs, are kept quiet.
    assert it.told("warnings") == []


def test_what_a_diff_worker_exposes_is_paged_for(it: Running) -> None:
    """The diff workers' side of the contract, served as they serve it: three categories fell, one rose."""
    registry = CollectorRegistry()
    delta = Gauge(CATEGORY_DELTA.name, CATEGORY_DELTA.help, CATEGORY_DELTA.labels, registry=registry)
    for category, change in {"code": -0.2, "math": -0.07, "safety": -0.06, "chat": 0.1}.items():
        delta.labels("e2e/regressed", category).set(change)
    server = StatusServer("127.0.0.1", 0, registry, healthy=list, ready=list)
    server.start()
    try:
        targets = it.folder / "prometheus" / "targets" / "diff.json"
        targets.write_text(f'[{{"targets": ["127.0.0.1:{server.port}"]}}]')
        it.wait_until(lambda: it.told("pager") != [], timeout_seconds=90)
        it.stack.watch(40)
    finally:
        server.close()
    assert [(page.alert, page.run_id) for page in it.told("pager")] == [("CategoryRegressionBroad", "e2e/regressed")]
    assert it.told("warnings") == []


def _settle(it: Running, records: list[Published]) -> None:
    """A minute later each run was paged for once, and exactly its alert fires."""
    expected = alerts(signals(records))
    began = time.monotonic()
    it.wait_until(lambda: it.firing() == expected, RIGHT_WITHIN_SECONDS)
    it.stack.watch(RIGHT_WITHIN_SECONDS - (time.monotonic() - began))
    assert it.firing() == expected
    assert paged_runs(it) == {alert.run_id: 1 for alert in expected}
    assert {each.status for each in it.notifications} == {"firing"}
    assert it.told("warnings") == []
    on_topic = Counter(each.signal_id for each in signals_on(it.stack.kafka, it.stack.topics))
    assert set(on_topic) == {each.signal_id for each in signals(records)}
