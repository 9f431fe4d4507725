"""A trainer that is hurt: ``python -m tests.faults.hurt_trainer RUN ATTEMPT STEPS PAUSE_SECONDS``.

Reads the broker, the topics and the spool from the environment. Says on its standard output how many records were kept
so far; the exit status is 0 when every one has arrived.
"""

import random
import sys
import time
from collections.abc import Iterator

from producers.events import StepEvent
from producers.publisher import StepPublisher
from tests.workload import Fate, run_events

_LAYERS = 4
_CLOSE_SECONDS = 90.0
# Start and end, each on two topics.
_RECORDS_OF_A_LIFE = 4


def measured(run_id: str, attempt: int, steps: int) -> Iterator[StepEvent]:
    """What the attempt publishes; its times are those of a simulation."""
    fates = (Fate.SPIKES, Fate.DIVERGES, Fate.LOSES_MLP)
    return run_events(run_id, fates[attempt % len(fates)], steps, _LAYERS, random.Random(attempt))


def main() -> None:
    run_id, attempt, steps, pause_seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    run = StepPublisher(run_id=run_id, attempt=attempt)
    for event in measured(run_id, attempt, steps):
        run.step(event.step, event.loss, max_grad=event.max_grad, grad_norms=event.grad_norms, epoch=event.epoch)
        if event.step % 10 == 0:
            print(run.stats.published, flush=True)
        if pause_seconds:
            time.sleep(pause_seconds)
    run.complete()
    while run.stats.published < steps + _RECORDS_OF_A_LIFE:
        print(run.stats.published, flush=True)
        time.sleep(0.005)
    print(run.stats.published, flush=True)
    sys.exit(0 if run.close(_CLOSE_SECONDS) else 1)


if __name__ == "__main__":
    main()
