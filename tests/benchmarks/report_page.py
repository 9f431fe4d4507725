"""The report of a run of 100,000 steps: how large it is, how long it takes to make, and to open in Chromium."""

import tempfile
import time
from pathlib import Path

from streakline.report.page import render
from tests.benchmarks.figures import Figure, spread
from tests.browser import running_browser, watched
from tests.sample_report import largest_report

ROUNDS = 15


def main() -> None:
    """Print it."""
    report = largest_report()
    steps = sum(timeline.total_steps for timeline in report.timelines)
    points = sum(len(timeline.steps) for timeline in report.timelines)
    print(f"## A report of {steps:,} steps, {points:,} of them drawn, and {len(report.signals):,} signals")
    render(report)
    made = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        html = render(report)
        made.append(time.perf_counter() - started)
    print(f"{len(html.encode()) / 1e6:.2f} MB")
    print("| | ms: median (10th to 90th percentile) |")
    print("|---|---|")
    print(f"| made by Python | {_ms(made)} |")
    clock, processor = _opened(html)
    print(f"| navigation to the first frame with every plot | {_ms(clock)} |")
    print(f"| processor time of the page's main thread in that | {_ms(processor)} |")


def _opened(html: str) -> tuple[list[float], list[float]]:
    """Seconds on the clock and of the processor, each time on a fresh profile of a browser that runs."""
    clock, processor = [], []
    with tempfile.TemporaryDirectory(prefix="streakline-bench-") as folder, running_browser() as browser:
        file = Path(folder) / "report.html"
        file.write_text(html, "utf-8")
        # The first page of a browser pays for the browser.
        for _ in range(1 + ROUNDS):
            with watched(browser) as it:
                session = it.page.context.new_cdp_session(it.page)
                session.send("Performance.enable", {"timeDomain": "threadTicks"})
                it.page.goto(file.as_uri())
                it.page.wait_for_function("performance.getEntriesByName('streakline-drawn').length === 1")
                mark = it.page.evaluate("performance.getEntriesByName('streakline-drawn')[0].startTime")
                metrics = session.send("Performance.getMetrics")["metrics"]
                clock.append(mark / 1e3)
                processor += [each["value"] for each in metrics if each["name"] == "TaskDuration"]
    return clock[1:], processor[1:]


def _ms(seconds: list[float]) -> str:
    low, high = spread(seconds)
    return f"{1e3 * Figure(seconds).middle:,.0f} ({1e3 * low:,.0f} to {1e3 * high:,.0f})"
