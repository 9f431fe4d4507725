"""Reading any event of the contract by its name."""

from producers.codec import decode, decode_diff, decode_signal
from producers.events import Event
from producers.examples import EventName


def read(event: EventName, raw: bytes) -> Event:
    """What is in `raw`, read as whoever reads that event's topic does. Raises `MalformedEvent`."""
    if event == "signal":
        return decode_signal(raw)
    return decode_diff(raw) if event in ("diff_completed", "diff_failed") else decode(raw)
