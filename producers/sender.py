"""What the thread beside a training loop does: keep events, and bring them to the broker in order."""

import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from producers.codec import decode, encode
from producers.delivery import Delivery, Link
from producers.events import TrainerEvent
from producers.leftovers import Delivered, Heir, Leftover, leftovers
from producers.spool.backlog import Backlog
from producers.spool.folder import Folder, Owner, lock_of_the_heir, sweep
from producers.spool.lock import Lock
from producers.spool.record import Record, Topic
from producers.spool.settings import SpoolSettings
from producers.spool.spool import Spool
from producers.tally import Tally, described, log

Outgoing = tuple[Topic, TrainerEvent]

_IDLE_SECONDS = 1.0
_EXPECTING_SECONDS = 0.02
"""until the first look for the broker's answers; while there are none each next one is twice as far away"""


class Sender:
    """Everything between the queue and the broker. Belongs to one thread, and may block it with its reads and writes.

    First goes what dead publishers of the same run have left on this machine: an older attempt's steps count for
    nothing once a newer one's have been seen. Then its own events, and what others left whenever those have arrived.
    """

    def __init__(self, owner: Owner, link: Link, settings: SpoolSettings, tally: Tally) -> None:
        self._link = link
        self._tally = tally
        spool = _own_spool(owner, settings, tally)
        self._backlog = Backlog(spool, tally.complain)
        self._delivery = Delivery(link, self._backlog, owner, self._answered)
        # A disk that is full keeps no new events, and gives those that were left on it all the same.
        root = _root(settings)
        same = [left.path for left in _leftovers(root, owner, tally, owner.run_id) if left.owner == owner]
        self._before = Heir(same, link, _tell, tally.complain)
        self._lock = None if root is None else _lock_of_the_heir(root, tally)
        others = [] if self._lock is None else _leftovers(root, owner, tally)
        self._after = Heir((left.path for left in others if left.owner != owner), link, _tell, tally.complain)
        self._patience_seconds = _EXPECTING_SECONDS

    @property
    def is_done(self) -> bool:
        """Whether every event that was kept has arrived."""
        return self._delivery.is_done

    @property
    def patience_seconds(self) -> float:
        """How long to wait for new events before looking for answers."""
        return self._patience_seconds if self._is_expecting else _IDLE_SECONDS

    @property
    def _is_expecting(self) -> bool:
        """Whether the broker owes answers."""
        return self._delivery.is_waiting or self._before.is_waiting or self._after.is_waiting

    @property
    def _answers(self) -> int:
        return self._before.answers + self._after.answers + self._tally.acknowledged + self._tally.failed

    def keep(self, events: Iterable[Outgoing]) -> None:
        """Encode `events` and keep them where a crash of this process does not reach them."""
        records: list[Record] = []
        for topics, event in events:
            raw = self._checked(event)
            if raw is None:
                continue
            record = Record(topics, raw)
            if topics is Topic.STEPS:
                records.append(record)
            else:
                self._append(records)
                records = []
                self._append([record], is_essential=True)
        self._append(records)

    def deliver(self, *, is_closing: bool = False) -> None:
        """Send what may be sent now, and take the broker's answers."""
        was_expecting = self._is_expecting
        if self._before.pump():
            self._delivery.pump()
            if not is_closing and self._delivery.is_done:
                self._after.pump()
        answers = self._answers
        self._link.poll()
        if self._answers > answers or not was_expecting:
            self._patience_seconds = _EXPECTING_SECONDS
        else:
            self._patience_seconds = min(2 * self._patience_seconds, _IDLE_SECONDS)

    def close(self) -> None:
        """Let go of the spools; what has not arrived stays in them."""
        lost = self._backlog.count_in_memory()
        self._tally.failed += lost
        self._before.close()
        self._after.close()
        self._backlog.close()
        if self._lock is not None:
            self._lock.release()
        self._tally.sum_up(self._backlog.place)

    def _append(self, records: Sequence[Record], *, is_essential: bool = False) -> None:
        if not records:
            return
        kept = self._backlog.append(records, is_essential=is_essential)
        self._tally.published += _count(records[:kept])
        if kept < len(records):
            self._tally.dropped_by_sender += _count(records[kept:])
            self._tally.complain("there is no room to keep more events")

    def _checked(self, event: TrainerEvent) -> bytes | None:
        try:
            raw = encode(event)
            # A reader would refuse what this refuses.
            decode(raw)
        except Exception as error:
            self._tally.dropped_by_sender += 1
            self._tally.say_once(type(event), error)
            return None
        return raw

    def _answered(self, arrived: int, refused: int) -> None:
        self._tally.acknowledged += arrived
        self._tally.failed += refused


def _own_spool(owner: Owner, settings: SpoolSettings, tally: Tally) -> Spool | None:
    if not settings.spool_max_bytes:
        return None
    try:
        folder = Folder.create(settings.root, owner)
        return Spool(folder, max_bytes=settings.spool_max_bytes, min_free_bytes=settings.spool_min_free_bytes)
    except (OSError, RuntimeError, ValueError) as error:
        tally.complain(f"no spool can be made ({described(error)}); set STREAKLINE_SPOOL_DIR to a folder of yours")
        return None


def _root(settings: SpoolSettings) -> Path | None:
    """Where publishers leave what has not arrived; None where there is no such place."""
    if not settings.spool_max_bytes:
        return None
    try:
        return settings.root if settings.root.is_dir() else None
    except (OSError, RuntimeError):
        return None


def _lock_of_the_heir(root: Path, tally: Tally) -> Lock | None:
    try:
        lock = lock_of_the_heir(root)
        if lock is not None:
            with contextlib.suppress(OSError):
                sweep(root)
        return lock
    except OSError as error:
        tally.complain(f"what others left cannot be delivered ({error})")
        return None


def _leftovers(root: Path | None, owner: Owner, tally: Tally, run_id: str | None = None) -> list[Leftover]:
    """What was left for the owner's broker."""
    there = [] if root is None else leftovers(root, run_id, on_problem=tally.complain)
    return [left for left in there if left.owner.bootstrap == owner.bootstrap]


def _count(records: Iterable[Record]) -> int:
    return sum(len(record.topics) for record in records)


def _tell(delivered: Delivered) -> None:
    if delivered.records:
        log.info("run %s: delivered %d records that it had left on disk", delivered.owner.run_id, delivered.records)
