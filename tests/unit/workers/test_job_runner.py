"""What becomes of a job while the broker takes no results. Kafka is not asked, and no Redis is there."""

import threading
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from producers.events import DiffCompleted, DiffFailed
from producers.kafka import KafkaSettings
from producers.topics import TopicSettings, topic_names
from workers.errors import DiffError, LakeAway, TransientDiffError
from workers.job_runner import JobRunner
from workers.jobs import DiffJob
from workers.metrics import DiffMetrics
from workers.pending import Entry
from workers.progress import Progress
from workers.results import Results
from workers.settings import DiffWorkerSettings

JOB = DiffJob(run_id="r", project="p", base_model="base", checkpoint="ft", completed_at=1.0)
DONE = DiffCompleted(
    run_id="r", ts=1.0, diff_id="0" * 16, base_sha="a" * 64, ft_sha="b" * 64, probes_sha="c" * 64, project="p"
)


class Away(Results):
    """A broker that is away for the first `outage` results."""

    def __init__(self, outage: int) -> None:
        super().__init__(KafkaSettings(), topic_names(TopicSettings()))
        self.left = outage
        self.told: list[DiffCompleted | DiffFailed] = []

    def completed(self, event: DiffCompleted) -> None:
        self._tell(event)

    def failed(self, entry: Entry, event: DiffFailed) -> None:
        self._tell(event)

    def _tell(self, event: DiffCompleted | DiffFailed) -> None:
        if self.left:
            self.left -= 1
            raise TransientDiffError("unavailable", "the broker took no result")
        self.told.append(event)


def run(results: Results, make: Callable[[DiffJob, Progress], DiffCompleted]) -> Entry:
    """Run the job as often as it takes."""
    # Nothing listens on that port.
    settings = DiffWorkerSettings(redis_url="redis://127.0.0.1:1/0", diff_attempts=2, diff_retry_seconds=0.001)
    runner = JobRunner(
        settings,
        prefix="",
        results=results,
        make_diff=make,
        metrics=DiffMetrics(CollectorRegistry()),
        stopping=threading.Event(),
    )
    entry = Entry(partition=0, offset=0, published_at=0.0, key=b"r", value=b"", job=JOB)
    while not entry.is_done:
        runner.run(entry)
    return entry


@pytest.mark.parametrize("outage", [0, 1, 20])
def test_what_cannot_be_told_is_told_later_and_not_made_again(outage: int) -> None:
    made: list[DiffJob] = []

    def make(job: DiffJob, _: Progress) -> DiffCompleted:
        made.append(job)
        return DONE

    results = Away(outage)
    run(results, make)
    assert (results.told, made) == ([DONE], [JOB])


@pytest.mark.parametrize("outage", [0, 1, 20])
def test_a_failure_keeps_its_reason_however_long_the_broker_is_away(outage: int) -> None:
    made: list[DiffJob] = []

    def make(job: DiffJob, _: Progress) -> DiffCompleted:
        made.append(job)
        raise DiffError("checkpoint_invalid", "this is no checkpoint: make a better one")

    results = Away(outage)
    run(results, make)
    (failed,) = results.told
    assert isinstance(failed, DiffFailed)
    assert (failed.reason, failed.error) == ("checkpoint_invalid", "this is no checkpoint: make a better one")
    assert made == [JOB]


def test_a_lake_that_is_away_is_waited_for_however_often_it_is_tried() -> None:
    tries = 0

    def make(_: DiffJob, __: Progress) -> DiffCompleted:
        nonlocal tries
        tries += 1
        if tries <= 20:
            raise LakeAway("the disk is full")
        return DONE

    results = Away(outage=0)
    run(results, make)
    assert results.told == [DONE]
