"""Whether everything that came is in the lake."""

import time

from streakline.demo.watch import POLL_SECONDS
from streakline.stack import Stack
from workers.archive.missing import records_missing
from workers.lake.writer import Lake


def wait_for_archive(stack: Stack, lake: Lake, seconds: float) -> list[str]:
    """Watch `stack` until `lake` holds every step, signal and run event of its topics; a sentence where it does not.

    Raises what `records_missing` and `Stack.check` raise.
    """
    deadline = time.monotonic() + seconds
    while True:
        stack.check()
        missing = records_missing(stack.kafka, stack.topics, lake)
        if not missing:
            return []
        if time.monotonic() > deadline:
            return [f"{missing:,} records of steps, signals and run events are not in the lake: see {stack.logs}"]
        time.sleep(POLL_SECONDS)
