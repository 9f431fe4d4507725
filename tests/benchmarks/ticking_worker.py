"""A stream worker whose event loop also notes how late it is: what `tests.benchmarks.scrape` starts.

Every stall of at least 2 ms becomes a line on standard output: when it ended (Unix seconds), how long it was (seconds).
"""

import asyncio
import sys
import time

from producers.kafka import KafkaSettings
from producers.settings import load_settings
from producers.topics import TopicSettings
from stream_app.app import make_app, run_app
from stream_app.settings import StreamSettings

TICK_SECONDS = 0.001
NOTED_SECONDS = 0.002


async def tick() -> None:
    while True:
        began = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        late = time.perf_counter() - began - TICK_SECONDS
        if late >= NOTED_SECONDS:
            # In one write, so that a log line cannot come in between.
            sys.stdout.write(f"{time.time()} {late}\n")
            sys.stdout.flush()


def main() -> None:
    """Until SIGTERM."""
    kafka, topics, settings = load_settings(KafkaSettings), load_settings(TopicSettings), load_settings(StreamSettings)
    app = make_app(kafka, topics, settings, on_tansu=True)
    app.task(tick)
    run_app(app, settings)


if __name__ == "__main__":
    main()
