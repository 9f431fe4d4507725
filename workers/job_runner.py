"""Brings one job to its end: leased, tried and told of; or puts it off."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable

from producers.events import DiffCompleted, DiffFailed
from producers.redis.client import RedisAway, connect
from workers import panics
from workers.coordination.board import Board, JobProgress
from workers.coordination.leases import Lease, Leases
from workers.errors import DiffCancelled, DiffError, FailureLimitReached, LakeAway, TransientDiffError
from workers.failure_limit import FailureLimit
from workers.jobs import DiffJob
from workers.metrics import DiffMetrics
from workers.pending import Entry
from workers.progress import Progress, Stage
from workers.results import Results
from workers.settings import DiffWorkerSettings

logger = logging.getLogger("streakline.diff")

MakeDiff = Callable[[DiffJob, Progress], DiffCompleted]
"""Makes a diff and puts it into the lake; where it is there already, gives the same event without making it again.

Raises `DiffError`, and `DiffCancelled` where the `Progress` does."""

_LEASED_ELSEWHERE_SECONDS = 2.0
_MAX_BACKOFF_SECONDS = 600.0
_MAX_LAKE_BACKOFF_SECONDS = 60.0
_MAX_DOUBLINGS = 16
_MAX_ERROR_CHARACTERS = 2000


class JobRunner:
    """Runs one job at a time, in a thread beside the one that polls."""

    def __init__(
        self,
        settings: DiffWorkerSettings,
        *,
        prefix: str,
        results: Results,
        make_diff: MakeDiff,
        metrics: DiffMetrics,
        stopping: threading.Event,
    ) -> None:
        """`prefix` is what names in Redis begin with; once `stopping` is set a job is handed back."""
        self._settings = settings
        self._results = results
        self._make_diff = make_diff
        self._metrics = metrics
        self._stopping = stopping
        client = connect(settings.redis_url)
        self._leases = Leases(client, prefix, settings.lease_seconds)
        self._board = Board(client, prefix)
        self._limit = FailureLimit(self._board, settings.max_consecutive_failures)
        self._is_alone = False
        self._name = f"{socket.gethostname()}/{os.getpid()}"

    def run(self, entry: Entry) -> None:
        """Bring its job to an end, or put it off. Raises `FailureLimitReached`, with the job handed back."""
        job = entry.job
        assert job is not None  # noqa: S101  # `Pending.next` gives no other
        name = f"{job.run_id}/{job.attempt}"
        if entry.result is not None:
            self._tell(entry, name)
            return
        lease: Lease | None = None
        try:
            lease = self._leases.acquire(name)
            if lease is None:
                self._put_off(entry, _LEASED_ELSEWHERE_SECONDS)
                return
            entry.tries = self._board.begin(name)
            self._is_alone = False
        except RedisAway as error:
            entry.tries += 1
            if not self._is_alone:
                logger.warning("%s: working alone, without leases and progress", error)
            self._is_alone = True
        try:
            entry.result = self._attempt(entry, job, lease)
            if entry.result is not None:
                self._tell(entry, name)
        except DiffCancelled:
            logger.info("%s is handed back", name)
            self._board.end(name)
            self._put_off(entry, _LEASED_ELSEWHERE_SECONDS)
        finally:
            self._board.take_down(job.run_id)
            if lease is not None:
                lease.release()

    def _attempt(self, entry: Entry, job: DiffJob, lease: Lease | None) -> DiffCompleted | DiffFailed | None:
        """What the job comes to; None where it is put off. Raises `DiffCancelled` and `FailureLimitReached`."""
        try:
            with panics.as_errors():
                event = self._made(entry, job, lease)
            _confirm(lease)
        except DiffCancelled:
            raise
        except Exception as error:
            if not isinstance(error, DiffError):
                logger.exception("the diff of %s/%d failed", job.run_id, job.attempt)
            return self._failure(entry, job, error)
        self._limit.succeeded()
        return event

    def _made(self, entry: Entry, job: DiffJob, lease: Lease | None) -> DiffCompleted:
        died = DiffError(
            "worker_died",
            f"the diff took its worker down {entry.tries - 1} times: see the workers' logs and their memory",
        )
        # Once more it is only looked for: the last of its workers may have died when it was in the lake already.
        only_look = entry.tries > self._settings.diff_attempts
        if entry.tries > self._settings.diff_attempts + 1:
            raise died
        began = time.monotonic()

        def progress(stage: Stage, done: float, /) -> None:
            if self._stopping.is_set() or (lease is not None and lease.is_lost):
                raise DiffCancelled
            if only_look and stage != "reading":
                raise died
            if stage == "writing":
                _confirm(lease)
            self._board.show(
                JobProgress(
                    run_id=job.run_id,
                    attempt=job.attempt,
                    stage=stage,
                    percent=100 * done,
                    eta_seconds=(time.monotonic() - began) * (1 - done) / done if done > 0 else None,
                    worker=self._name,
                )
            )

        event = self._make_diff(job, progress)
        logger.info("the diff of %s/%d took %.1f s", job.run_id, job.attempt, time.monotonic() - began)
        return event

    def _failure(self, entry: Entry, job: DiffJob, error: Exception) -> DiffFailed | None:
        """What is told of a job that failed; None where it is put off for another try."""
        if isinstance(error, LakeAway):
            self._wait_for_lake(entry, job, error)
            return None
        known = isinstance(error, DiffError)
        is_final = known and not isinstance(error, TransientDiffError)
        if not is_final and entry.tries < self._settings.diff_attempts:
            self._put_off(entry, self._settings.diff_retry_seconds * 2 ** (entry.tries - 1))
            logger.warning("the diff of %s/%d is tried again later: %s", job.run_id, job.attempt, error)
            return None
        sentence = str(error) if known else f"a defect of Streakline ({type(error).__name__}): see the worker's log"
        logger.error("the diff of %s/%d cannot be made: %s", job.run_id, job.attempt, sentence)
        failure = DiffFailed(
            run_id=job.run_id,
            ts=job.completed_at,
            reason=error.reason if isinstance(error, DiffError) else "internal",
            error=sentence[:_MAX_ERROR_CHARACTERS],
            attempt=job.attempt,
            project=job.project,
        )
        try:
            self._limit.failed(failure)
        except FailureLimitReached:
            # Whoever begins it next is not to take it for one that kills its workers.
            self._board.end(f"{job.run_id}/{job.attempt}")
            raise
        return failure

    def _wait_for_lake(self, entry: Entry, job: DiffJob, error: LakeAway) -> None:
        """No try is counted: nothing was found out about the job."""
        self._board.end(f"{job.run_id}/{job.attempt}")
        entry.tries = 0
        seconds = self._settings.diff_retry_seconds * 2 ** min(entry.outages, _MAX_DOUBLINGS)
        entry.outages += 1
        self._put_off(entry, min(seconds, _MAX_LAKE_BACKOFF_SECONDS))
        logger.warning("the diff of %s/%d waits: %s", job.run_id, job.attempt, error)

    def _tell(self, entry: Entry, name: str) -> None:
        """Publish what the job came to; it is put off where the broker does not take it, and not made again."""
        try:
            if isinstance(entry.result, DiffFailed):
                self._results.failed(entry, entry.result)
                self._metrics.failed()
            elif entry.result is not None:
                self._results.completed(entry.result)
                self._metrics.succeeded(time.time())
        except TransientDiffError as away:
            logger.warning("nobody could be told what became of %s: %s", name, away)
            self._put_off(entry, self._settings.diff_retry_seconds)
            return
        entry.is_done = True
        self._board.end(name)

    def _put_off(self, entry: Entry, seconds: float) -> None:
        entry.not_before = time.monotonic() + min(seconds, _MAX_BACKOFF_SECONDS)


def _confirm(lease: Lease | None) -> None:
    """Raise `DiffCancelled` where another worker may have the job. Without an answer the result is the same anyway."""
    if lease is None:
        return
    try:
        held = lease.confirm()
    except RedisAway:
        return
    if not held:
        raise DiffCancelled
