"""Small trainers that end in every way there is: ``python -m tests.child_trainers NAME``, set by the environment.

Each says on its standard output what the test that started it has to know.
"""

import itertools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from producers.publisher import StepPublisher

CLOSE_SECONDS = 1.0
STEPS = 200

inherited: StepPublisher
"""one that lives until the interpreter takes its modules apart"""


def publisher(run_id: str = "run", *, close_timeout_seconds: float = CLOSE_SECONDS, attempt: int = 1) -> StepPublisher:
    return StepPublisher(run_id=run_id, attempt=attempt, close_timeout_seconds=close_timeout_seconds)


def say(text: object) -> None:
    # In one write: two ranks share the terminal.
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def train(run: StepPublisher, steps: int = STEPS) -> None:
    for step in range(steps):
        run.step(step, 1.0)


def wait_until_kept(run: StepPublisher, records: int) -> None:
    while run.stats.published < records:
        time.sleep(0.01)


def endless() -> None:
    """Says how many records were kept so far."""
    run = publisher()
    for step in itertools.count():
        run.step(step, 1.0)
        time.sleep(0.002)
        if step % 50 == 0:
            say(run.stats.published)


def exits() -> None:
    train(publisher(close_timeout_seconds=30))
    sys.exit(3)


def raises() -> None:
    train(publisher(close_timeout_seconds=30))
    raise RuntimeError("the loop's own")


def vanishes() -> None:
    run = publisher()
    train(run)
    wait_until_kept(run, STEPS + 2)
    os._exit(4)


def is_a_global() -> None:
    global inherited  # noqa: PLW0603
    inherited = publisher()
    train(inherited)


def waits_to_exit() -> None:
    """Everything has arrived and the broker hangs before the interpreter ends."""
    global inherited  # noqa: PLW0603
    inherited = publisher()
    inherited.complete()
    while inherited.stats.acknowledged < 4:
        time.sleep(0.01)
    say("arrived")
    sys.stdin.readline()


def forks() -> None:
    """The child goes on with its parent's publisher, and makes one of its own; both end as programs do."""
    global inherited  # noqa: PLW0603
    inherited = publisher(close_timeout_seconds=30)
    train(inherited, 50)
    child = os.fork()
    if not child:
        train(inherited, 100)
        inherited.complete()
        assert not inherited.close()
        own = publisher("child", close_timeout_seconds=30)
        train(own)
        own.complete()
        return
    for step in range(50, STEPS):
        inherited.step(step, 1.0)
    inherited.complete()
    _, status = os.waitpid(child, 0)
    assert status == 0


def worker_outlives() -> None:
    """Says the id of a forked worker that lives until it is killed; it has touched nothing of its parent's."""
    run = publisher()
    worker = os.fork()
    if not worker:
        signal.pause()
    train(run)
    wait_until_kept(run, STEPS + 2)
    say(worker)
    os.kill(os.getpid(), signal.SIGKILL)


def _own(run_id: str) -> None:
    with publisher(run_id, close_timeout_seconds=30) as run:
        train(run, 20)


def multiprocesses() -> None:
    with publisher(close_timeout_seconds=30) as run:
        train(run, 50)
        get = multiprocessing.get_context
        for context in (get("fork"), get("spawn"), get("forkserver")):
            process = context.Process(target=_own, args=(context.get_start_method(),))
            process.start()
            process.join()
            assert process.exitcode == 0
        for step in range(50, STEPS):
            run.step(step, 1.0)


def has_a_handler() -> None:
    run = publisher(close_timeout_seconds=30)

    def end(_number: int, _frame: FrameType | None) -> None:
        run.fail("preempted")
        sys.exit(5)

    signal.signal(signal.SIGTERM, end)
    for step in itertools.count():
        run.step(step, 1.0)
        if step == 100:
            say("trains")


def is_a_rank() -> None:
    with publisher(close_timeout_seconds=30) as run:
        train(run)
        say(f"rank {os.environ['RANK']} publishes: {run.is_publishing}")


def runs_one_after_the_other() -> None:
    """Says how many threads and open files there were after the first run and after the last."""
    counts = []
    for number in range(10):
        with publisher(f"run-{number}", close_timeout_seconds=30) as run:
            train(run, 10)
        if number in {0, 9}:
            time.sleep(2)  # The client is let go of behind the loop's back.
            counts.append(tuple(len(list(Path("/proc/self", kind).iterdir())) for kind in ("task", "fd")))
    say(counts)


if __name__ == "__main__":
    trainer: Callable[[], None] = globals()[sys.argv[1]]
    trainer()
