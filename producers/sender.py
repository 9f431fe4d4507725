"""What the thread beside a training loop does: keep events, and bring them to the broker in order."""

import time
from collections.abc import Iterable, Sequence

from producers.codec import decode, encode
from producers.delivery import Delivery, Link
from producers.events import TrainerEvent
from producers.leftovers import Delivered, Heir, leftovers
from producers.spool.backlog import Backlog
from producers.spool.folder import Folder, Owner
from producers.spool.record import Record, Topic
from producers.spool.settings import SpoolSettings
from producers.spool.spool import Spool
from producers.tally import Tally, described, log

Outgoing = tuple[Topic, TrainerEvent]

_IDLE_SECONDS = 1.0
_EXPECTING_SECONDS = 0.02
_WAITING_SECONDS = 0.2


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
        there = leftovers(spool.folder.path.parent, tally.complain) if spool is not None else []
        there = [left for left in there if left.owner.bootstrap == owner.bootstrap]
        self._before = Heir((left.path for left in there if left.owner == owner), link, _tell, tally.complain)
        self._after = Heir((left.path for left in there if left.owner != owner), link, _tell, tally.complain)
        self._answered_at_seconds = 0.0

    @property
    def is_done(self) -> bool:
        """Whether every event that was kept has arrived."""
        return self._delivery.is_done

    @property
    def patience_seconds(self) -> float:
        """How long to wait for new events before looking for answers."""
        if not (self._delivery.is_waiting or self._before.is_waiting or self._after.is_waiting):
            return _IDLE_SECONDS if self._link.is_up and self.is_done else _WAITING_SECONDS
        return _EXPECTING_SECONDS if time.monotonic() - self._answered_at_seconds < 1.0 else _WAITING_SECONDS

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
        if self._before.pump():
            self._delivery.pump()
            if not is_closing and self._delivery.is_done:
                self._after.pump()
        before = self._before.answers + self._after.answers + self._tally.acknowledged
        self._link.poll()
        if self._before.answers + self._after.answers + self._tally.acknowledged != before:
            self._answered_at_seconds = time.monotonic()

    def close(self) -> None:
        """Let go of the spools; what has not arrived stays in them."""
        lost = self._backlog.count_in_memory()
        self._tally.failed += lost
        self._before.close()
        self._after.close()
        self._backlog.close()
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
    except (OSError, RuntimeError) as error:
        tally.complain(f"no spool can be made ({described(error)}); set STREAKLINE_SPOOL_DIR to a folder of yours")
        return None


def _count(records: Iterable[Record]) -> int:
    return sum(len(record.topics) for record in records)


def _tell(delivered: Delivered) -> None:
    if delivered.records:
        log.info("run %s: delivered %d records that it had left on disk", delivered.owner.run_id, delivered.records)
