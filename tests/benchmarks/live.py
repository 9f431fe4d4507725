"""What it costs to show live runs in Redis: the stream worker's time, and the memory of Redis."""

import random
import time
from statistics import median

from producers.redis.client import connect
from streakline.redis_server import running_redis
from stream_app.engine.state import RunState
from stream_app.engine.thresholds import ThresholdPolicy
from stream_app.judging import judge
from stream_app.live import LivePoint, batches_key
from stream_app.live_writer import LiveWriter, Shown
from stream_app.raw_records import RawRecord, RowKey
from stream_app.records import VERSION, Latest, RunRecord
from stream_app.run_news import RunNews, live_run, news_of
from stream_app.waiting import Waiting
from tests.benchmarks.stream import LAYERS, throughput
from tests.workload import fleet

ROUNDS = 5
SHAPES = ((64, 1_500), (4_000, 24))
"""runs, and steps of each, that wait for a worker"""
BATCH = 1_000
MEASURED_RUNS = 100
SECONDS = 600
PACES = (1, 2, 4, 8, 32)
"""points a batch; 32 are what any faster run has"""


def main() -> None:
    """Print the figures."""
    print("## Live runs in Redis")
    for runs, steps in SHAPES:
        _worker(runs, steps)
    for runs, _ in SHAPES:
        _event_loop(min(runs, BATCH))
    _memory()


def _worker(runs: int, steps: int) -> None:
    with running_redis() as url:
        pairs = [(throughput(runs, steps), throughput(runs, steps, url)) for _ in range(ROUNDS)]
    print(f"stream worker, {LAYERS} layers, {runs:,} runs, {runs * steps:,} events waiting, {ROUNDS} pairs:")
    for what, figures in zip(("without", "shown"), zip(*pairs, strict=True), strict=True):
        rates, costs = zip(*figures, strict=True)
        print(
            f"  {what:<8} {median(rates):,.0f} events/s ({min(rates):,.0f} to {max(rates):,.0f}), "
            f"{median(costs):.0f} microseconds of the processor an event ({min(costs):.0f} to {max(costs):.0f})"
        )
    ratios = [shown.microseconds / without.microseconds for without, shown in pairs]
    print(f"  ratio of the latter {median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})", flush=True)


def _event_loop(runs: int) -> None:
    """Microseconds an event, of a batch that holds steps of `runs` runs."""
    events = list(fleet(runs, 1 + 4 * BATCH // runs, LAYERS))[-BATCH:]
    records = [RawRecord(0, index, event.key, event.value, 1e9) for index, event in enumerate(events)]
    stored: dict[RowKey, RunRecord] = {}
    waiting, judging, showing = Waiting(10_000), [], []
    for _ in range(9):
        began = time.perf_counter()
        judged = judge(records, stored.get, ThresholdPolicy(), 1e9)
        middle = time.perf_counter()
        waiting.add(news_of(judged))
        ended = time.perf_counter()
        judging.append(1e6 * (middle - began) / BATCH)
        showing.append(1e6 * (ended - middle) / BATCH)
    print(
        f"event loop, a batch of {BATCH:,} events of {runs} runs, in microseconds an event: "
        f"{median(judging):.1f} to judge, {median(showing):.2f} ({min(showing):.2f} to {max(showing):.2f}) "
        "to have it shown"
    )


def _memory() -> None:
    rng = random.Random(0)
    runs = [f"team/fine-tune-{index:05}" for index in range(MEASURED_RUNS)]
    with running_redis() as url:
        client = connect(url)
        for pace in PACES:
            client.flushall(asynchronous=False)
            empty, writer, taken = _used(url), LiveWriter(client, "streakline."), []
            for second in range(SECONDS):
                shown = [Shown(_news(run_id, second, pace, rng)) for run_id in runs]
                began = time.thread_time()
                writer.write(shown, time.time())
                taken.append(1e6 * (time.thread_time() - began) / MEASURED_RUNS)
            entries = client.xlen(batches_key("streakline.", runs[0]))
            print(
                f"{pace} points a second for {SECONDS} s: {(_used(url) - empty) / MEASURED_RUNS / 1000:.1f} kB a run "
                f"in Redis, {entries} batches kept; {median(taken):.1f} microseconds of the worker's processor a run "
                "and second"
            )


def _news(run_id: str, second: int, pace: int, rng: random.Random) -> RunNews:
    losses = tuple(rng.uniform(1.0, 3.0) for _ in range(20))
    points = [LivePoint(second * pace + each, rng.uniform(1.0, 3.0), rng.uniform(0.1, 1.0)) for each in range(pace)]
    state = RunState(attempt=1_764_227_777, last_step=points[-1].step, project="assistant", losses=losses)
    record = RunRecord(VERSION, state, time.time(), Latest(time.time(), losses[-1], 0.5))
    return RunNews(live_run(run_id, record), record.seen_at, points)


def _used(url: str) -> int:
    info = connect(url).info("memory")
    assert isinstance(info, dict)
    return int(info["used_memory"])
