"""Tells whoever waits that something is new; what is new they look up themselves."""

import asyncio
import contextlib
from collections.abc import Iterator


class Bell:
    """Rung in the event loop, heard by any number."""

    def __init__(self) -> None:
        self._heard_by: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wake them all."""
        for each in self._heard_by:
            each.set()

    @contextlib.contextmanager
    def heard_by(self, event: asyncio.Event) -> Iterator[None]:
        """Sets `event` whenever it rings, while the block runs."""
        self._heard_by.add(event)
        try:
            yield
        finally:
            self._heard_by.discard(event)
