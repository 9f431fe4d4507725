"""Writes live runs to Redis as stream workers do, for the tests of whoever reads them."""

import random
import time
from collections.abc import Sequence

import msgspec
import redis

from producers.events import Severity, Signal, SignalType
from producers.redis.client import connect
from stream_app.live import (
    MAX_BATCHES,
    LiveBatch,
    LivePoint,
    LiveRun,
    LiveSignal,
    State,
    batches_key,
    index_key,
    run_key,
)


class LiveWriter:
    """A stream worker's part that faces Redis, and anyone's who reaches it."""

    def __init__(self, url: str, prefix: str) -> None:
        self.client: redis.Redis = connect(url)
        self.prefix = prefix

    def show(self, *runs: LiveRun, at: float | None = None) -> None:
        """Put runs on the list."""
        pipe = self.client.pipeline()
        for run in runs:
            pipe.set(run_key(self.prefix, run.run_id), msgspec.json.encode(run))
            pipe.zadd(index_key(self.prefix), {run.run_id: time.time() if at is None else at})
        pipe.execute()

    def forget(self, run_id: str) -> None:
        """As when its time is over."""
        self.client.delete(run_key(self.prefix, run_id))
        self.client.zrem(index_key(self.prefix), run_id)

    def tell(self, run_id: str, batch: LiveBatch) -> str:
        """Append to the run's stream; gives the entry's id."""
        return self.tell_raw(run_id, msgspec.json.encode(batch))

    def tell_raw(self, run_id: str, value: bytes, field: str = "batch") -> str:
        """The same of any bytes."""
        return str(self.client.xadd(batches_key(self.prefix, run_id), {field: value}, maxlen=MAX_BATCHES))

    def put_raw(self, run_id: str, value: bytes) -> None:
        """Any bytes in place of a run."""
        self.client.set(run_key(self.prefix, run_id), value)
        self.client.zadd(index_key(self.prefix), {run_id: time.time()})


def live_run(
    run_id: str,
    *,
    project: str = "assistant",
    attempt: int = 0,
    state: State = "running",
    step: int = 10,
    loss: float | None = 1.5,
    event_at: float | None = None,
    sparkline: Sequence[float | None] = (2.0, 1.8, 1.5),
    signal: LiveSignal | None = None,
) -> LiveRun:
    return LiveRun(
        run_id=run_id,
        project=project,
        attempt=attempt,
        state=state,
        last_step=step,
        loss=loss,
        max_grad=1.0,
        event_at=time.time() if event_at is None else event_at,
        sparkline=tuple(sparkline),
        last_signal=signal,
    )


def points(first: int, last: int, *, loss: float = 1.0) -> tuple[LivePoint, ...]:
    """A point for each step of [first, last]."""
    return tuple(LivePoint(step, loss, 0.5) for step in range(first, last + 1))


def signal(
    run_id: str,
    step: int,
    *,
    kind: SignalType = "gradient_spike",
    severity: Severity = "warning",
    message: str = "the gradient norm is 30, over 5 times its mean",
    attempt: int = 0,
) -> Signal:
    return Signal(
        signal_id=f"{run_id}/{attempt}/{step}/{kind}",
        run_id=run_id,
        project="assistant",
        attempt=attempt,
        step=step,
        ts=time.time(),
        type=kind,
        severity=severity,
        metric="max_grad",
        value=30.0,
        threshold=5.0,
        layers=None,
        epoch=None,
        message=message,
        action=None,
    )


def many_runs(count: int, *, seed: int = 0) -> list[LiveRun]:
    """Runs of every kind, as different from each other as real ones."""
    rng = random.Random(seed)
    now = time.time()
    kinds: tuple[SignalType, ...] = ("non_finite", "loss_diverging", "gradient_spike", "dead_layers", "loss_plateau")
    severities: dict[SignalType, Severity] = {
        "non_finite": "critical",
        "loss_diverging": "critical",
        "gradient_spike": "warning",
        "dead_layers": "warning",
        "loss_plateau": "info",
    }
    runs = []
    for number in range(count):
        losses = [3.0]
        for _ in range(31):
            losses.append(max(0.05, losses[-1] * rng.uniform(0.9, 1.07)))
        states: tuple[State, ...] = ("running", "completed", "failed", "ended")
        state = rng.choices(states, (60, 30, 8, 2))[0]
        age = rng.uniform(0, 3) if state == "running" else rng.uniform(60, 80_000)
        step = rng.randrange(40, 100_000)
        kind = rng.choice(kinds)
        last = LiveSignal(type=kind, severity=severities[kind], step=step - 7, at=now - age - 9)
        runs.append(
            live_run(
                f"sft-{rng.choice(('assistant', 'search', 'code'))}-{number:05}",
                project=rng.choice(("assistant", "search", "code-assistant", "vision", "rl-hf")),
                attempt=int(now - rng.uniform(100, 80_000)),
                state=state,
                step=step,
                loss=losses[-1],
                event_at=now - age,
                sparkline=losses,
                signal=last if rng.random() < 0.25 else None,
            )
        )
    return runs
