"""What reads Redis ends when it is told to, whatever Redis's client is doing at that moment."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from streakline.dashboard.feed import RunFeed
from streakline.dashboard.live import LiveReader
from streakline.dashboard.overview import Overview
from streakline.dashboard.redis_client import async_client

MOMENTS = 60
"""turns of the event loop; to connect and to be answered takes fewer"""

Work = Callable[[Any], Coroutine[Any, Any, None]]


async def ends_after(redis_url: str, turns: int, work: Work) -> bool:
    """Whether it has ended, having been cancelled after so many turns of the event loop."""
    client = async_client(redis_url)
    task = asyncio.create_task(work(client))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0.05)
    await client.aclose()
    return bool(done) and task.cancelled()


def test_the_list_of_live_runs(redis_url: str) -> None:
    def work(client: Any) -> Coroutine[Any, Any, None]:
        return LiveReader(client, "cancelled.", Overview()).run()

    assert [turns for turns in range(MOMENTS) if not asyncio.run(ends_after(redis_url, turns, work))] == []


def test_the_batches_of_a_run(redis_url: str) -> None:
    def work(client: Any) -> Coroutine[Any, Any, None]:
        return RunFeed(client, "cancelled.batches", "run").run()

    assert [turns for turns in range(MOMENTS) if not asyncio.run(ends_after(redis_url, turns, work))] == []
