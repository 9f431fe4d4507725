"""`streakline detect`: how fast it judges, and that its memory does not grow with the events."""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from producers.codec import encode
from producers.events import StepEvent

RUNS = 100
LAYERS = 16
SIZES = (100_000, 1_000_000)


class Measured(Struct, frozen=True):
    """One run of the command."""

    events: int
    seconds: float
    """wall clock of the whole command, its start included"""
    peak_mib: float
    """resident set"""

    def __str__(self) -> str:
        speed = self.events / self.seconds
        return f"{self.events:>9,} events: {speed:>7,.0f} events/s, peak memory {self.peak_mib:.1f} MiB"


def main() -> None:
    """Print speed and peak memory at each size."""
    print(f"## streakline detect, {LAYERS} layers, {RUNS} runs, the whole command")
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            path = Path(folder) / "events.jsonl"
            with path.open("wb") as file:
                file.writelines(lines(size))
            print(measure(path, size))


def lines(count: int) -> Iterator[bytes]:
    """`count` events of `RUNS` healthy runs side by side, each of `LAYERS` layers."""
    rng = random.Random(0)
    names = [f"model.layers.{layer // 2}.{'mlp' if layer % 2 else 'self_attn'}" for layer in range(LAYERS)]
    norms: list[dict[str, float | None]] = [{name: rng.uniform(0.1, 1.0) for name in names} for _ in range(100)]
    for number in range(count):
        step = number // RUNS
        yield (
            encode(
                StepEvent(
                    run_id=f"run-{number % RUNS}",
                    step=step,
                    ts=1e9 + step,
                    loss=2.0 + rng.uniform(0.0, 0.5),
                    learning_rate=3e-4,
                    max_grad=rng.uniform(0.5, 1.5),
                    grad_norms=rng.choice(norms),
                )
            )
            + b"\n"
        )


def measure(path: Path, events: int) -> Measured:
    """Run the command on `path`."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "streakline", "detect", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the command failed with {process.returncode}")
    return Measured(events, time.perf_counter() - started, usage.ru_maxrss / 1024)


if __name__ == "__main__":
    main()
