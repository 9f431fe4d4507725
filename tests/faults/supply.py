"""Records that are published as a case goes on."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

_PAUSE_SECONDS = 0.05

R = TypeVar("R")


class Supply(Generic[R]):
    """Hands `records` to `send` in order, some at a time."""

    def __init__(self, records: Sequence[R], send: Callable[[Sequence[R]], object]) -> None:
        self._records = records
        self._send = send
        self._sent = 0

    def publish(self, share: float) -> None:
        """This share of all records at once, after those that were."""
        self._publish(round(share * len(self._records)))

    def publish_the_rest(self) -> None:
        """At once."""
        self._publish(len(self._records))

    @contextlib.contextmanager
    def load(self, seconds: float) -> Iterator[None]:
        """Publish for as long as the block runs, so fast that everything would take `seconds`; then the rest."""
        is_over = threading.Event()
        chunk = max(1, round(len(self._records) * _PAUSE_SECONDS / seconds))

        def go_on() -> None:
            while not is_over.wait(_PAUSE_SECONDS):
                self._publish(chunk)

        publisher = threading.Thread(target=go_on)
        publisher.start()
        try:
            yield
        finally:
            is_over.set()
            publisher.join()
        self.publish_the_rest()

    def _publish(self, count: int) -> None:
        end = min(len(self._records), self._sent + count)
        self._send(self._records[self._sent : end])
        self._sent = end
