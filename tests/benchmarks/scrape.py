"""What a scrape of 5,000 live runs costs: its size, how long it takes, and how long it holds up the event loop."""

import contextlib
import itertools
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from msgspec import Struct

from producers.codec import encode
from producers.events import StepEvent
from producers.kafka import KafkaSettings
from producers.settings import to_environ
from producers.topics import TopicSettings, ensure_topics
from streakline.broker import running_broker
from streakline.processes import free_port, spawn, stop
from tests.publishing import publish
from tests.workload import Published

RUNS = 5_000
LAYERS = 24
SIGNALLING = 50
"""one run in so many has a signal, and two series more"""
EVENTS_PER_SECOND = 500
SCRAPE_INTERVAL_SECONDS = 4.0
PERIOD_SECONDS = 20.0
ROUNDS = 3


class Scrape(Struct, frozen=True):
    """One scrape, as Prometheus does it."""

    began: float
    seconds: float
    zipped_bytes: int


def main() -> None:
    """Print the figures."""
    print(f"## A scrape of {RUNS:,} live runs")
    with tempfile.TemporaryDirectory() as name, running_broker() as bootstrap:
        folder, kafka, topics, port = Path(name), KafkaSettings(kafka_bootstrap=bootstrap), TopicSettings(), free_port()
        ensure_topics(kafka, topics)
        environ = {
            **to_environ(kafka),
            **to_environ(topics),
            "STREAKLINE_DATA_DIR": str(folder / "data"),
            "STREAKLINE_METRICS_PORT": str(port),
            "STREAKLINE_LIVE": "false",
        }
        worker = spawn([sys.executable, "-m", "tests.benchmarks.ticking_worker"], log=folder / "log", environ=environ)
        try:
            _measure(kafka, topics, f"http://127.0.0.1:{port}/metrics", folder / "log")
        finally:
            stop(worker)


def _measure(kafka: KafkaSettings, topics: TopicSettings, url: str, log: Path) -> None:
    publish(kafka, topics, _steps(range(RUNS), 0))
    text = ""
    while f'streakline_runs{{state="active"}} {RUNS}\n' not in text:
        time.sleep(1)
        text = _text(url)
    series = sum("run_id=" in line for line in text.splitlines())
    print(f"size: {len(text) / 2**20:.2f} MiB, {series:,} series with a run_id")
    scrapes = _in_turns("no events", url, log)
    with _load(kafka, topics):
        scrapes += _in_turns(f"{EVENTS_PER_SECOND} events/s", url, log)
    took = [scrape.seconds for scrape in scrapes]
    print(
        f"scrape: median {1e3 * median(took):.0f} ms (lowest {1e3 * min(took):.0f}, highest {1e3 * max(took):.0f} of "
        f"{len(took)}), {scrapes[0].zipped_bytes / 1024:.0f} KiB compressed"
    )


def _in_turns(name: str, url: str, log: Path) -> list[Scrape]:
    """Print the worst stall of each period, without scrapes and with them in turns."""
    quiet, scraped, scrapes = [], [], []
    for _ in range(ROUNDS):
        began = time.time()
        time.sleep(PERIOD_SECONDS)
        middle = time.time()
        scrapes += list(_scrapes(url))
        stalls = list(_stalls(log))
        quiet.append(_worst(stalls, began, middle))
        scraped.append(_worst(stalls, middle, time.time()))
    print(
        f"{name}: worst stall of the event loop in {PERIOD_SECONDS:.0f} s, in turns: {_listed(quiet)} ms without "
        f"scrapes, {_listed(scraped)} ms with one every {SCRAPE_INTERVAL_SECONDS:.0f} s",
        flush=True,
    )
    return scrapes


def _steps(runs: range, step: int) -> Iterator[Published]:
    norms: dict[str, float | None] = {f"layers.{layer}.mlp": 0.5 for layer in range(LAYERS)}
    for number in runs:
        loss = float("nan") if number % SIGNALLING == 0 else 2.0 + step % 2
        run_id = f"team/project/run-{number:05}"
        event = StepEvent(run_id=run_id, step=step, ts=time.time(), loss=loss, max_grad=0.5, grad_norms=norms)
        yield Published(run_id.encode(), encode(event))


@contextlib.contextmanager
def _load(kafka: KafkaSettings, topics: TopicSettings) -> Iterator[None]:
    """Every run steps in its turn for as long as the block runs."""
    stopped = threading.Event()
    thread = threading.Thread(target=_publish_until, args=(kafka, topics, stopped))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _publish_until(kafka: KafkaSettings, topics: TopicSettings, stopped: threading.Event) -> None:
    at_once = EVENTS_PER_SECOND // 10
    for turn in itertools.count():
        start = turn * at_once % RUNS
        publish(kafka, topics, _steps(range(start, start + at_once), 1 + turn * at_once // RUNS))
        if stopped.wait(0.1):
            return


def _scrapes(url: str) -> Iterator[Scrape]:
    """For one period, as often as Prometheus would."""
    for _ in range(int(PERIOD_SECONDS / SCRAPE_INTERVAL_SECONDS)):
        began = time.time()
        request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=30) as response:
            size = len(response.read())
        yield Scrape(began, time.time() - began, size)
        time.sleep(SCRAPE_INTERVAL_SECONDS)


def _text(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            text: str = response.read().decode()
            return text
    except OSError:
        return ""


def _stalls(log: Path) -> Iterator[tuple[float, float]]:
    for line in log.read_text().splitlines():
        moment, _, seconds = line.partition(" ")
        if moment.replace(".", "").isdigit():
            yield float(moment), float(seconds)


def _worst(stalls: list[tuple[float, float]], start: float, end: float) -> float:
    return max((seconds for moment, seconds in stalls if start <= moment < end), default=0.0)


def _listed(seconds: list[float]) -> str:
    return ", ".join(f"{1e3 * each:.0f}" for each in seconds)
