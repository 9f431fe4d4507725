"""One run of a fleet, as a process: ``python -m tests.fleet_member NUMBER STEPS LAYERS STEP_SECONDS``.

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
    """Step the run, every STEP_SECONDS where the machine is fast enough."""
    number, steps, layers = map(int, sys.argv[1:4])
    step_seconds = float(sys.argv[4])
    fates = list(Fate)
    events = run_events(run_id_of(number), fates[number % len(fates)], steps, layers, random.Random(number))
    run = StepPublisher(run_id=run_id_of(number), project=f"project-{number % 4}")
    due = time.monotonic()
    for event in events:
        run.step(event.step, event.loss, max_grad=event.max_grad, grad_norms=event.grad_norms, epoch=event.epoch)
        due += step_seconds
        time.sleep(max(0.0, due - time.monotonic()))
    run.complete()
    sys.exit(0 if run.close(120.0) else 1)


if __name__ == "__main__":
    main()
