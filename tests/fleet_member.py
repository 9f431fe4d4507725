"""Some runs of a fleet, published from one process: ``… -m tests.fleet_member FIRST COUNT STEPS LAYERS STEP_SECONDS``.

Reads the broker and the topics from the environment. The exit status is 0 when every record has arrived.
"""

import random
import sys
import time

from producers.publisher import StepPublisher
from tests.workload import Fate, run_events

def run_id_of(number: int) -> str:
    """The name of one of the fleet's runs."""
    return f"fleet/run-{number:04}"


def main() -> None:
    """Step every run in turn, a round every STEP_SECONDS where the machine is fast enough."""
    first, count, steps, layers = map(int, sys.argv[1:5])
    step_seconds = float(sys.argv[5])
    fates = list(Fate)
    numbers = range(first, first + count)
    streams = [
        run_events(run_id_of(number), fates[number % len(fates)], steps, layers, random.Random(number))
        for number in numbers
    ]
    runs = [StepPublisher(run_id=run_id_of(number), project=f"project-{number % 4}", attempt=1) for number in numbers]
    due = time.monotonic()
    for _ in range(steps):
        for run, events in zip(runs, streams, strict=True):
            event = next(events)
            run.step(event.step, event.loss, max_grad=event.max_grad, grad_norms=event.grad_norms, epoch=event.epoch)
        due += step_seconds
        time.sleep(max(0.0, due - time.monotonic()))
    for run in runs:
        run.complete()
    has_arrived = [run.close(120.0) for run in runs]
    sys.exit(0 if all(has_arrived) else 1)


if __name__ == "__main__":
    main()
