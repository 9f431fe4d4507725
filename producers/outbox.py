"""The way out of a training loop: a bounded queue, and a thread that does all the rest (`producers.sender`).

What the thread takes from the queue it keeps first and sends then: a crash of the process costs its last milliseconds
at most, an outage nothing.
"""

import os
import threading
import time
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from weakref import WeakSet

from producers.delivery import Link
from producers.events import StepEvent, TrainerEvent
from producers.kafka import KafkaSettings
from producers.sender import Outgoing, Sender
from producers.spool.folder import Owner
from producers.spool.record import Topic
from producers.spool.settings import SpoolSettings
from producers.tally import PublisherStats, Tally, described, log

QUEUE_NUMBERS = 400_000
"""gradient norms that may wait for the thread, about 40 MB; it falls behind only where the disk hangs"""
_NUMBERS_OF_AN_EVENT = 16
_BATCH_EVENTS = 256
_CLOSING_SECONDS = 0.02
_TROUBLED_SECONDS = 1.0


class Outbox:
    """Takes events or counts them as dropped, and neither waits nor raises.

    Raises ValueError where the Kafka client refuses its settings.
    """

    def __init__(self, owner: Owner, kafka: KafkaSettings, spool: SpoolSettings) -> None:
        self._owner = owner
        self._spool = spool
        self._tally = Tally(owner.run_id, kafka.kafka_bootstrap)
        # Without a lock of its own in Python: a signal handler may publish while the loop does.
        self._queue: SimpleQueue[Outgoing | None] = SimpleQueue()
        self._largest = 0
        self.is_elsewhere = False
        """whether this is a forked child: thread, client and spool are the parent's"""
        self._closes_at_seconds: float | None = None
        self._ended = threading.Event()
        self._link = Link(kafka, self._tally.complain)
        _outboxes.add(self)
        threading.Thread(target=self._run, name="streakline-outbox", daemon=True).start()

    def stats(self) -> PublisherStats:
        """The counts so far, without what still is in the queue."""
        return self._tally.stats()

    def put(self, topics: Topic, event: TrainerEvent) -> bool:
        """Whether there was room for `event`."""
        if self.is_elsewhere:
            self.refuse(type(event), ValueError("the publisher was made in another process: make one in this"))
            return False
        if self._closes_at_seconds is not None:
            self.refuse(type(event), ValueError("the publisher is closed"))
            return False
        if isinstance(event, StepEvent) and event.grad_norms is not None:
            self._largest = max(self._largest, len(event.grad_norms))
        if self._queue.qsize() * (_NUMBERS_OF_AN_EVENT + self._largest) > QUEUE_NUMBERS:
            self._tally.dropped_by_loop += len(topics)
            self._tally.complain("events come faster than they can be kept")
            return False
        self._queue.put((topics, event))
        return True

    def refuse(self, kind: type[TrainerEvent], error: Exception) -> None:
        """Count an event that cannot be published, and say each reason once."""
        self._tally.dropped_by_loop += 1
        self._tally.say_once(kind, error)

    def close(self, timeout_seconds: float) -> bool:
        """Wait until everything has arrived, at most so long; what has not stays in the spool.

        Whether everything has arrived, and nothing was lost.
        """
        if self.is_elsewhere:
            return False
        timeout_seconds = min(max(0.0, timeout_seconds), threading.TIMEOUT_MAX)
        if self._closes_at_seconds is None:
            # Some of the time is for what is to be done when the rest was not enough.
            self._closes_at_seconds = time.monotonic() + timeout_seconds - min(0.25, timeout_seconds / 4)
            self._queue.put(None)
            if not self._ended.wait(timeout_seconds):
                log.error("run %s: it took too long to keep its last events; they may be lost", self._owner.run_id)
        stats = self.stats()
        return self._ended.is_set() and not (stats.waiting or stats.failed or stats.dropped)

    def forsake(self) -> None:
        """Called in a forked child."""
        self.is_elsewhere = True
        self._link.forsake()

    def _run(self) -> None:
        sender = Sender(self._owner, self._link, self._spool, self._tally)
        while not self._is_over(sender):
            try:
                sender.keep(self._taken(sender))
                sender.deliver(is_closing=self._closes_at_seconds is not None)
            except Exception as error:
                self._tally.complain(described(error))
                time.sleep(_TROUBLED_SECONDS)
        sender.close()
        self._ended.set()
        # Nobody waits for this.
        self._link.close()

    def _taken(self, sender: Sender) -> Iterator[Outgoing]:
        """What has come, after waiting for the first of it."""
        patience = sender.patience_seconds if self._closes_at_seconds is None else _CLOSING_SECONDS
        try:
            outgoing = self._queue.get(timeout=patience)
            if outgoing is not None:
                yield outgoing
            for _ in range(_BATCH_EVENTS):
                outgoing = self._queue.get_nowait()
                if outgoing is not None:
                    yield outgoing
        except Empty:
            return

    def _is_over(self, sender: Sender) -> bool:
        if self._closes_at_seconds is None or self._queue.qsize():
            return False
        return sender.is_done or time.monotonic() >= self._closes_at_seconds


_outboxes: WeakSet[Outbox] = WeakSet()


def _forsake_all() -> None:
    for outbox in list(_outboxes):
        outbox.forsake()


os.register_at_fork(after_in_child=_forsake_all)
