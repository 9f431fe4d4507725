"""Whatever the network does to stream workers: their signals are the offline replay's, and they work again after."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from streakline.stack import MAX_RESTARTS
from stream_app.dying import EXIT_FAILED
from tests.faults.cases import Figures
from tests.faults.network import ANSWERS_LOST, CUT_EVERY_SECOND, HALF_OPEN, SWALLOWED, Fault, faults
from tests.faults.stream_scene import SETTINGS, StreamScene
from tests.faulty_broker import FaultyBroker
from tests.worker import wait_until


@pytest.fixture
def scene(kafka: KafkaSettings, topics: TopicSettings, tmp_path: Path) -> StreamScene:
    return StreamScene(kafka, topics, tmp_path)


def assert_right(figures: Figures, deaths: list[int]) -> None:
    assert figures.is_right, figures
    assert 0 <= figures.duplicates <= figures.expected, figures
    # It may find that it cannot go on; it may not be brought down, or end so often that a supervisor gives it up.
    assert all(status > 0 for status in deaths), deaths
    assert len(deaths) < MAX_RESTARTS, deaths


@faults(CUT_EVERY_SECOND, SWALLOWED)
def test_under_steady_load(front: FaultyBroker, scene: StreamScene, fault: Fault) -> None:
    with scene.worker("data") as worker:
        with scene.load():
            wait_until(lambda: worker.now.events() > 500)
            fault.strike(front)
        assert_right(scene.figures(worker), worker.deaths)


@faults(HALF_OPEN)
def test_while_the_tables_are_recovered(front: FaultyBroker, scene: StreamScene, fault: Fault) -> None:
    with scene.worker("first") as worker, scene.load(a_second=100_000):
        wait_until(lambda: worker.now.events() > 5_000)
    with scene.load(a_second=100_000, seed=1):
        pass
    # So that it takes a while.
    front.delay_seconds = 0.3
    with scene.worker("emptied") as worker:
        wait_until(lambda: worker.fails() == {"tables"}, timeout_seconds=120)
        fault.strike(front)
        front.forward()
        assert_right(scene.figures(worker), worker.deaths)


@faults(ANSWERS_LOST)
def test_while_a_second_worker_joins(front: FaultyBroker, scene: StreamScene, fault: Fault) -> None:
    with scene.worker("one") as one:
        with scene.load(steps=1_200):
            wait_until(lambda: one.now.events() > 500)
            with scene.worker("two") as two:
                wait_until(lambda: "partitions" in one.fails())
                fault.strike(front)
                wait_until(lambda: not one.fails() and not two.fails(), timeout_seconds=120)
        assert_right(scene.figures(one), one.deaths + two.deaths)


# A step of the client's that is never answered and that nobody gives up; the first time only.
_NEVER_JOINS = """
import asyncio, pathlib, sys
from aiokafka.consumer.group_coordinator import GroupCoordinator
from streakline.cli.main import main

join, marker = GroupCoordinator._do_rejoin_group, pathlib.Path(sys.argv.pop())

async def join_never(self, subscription):
    if not marker.exists():
        marker.touch()
        await asyncio.Event().wait()
    return await join(self, subscription)

GroupCoordinator._do_rejoin_group = join_never
main()
"""


def test_a_worker_that_would_never_get_ready_ends_and_the_next_one_does(scene: StreamScene, tmp_path: Path) -> None:
    program = ("-c", _NEVER_JOINS, "stream", str(tmp_path / "marker"))
    with scene.worker("data", replace(SETTINGS, standstill_seconds=10.0), program) as worker:
        with scene.load(steps=100):
            pass
        assert scene.figures(worker).is_right
        assert worker.deaths == [EXIT_FAILED]
