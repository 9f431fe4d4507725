"""What publishers that are dead left on this machine: adopted a folder at a time, and delivered in order."""

import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

from msgspec import Struct

from producers.delivery import Delivery, Link
from producers.kafka import KafkaSettings
from producers.spool.backlog import Backlog
from producers.spool.folder import Folder, Owner, folders, read_owner
from producers.spool.spool import Spool

_POLL_SECONDS = 0.1


class Leftover(Struct, frozen=True):
    """A publisher's folder, whether it is dead or alive."""

    path: Path
    owner: Owner


def leftovers(
    root: Path, run_id: str | None = None, *, on_problem: Callable[[str], None] = lambda _: None
) -> list[Leftover]:
    """The publishers' folders under `root`, or the run's, the oldest first.

    `on_problem` is told of those that are not ours.
    """
    found = []
    for path in folders(root, run_id):
        try:
            found.append(Leftover(path, read_owner(path)))
        except FileNotFoundError:
            continue  # Delivered and removed a moment ago.
        except (OSError, ValueError) as error:
            on_problem(str(error))
    return found


class Delivered(Struct, frozen=True):
    """A folder that is empty now."""

    owner: Owner
    records: int
    """that arrived"""
    refused: int
    """that the broker will never take"""


class Heir:
    """Delivers the folders in `paths` one after the other, and deletes each when all of it has arrived.

    A folder whose owner lives is passed over. `on_delivered` is told of each that is done, `complain` of trouble.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        link: Link,
        on_delivered: Callable[[Delivered], None],
        complain: Callable[[str], None],
    ) -> None:
        self._paths = deque(paths)
        self._link = link
        self._on_delivered = on_delivered
        self._complain = complain
        self._current: _Estate | None = None
        self.answers = 0
        """of the broker so far"""

    @property
    def is_waiting(self) -> bool:
        """Whether the broker owes answers."""
        return self._current is not None and self._current.delivery.is_waiting

    def pump(self) -> bool:
        """Go on. Whether there is nothing left to do."""
        while self._current is not None or self._paths:
            if self._current is None:
                self._current = self._adopt(self._paths.popleft())
                continue
            self._current.delivery.pump()
            if self._current.backlog.is_unreadable and not self._current.delivery.is_waiting:
                # It stays where it is, and holds nothing else up.
                self.close()
                continue
            if not self._current.delivery.is_done:
                return False
            current, self._current = self._current, None
            current.backlog.close()
            self._on_delivered(Delivered(current.owner, current.arrived, current.refused))
        return True

    def close(self) -> None:
        """Let go; what has not arrived stays."""
        if self._current is not None:
            self._current.backlog.close()
            self._current = None

    def _adopt(self, path: Path) -> "_Estate | None":
        try:
            folder = Folder.adopt(path)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._complain(f"what was left in {path} cannot be delivered ({error})")
            return None
        if folder is None:
            return None
        try:
            spool = Spool(folder, max_bytes=0)
        except (OSError, ValueError) as error:
            folder.close()
            self._complain(f"what was left in {path} cannot be delivered ({error})")
            return None
        return _Estate(self, folder.owner, Backlog(spool, self._complain), self._link)


class _Estate:
    """A dead publisher's folder, while it is delivered."""

    def __init__(self, heir: Heir, owner: Owner, backlog: Backlog, link: Link) -> None:
        self.owner = owner
        self.backlog = backlog
        self.arrived = 0
        self.refused = 0
        self.delivery = Delivery(link, backlog, owner, self._answered)
        self._heir = heir

    def _answered(self, arrived: int, refused: int) -> None:
        self.arrived += arrived
        self.refused += refused
        self._heir.answers += arrived + refused


def flush(
    paths: Iterable[Path],
    kafka: KafkaSettings,
    *,
    on_delivered: Callable[[Delivered], None],
    on_answers: Callable[[int], None],
    complain: Callable[[str], None],
    timeout_seconds: float,
) -> bool:
    """Deliver the folders in `paths`. Whether all of it arrived before the broker was silent for `timeout_seconds`.

    `on_answers` is told of records as the broker answers for them. Raises ValueError where the settings cannot be
    right.
    """
    link = Link(kafka, complain)
    heir = Heir(paths, link, on_delivered, complain)
    try:
        heard_at_seconds = time.monotonic()
        while not heir.pump():
            answers = heir.answers
            link.poll(_POLL_SECONDS)
            if heir.answers > answers:
                on_answers(heir.answers - answers)
                heard_at_seconds = time.monotonic()
            elif time.monotonic() - heard_at_seconds > timeout_seconds:
                return False
        return True
    finally:
        heir.close()
        link.close()
