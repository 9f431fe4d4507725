"""A loop that stands is told of once, with what it stands in; one that only stood as long as everything did is not."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterator

import pytest

from producers.stalls import StallWatch
from producers.status_server import turns


@pytest.fixture
def watch() -> StallWatch:
    """It looks when a test does."""
    return StallWatch("the loop", stall_seconds=3)


def look(watch: StallWatch, times: int, *, turning: bool = False) -> None:
    for _ in range(times):
        if turning:
            watch.beat()
        watch.look()


def test_a_loop_that_stands_is_told_of_once(watch: StallWatch, caplog: pytest.LogCaptureFixture) -> None:
    look(watch, 2)
    assert (watch.is_stalled, turns("loop", watch).passes, caplog.messages) == (False, True, [])
    look(watch, 5)
    assert watch.is_stalled
    (said,) = caplog.records
    assert said.levelno == logging.ERROR
    assert said.getMessage().startswith("the loop has not turned for 3 s; this is where everything stands:\nthread ")
    check = turns("loop", watch)
    assert (check.name, check.passes, check.detail) == ("loop", False, "has not turned for 7 s, see the log")


def test_that_it_turns_again_is_told_and_the_next_stall_too(
    watch: StallWatch, caplog: pytest.LogCaptureFixture
) -> None:
    look(watch, 4)
    look(watch, 2, turning=True)
    assert (watch.is_stalled, turns("loop", watch).passes) == (False, True)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert caplog.messages[1] == "the loop turns again, after it stood for 4 s"
    look(watch, 3)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING, logging.ERROR]


def test_a_loop_that_turns_slowly_has_not_stalled(watch: StallWatch, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(10):
        look(watch, 1, turning=True)
        look(watch, 2)
    assert (watch.is_stalled, caplog.messages) == (False, [])


@contextlib.contextmanager
def beside(target: threading.Thread, let_go: threading.Event) -> Iterator[None]:
    target.start()
    try:
        yield
    finally:
        let_go.set()
        target.join()


def test_the_stack_of_every_thread_is_logged(watch: StallWatch, caplog: pytest.LogCaptureFixture) -> None:
    stands, let_go = threading.Event(), threading.Event()

    def where_it_stands() -> None:
        stands.set()
        let_go.wait()

    with beside(threading.Thread(target=where_it_stands, name="the other one"), let_go):
        stands.wait()
        look(watch, 3)
    (said,) = caplog.messages
    assert "thread MainThread:\n" in said
    assert "in look" in said
    _, _, other = said.partition("thread the other one:\n")
    assert "in where_it_stands\n    let_go.wait()\n" in other


def test_the_tasks_of_an_event_loop_are_logged_and_what_each_waits_in(
    watch: StallWatch, caplog: pytest.LogCaptureFixture
) -> None:
    stands, let_go = threading.Event(), threading.Event()

    async def sleeper() -> None:
        await inner_sleeper()

    async def inner_sleeper() -> None:
        await asyncio.sleep(60)

    async def main() -> None:
        watch.beat_with(asyncio.get_running_loop())
        tasks = [asyncio.create_task(sleeper(), name="sleeps") for _ in range(2)]
        await asyncio.sleep(0)
        stands.set()
        let_go.wait()  # what a loop must not do
        for task in tasks:
            task.cancel()

    with beside(threading.Thread(target=asyncio.run, args=(main(),)), let_go):
        stands.wait()
        look(watch, 4)
    (said,) = caplog.messages
    assert said.count("task sleeps:\n") == 2
    _, _, sleeps = said.partition("task sleeps:\n")
    assert "in sleeper\n    await inner_sleeper()\n" in sleeps
    assert "in inner_sleeper\n    await asyncio.sleep(60)\n" in sleeps


def test_an_event_loop_beats_for_as_long_as_it_runs(watch: StallWatch) -> None:
    let_go, beats = threading.Event(), threading.Semaphore(0)

    class Counted(StallWatch):
        def beat(self) -> None:
            beats.release()

    async def main() -> None:
        Counted("the loop").beat_with(asyncio.get_running_loop())
        await asyncio.to_thread(let_go.wait)

    with beside(threading.Thread(target=asyncio.run, args=(main(),)), let_go):
        assert all(beats.acquire(timeout=30) for _ in range(3))


def test_a_watch_looks_by_itself_until_it_is_closed() -> None:
    looks = threading.Semaphore(0)

    class Counted(StallWatch):
        def look(self) -> None:
            looks.release()

    with Counted("the loop") as watch:
        assert all(looks.acquire(timeout=30) for _ in range(2))
    watch._thread.join(30)
    assert not watch._thread.is_alive()
