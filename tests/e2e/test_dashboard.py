"""The dashboard in a real Chromium: what people see while runs go on, connections drop, and others write to Redis."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME
from msgspec.structs import replace
from playwright.sync_api import Browser, Page, expect

from producers.codec import decode_signal, encode
from producers.events import RunStarted, StepEvent
from producers.kafka import KafkaSettings
from producers.reader import read_topic
from producers.topics import TopicSettings, topic_names
from streakline.processes import free_port
from streakline.redis_server import running_redis
from stream_app.live import LiveBatch, LiveSignal
from tests.asked_lake import write_asked_lake
from tests.browser import Watched, running_browser, watched
from tests.dashboard import Dashboard, running_dashboard
from tests.live_writing import LiveWriter, live_run, many_runs, points, signal
from tests.publishing import publish
from tests.worker import running_worker
from tests.workload import Published
from workers.coordination.board import Board, JobProgress

PHONE: Any = {"width": 390, "height": 844}
TOKEN = "0123456789abcdef0123456789abcdef"
HOSTILE = '<img src=x onerror="document.title=1">\u202e{{7*7}}'
SHOWN_WITHIN_SECONDS = 2.0
ROUNDS = 10

# What is given to the timeline: which points are drawn cannot be read from its canvas.
SPY = """
const steps = [];
globalThis.drawnSteps = steps;
globalThis.Streakline = {};
let made;
Object.defineProperty(Streakline, "timeline", {
  get: () => (element, content) => {
    steps.splice(0, Infinity, ...content.timelines.flatMap((each) => each.steps));
    const timeline = made(element, content);
    return {
      ...timeline,
      append: (points, ...others) => {
        steps.push(...points.map((point) => point[0]));
        timeline.append(points, ...others);
      },
    };
  },
  set: (function_) => (made = function_),
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with running_redis() as url:
        yield url


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lake")
    write_asked_lake(root)
    return root


@pytest.fixture
def writer(redis_url: str) -> LiveWriter:
    return LiveWriter(redis_url, f"test-{uuid.uuid4().hex[:8]}.")


@pytest.fixture
def dashboard(redis_url: str, lake: Path, writer: LiveWriter) -> Iterator[Dashboard]:
    with running_dashboard(redis_url, lake, writer.prefix) as running:
        yield running


def opened(it: Watched, dashboard: Dashboard, path: str) -> Page:
    """The page, connected."""
    it.page.goto(f"{dashboard.url}{path}")
    connection = it.page.locator("#connection")
    if connection.count():
        expect(connection).to_have_text("Live", timeout=20_000)
    return it.page


def populated(writer: LiveWriter) -> None:
    """Something of everything."""
    writer.show(*many_runs(60), live_run("live-1"))
    writer.tell("live-1", LiveBatch(attempt=0, points=points(0, 30), signals=(signal("live-1", 20),)))
    Board(writer.client, writer.prefix).show(
        JobProgress(run_id="live-1", attempt=0, stage="features", percent=41.5, eta_seconds=90, worker="gpu-1/7"),
        at_once=True,
    )


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE], ids=["wide", "phone"])
def test_every_page_is_clean_and_anyone_can_use_it(
    browser: Browser, dashboard: Dashboard, writer: LiveWriter, viewport: Any, dark: bool
) -> None:
    populated(writer)
    with watched(browser, dark=dark, viewport=viewport) as it:
        page = opened(it, dashboard, "/")
        expect(page.locator("#runs tbody a.run").first).to_be_visible()
        expect(page.locator("#counts")).to_contain_text("67 runs")
        expect(page.locator("#diff-rows")).to_contain_text("41 %")
        usable(it, viewport)
        for path, what in (
            ("/runs/live-1", "the gradient norm is 30"),
            ("/runs/sft-3", "behind the run before it"),
            ("/projects/assistant", "22.0 points"),
            ("/login", "Token"),
        ):
            page = opened(it, dashboard, path)
            expect(page.locator("body")).to_contain_text(what)
            usable(it, viewport)
        page = opened(it, dashboard, "/runs/sft-3/report")
        expect(page.locator("h1")).to_have_text("sft-3")
        it.assert_clean()


def usable(it: Watched, viewport: Any) -> None:
    assert it.serious_violations() == []
    assert it.page.evaluate("document.documentElement.scrollWidth") == viewport["width"]


def test_the_list_moves_by_itself_and_can_be_searched(
    browser: Browser, dashboard: Dashboard, writer: LiveWriter
) -> None:
    worst = LiveSignal(type="loss_diverging", severity="critical", step=5, at=time.time())
    writer.show(live_run("team/a", step=10), live_run("team/b", project="search", signal=worst))
    with watched(browser) as it:
        page = opened(it, dashboard, "/")
        row = page.locator("tr", has=page.get_by_role("link", name="team/a", exact=True))
        expect(row).to_contain_text("running")
        writer.show(live_run("team/a", step=4321, state="failed", loss=0.125))
        expect(row).to_contain_text("4,321")
        expect(row).to_contain_text("failed")
        page.keyboard.press("/")
        page.keyboard.type("TEAM")
        expect(page.locator("#shown")).to_contain_text("2 of")
        page.locator("#severity").select_option("critical")
        expect(page.locator("#shown")).to_contain_text("1 of")
        assert page.evaluate("location.search") == "?q=TEAM&severity=critical"
        page.reload()
        expect(page.locator("#shown")).to_contain_text("1 of")
        page.locator("#clear").click()
        expect(page.locator("#shown")).to_have_text("")
        # By the keys alone: to the first row, one further, and in.
        page.locator('th[data-sort="run"] button').click()
        expect(page.locator('th[data-sort="run"]')).to_have_attribute("aria-sort", "ascending")
        page.locator("#runs tbody a.run").first.focus()
        page.keyboard.press("End")
        expect(page.locator(":focus")).to_have_text("team/b")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("team/a")
        it.assert_clean()


def test_rows_do_not_move_under_the_pointer(browser: Browser, dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a"))
    with watched(browser) as it:
        page = opened(it, dashboard, "/?state=running")
        expect(page.locator("#runs tbody a.run")).to_have_text(["a"])
        page.locator("#runs tbody a.run").hover()
        writer.show(live_run("0-new"))
        expect(page.locator("#reorder")).to_have_text("1 new: update")
        expect(page.locator("#runs tbody a.run")).to_have_text(["a"])
        page.locator("#reorder").click()
        expect(page.locator("#runs tbody a.run")).to_have_text(["0-new", "a"])
        it.assert_clean()


def test_hostile_text_stays_text(browser: Browser, dashboard: Dashboard, writer: LiveWriter) -> None:
    writer.show(live_run("a", project=HOSTILE))
    told = replace(signal("a", 3, message=HOSTILE), layers={HOSTILE: 3})
    writer.tell("a", LiveBatch(attempt=0, points=points(0, 3), signals=(told,)))
    Board(writer.client, writer.prefix).show(
        JobProgress(run_id="a", attempt=0, stage="features", percent=1, eta_seconds=None, worker=HOSTILE), at_once=True
    )
    shown = HOSTILE.replace("\u202e", "\\u202e")
    with watched(browser) as it:
        page = opened(it, dashboard, "/?q=%22%3E%3Cimg+src%3Dx%3E&project=%3Cb%3E&sort=__proto__")
        expect(page.locator("#q")).to_have_value('"><img src=x>')
        page.locator("#clear").click()
        expect(page.locator("#runs tbody tr", has=page.get_by_role("link", name="a", exact=True))).to_contain_text(
            shown
        )
        expect(page.locator("#diff-rows")).to_contain_text(shown)
        page = opened(it, dashboard, "/runs/a")
        expect(page.locator("#signals")).to_contain_text(shown)
        expect(page.locator("#diff-line")).to_contain_text(shown)
        writer.tell("a", LiveBatch(attempt=0, signals=(signal("a", 4, message=HOSTILE),)))
        expect(page.locator("#announced")).to_contain_text("step 4")
        assert page.locator("img").count() == 0
        assert page.title().startswith("a –")
        it.assert_clean()


def test_a_dropped_connection_loses_and_doubles_nothing(
    browser: Browser, redis_url: str, lake: Path, writer: LiveWriter
) -> None:
    port = free_port()
    writer.show(live_run("a", step=1))
    writer.tell("a", LiveBatch(attempt=0, points=points(0, 9), signals=(signal("a", 5),)))
    with watched(browser) as it:
        it.page.add_init_script(SPY)
        with running_dashboard(redis_url, lake, writer.prefix, port=port) as dashboard:
            page = opened(it, dashboard, "/runs/a")
            writer.tell("a", LiveBatch(attempt=0, points=points(10, 19), signals=(signal("a", 15),)))
            expect(page.locator("#signals tbody tr")).to_have_count(2)
            it.assert_clean()
        expect(page.locator("#connection")).to_have_text("Connection lost, trying again")
        writer.tell("a", LiveBatch(attempt=0, points=points(20, 29), signals=(signal("a", 25),)))
        writer.show(live_run("a", step=29))
        with running_dashboard(redis_url, lake, writer.prefix, port=port):
            expect(page.locator("#connection")).to_have_text("Live", timeout=20_000)
            expect(page.locator("#signals tbody tr th")).to_have_text(["25", "15", "5"])
            writer.tell("a", LiveBatch(attempt=0, points=points(30, 39), signals=(signal("a", 35),)))
            expect(page.locator("#signals tbody tr th")).to_have_text(["35", "25", "15", "5"])
            expect(page.locator("#step")).to_have_text("29")
            assert page.evaluate("drawnSteps") == [*range(40)]
        assert all("ERR_" in complaint or "net::" in complaint for complaint in it.complaints)
        assert it.left_the_machine == []


def test_the_token_is_asked_for_once(browser: Browser, redis_url: str, lake: Path, writer: LiveWriter) -> None:
    writer.show(live_run("a"))
    with running_dashboard(redis_url, lake, writer.prefix, token=TOKEN) as dashboard, watched(browser) as it:
        page = it.page
        page.goto(f"{dashboard.url}/runs/a")
        page.get_by_label("Token").fill("wrong, and long enough")
        page.get_by_role("button").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        assert it.serious_violations() == []
        it.complaints.clear()
        page.get_by_label("Token").fill(TOKEN)
        page.get_by_role("button").click()
        expect(page.locator("h1")).to_have_text("a")
        expect(page.locator("#connection")).to_have_text("Live")
        assert TOKEN not in page.url
        assert page.evaluate("document.cookie") == ""
        it.assert_clean()


def test_a_redis_that_is_away_is_said_to_be(browser: Browser, lake: Path) -> None:
    port = free_port()
    with running_dashboard(f"redis://127.0.0.1:{port}/0", lake, "p.") as dashboard, watched(browser) as it:
        page = opened(it, dashboard, "/")
        expect(page.locator("#notices")).to_contain_text("Redis does not answer")
        expect(page.get_by_role("link", name="sft-4", exact=True)).to_be_visible()
        with running_redis(port=port) as url:
            LiveWriter(url, "p.").show(live_run("back"))
            expect(page.get_by_role("link", name="back", exact=True)).to_be_visible(timeout=20_000)
            expect(page.locator("#notices")).to_be_empty()
        it.assert_clean()


def test_an_empty_dashboard_says_what_would_fill_it(browser: Browser, redis_url: str, tmp_path: Path) -> None:
    with running_dashboard(redis_url, tmp_path, "none.") as dashboard, watched(browser) as it:
        page = opened(it, dashboard, "/")
        expect(page.locator("#none")).to_contain_text("streakline archive")
        expect(page.locator("#notices")).to_contain_text("has no table yet")
        assert it.serious_violations() == []
        it.assert_clean()


def test_a_signal_on_kafka_is_on_the_open_page_within_two_seconds(
    browser: Browser, redis_url: str, lake: Path, kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path
) -> None:
    with (
        running_worker(kafka, topics, tmp_path / "data", redis_url=redis_url) as worker,
        running_dashboard(redis_url, lake, topics.topic_prefix) as dashboard,
        watched(browser) as it,
    ):
        worker.wait_until_ready()
        publish(kafka, topics, [record(RunStarted(run_id="run", ts=time.time(), project="p")), record(step(0))])
        eventually_known(dashboard, "/runs/run")
        page = opened(it, dashboard, "/runs/run")
        page.evaluate(
            """() => {
              globalThis.seen = {};
              new MutationObserver(() => {
                for (const { textContent } of document.querySelectorAll("#signals tbody th")) {
                  seen[textContent] ??= Date.now();
                }
              }).observe(document.querySelector("#signals tbody"), { childList: true });
            }"""
        )
        at = 0
        for _ in range(ROUNDS):
            # After 30 steps the detector speaks again.
            publish(kafka, topics, [record(step(number)) for number in range(at + 1, at + 35)])
            at += 35
            publish(kafka, topics, [record(step(at, float("nan")))])
            expect(page.locator("#signals tbody th").first).to_have_text(str(at), timeout=20_000)
        seen = {int(key): value / 1000 for key, value in page.evaluate("seen").items()}
        emitted = emitted_at(kafka, topic_names(topics).signals)
        waits = [seen[number] - emitted[number] for number in sorted(seen)]
        print(f"topic to page: median {median(waits):.2f} s, highest {max(waits):.2f} s of {len(waits)}")
        assert len(waits) == ROUNDS
        assert max(waits) <= SHOWN_WITHIN_SECONDS
        it.assert_clean()


def record(event: RunStarted | StepEvent) -> Published:
    return Published(event.run_id.encode(), encode(event))


def step(number: int, loss: float = 1.0) -> StepEvent:
    return StepEvent(run_id="run", step=number, ts=time.time(), loss=loss + number % 7 / 10, max_grad=0.5)


def eventually_known(dashboard: Dashboard, path: str) -> None:
    deadline = time.monotonic() + 30
    while dashboard.ask(path).status != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def emitted_at(kafka: KafkaSettings, topic: str) -> dict[int, float]:
    """Step of each signal → Unix seconds at which its record was made."""
    found: dict[int, float] = {}
    for message in read_topic(kafka, topic):
        kind, milliseconds = message.timestamp()
        assert kind == TIMESTAMP_CREATE_TIME
        emitted = decode_signal(message.value() or b"")
        if emitted.type == "non_finite":
            found.setdefault(emitted.step, milliseconds / 1000)
    return found
