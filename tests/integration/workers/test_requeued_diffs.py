"""What a diff worker makes of letters that were requeued."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from producers.codec import encode
from producers.events import DiffCompleted, RunCompleted
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings
from tests.commands import settings_environ, streakline
from tests.integration.workers.test_diff_worker import Pool, _closing
from tests.large_records import LARGE, sizes, sizes_of_its_letter
from tests.publishing import publish_to
from tests.worker import header
from tests.workload import Published


@pytest.fixture
def pool(kafka: KafkaSettings, topics: TopicSettings, redis_url: str, tmp_path: Path) -> Iterator[Pool]:
    with _closing(Pool(kafka, topics, redis_url, tmp_path)) as pool:
        yield pool


def test_a_run_is_compared_once_its_checkpoint_is_there_and_what_is_refused_again_says_so(pool: Pool) -> None:
    environ = settings_environ(pool.kafka, pool.topics)
    completed = RunCompleted(run_id="late", ts=1.0, steps=3, base_model="base", checkpoint="unmended", project="p")
    publish_to(pool.kafka, pool.names.runs, [Published(b"late", encode(completed)), Published(b"rubbish", b"{")])
    pool.start()
    pool.wait_until(lambda: len(pool.dead_letters()) == 2)
    first = {letter.key(): f"{letter.partition()}:{letter.offset()}" for letter in pool.dead_letters()}

    (pool.folder / "mended").touch()
    ended = streakline("dead-letters", "requeue", "--all", environ=environ)
    assert (ended.code, ended.lines) == (0, [f"requeued 2 letters on {pool.names.runs}"])
    pool.wait_until(lambda: pool.completed() == ["late"] and len(pool.dead_letters()) == 3)
    (again,) = (letter for letter in pool.dead_letters() if header(letter, "requeued-from"))
    assert (again.key(), header(again, "requeued-from")) == (b"rubbish", first[b"rubbish"])

    # What is left is what was requeued to good purpose; its diff is there and told of again, not made again.
    assert streakline("dead-letters", "requeue", "--all", environ=environ).lines == [
        f"requeued 1 letter on {pool.names.runs}"
    ]
    pool.wait_until(lambda: sum(isinstance(each, DiffCompleted) for each in pool.results()) == 2)
    assert len({each.diff_id for each in pool.results() if isinstance(each, DiffCompleted)}) == 1
    assert pool.log().count("end late") == 1


def test_records_that_are_larger_than_a_letter_are_cut_and_the_next_run_is_compared(pool: Pool) -> None:
    publish_to(pool.kafka, pool.names.runs, LARGE, max_bytes=64 << 20)
    pool.complete("next:good")
    pool.start()
    pool.wait_until(lambda: pool.completed() == ["next"] and len(pool.dead_letters()) == len(LARGE))
    assert sorted(map(sizes, pool.dead_letters())) == sorted(map(sizes_of_its_letter, LARGE))
