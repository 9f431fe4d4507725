"""The list of 5,000 runs in a real Chromium: until it is painted, until it is filtered, until it has scrolled."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from msgspec.structs import replace
from playwright.sync_api import Browser, Page

from streakline.processes import free_port, spawn, stop, wait_for_port
from streakline.redis_server import running_redis
from stream_app.live import LiveRun
from tests.asked_lake import write_asked_lake
from tests.browser import running_browser, watched
from tests.commands import COMMAND
from tests.dashboard import Dashboard
from tests.live_writing import LiveWriter, many_runs

RUNS = 5000
MOVING = 500
"""of them, that take a step every second"""
ROUNDS = 9
PREFIX = "bench."

# Milliseconds from the input to the frame after the one in which it is painted.
FILTER = """() => new Promise((done) => {
  const field = document.getElementById("q");
  const started = performance.now();
  field.value = field.value === "" ? "code 042" : "";
  field.dispatchEvent(new Event("input", { bubbles: true }));
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
})"""
SORT = """() => new Promise((done) => {
  const started = performance.now();
  document.querySelector('th[data-sort="loss"] button').click();
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
})"""
SCROLL = """(share) => new Promise((done) => {
  const started = performance.now();
  scrollTo({ top: share * document.documentElement.scrollHeight, behavior: "instant" });
  requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - started)));
})"""
PAINTED = """() => [
  performance.getEntriesByName("first-contentful-paint")[0].startTime,
  performance.getEntriesByName("streakline-drawn")[0].startTime,
]"""


def main() -> None:
    """Print them."""
    print(f"## {RUNS:,} runs, {MOVING} of which move every second; no cache; median (highest) of {ROUNDS}")
    with tempfile.TemporaryDirectory(prefix="streakline-bench-") as folder, running_redis() as url:
        write_asked_lake(Path(folder))
        writer = LiveWriter(url, PREFIX)
        runs = many_runs(RUNS)
        writer.show(*runs)
        with served(url, folder) as dashboard, running_browser() as browser, moving(writer, runs):
            wait_until_read(dashboard)
            # The first page of a browser pays for the browser.
            opened(browser, dashboard)
            figures = [opened(browser, dashboard) for _ in range(ROUNDS)]
            login = [painted(browser, f"{dashboard.url}/login") for _ in range(ROUNDS)]
    names = "first paint", "all runs there, those in sight drawn", "filtered", "sorted", "scrolled"
    for number, name in enumerate(names):
        values = [each[number] for each in figures]
        print(f"{name}: {median(values):,.0f} ms ({max(values):,.0f})")
    print(f"first paint of the login form, which has no script: {median(login):,.0f} ms ({max(login):,.0f})")


@contextmanager
def served(redis_url: str, lake: str) -> Iterator[Dashboard]:
    """A dashboard as a process of its own."""
    port = free_port()
    environ = {"STREAKLINE_REDIS_URL": redis_url, "STREAKLINE_LAKE": lake, "STREAKLINE_TOPIC_PREFIX": PREFIX}
    process = spawn([*COMMAND, "dashboard", "--port", str(port)], environ=environ)
    try:
        assert wait_for_port(process, port)
        yield Dashboard(port)
    finally:
        stop(process)


def painted(browser: Browser, url: str) -> float:
    """Milliseconds until the first paint of a page."""
    with watched(browser) as it:
        it.page.goto(url)
        it.page.wait_for_timeout(300)
        return float(it.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))


def opened(browser: Browser, dashboard: Dashboard) -> tuple[float, ...]:
    """Milliseconds of each."""
    with watched(browser) as it:
        it.page.goto(dashboard.url)
        # The page's policy forbids what waits for an expression.
        it.page.locator("#runs tbody a.run").first.wait_for()
        it.page.wait_for_timeout(500)
        first, rows = it.page.evaluate(PAINTED)
        shown = it.page.locator("#counts").text_content() or ""
        assert shown.startswith(f"{RUNS:,}"[:2]), shown
        it.assert_clean()
        return first, rows, worst(it.page, FILTER), worst(it.page, SORT), worst(it.page, SCROLL, 0.5, 0.1, 0.9)


def worst(page: Page, script: str, *arguments: Any) -> float:
    """Of a few times."""
    return float(max(page.evaluate(script, argument) for argument in arguments or (None, None)))


def wait_until_read(dashboard: Dashboard) -> None:
    with dashboard.events("/events/runs") as events:
        seen = 0
        while seen < RUNS:
            seen += len(next(events).data["rows"])


@contextmanager
def moving(writer: LiveWriter, runs: list[LiveRun]) -> Iterator[None]:
    """Some of the runs go on while the block runs."""
    stop = threading.Event()
    going = [run for run in runs if run.state == "running"][:MOVING]

    def move() -> None:
        step = 0
        while not stop.wait(1.0):
            step += 1
            writer.show(*(replace(run, last_step=step, event_at=time.time()) for run in going))

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
