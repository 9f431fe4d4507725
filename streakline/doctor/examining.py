"""Looks at everything at once: no check waits for another, hides what another found, or takes for ever."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from streakline.doctor.findings import Finding, of_error, wrong


class Check(Struct, frozen=True):
    """One subject; what `look` raises is a finding as well."""

    subject: str
    look: Callable[[], Iterable[Finding]]


def guarded(check: Check) -> Iterator[Finding]:
    """What the check finds, up to where it fails."""
    try:
        yield from check.look()
    except Exception as error:  # whatever it is, the others have something to say
        yield of_error(check.subject, error)


def examine(checks: Sequence[Check], limit_seconds: float) -> Iterator[Finding]:
    """What each finds, in their order; what has not been said after `limit_seconds` is waited for no longer."""
    deadline = time.monotonic() + limit_seconds
    started = [(check, _started(check)) for check in checks]
    for check, found in started:
        while True:
            try:
                finding = found.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                yield wrong(
                    check.subject,
                    f"it gave no answer within {limit_seconds:g} s",
                    "see what holds it up, or have more patience with --timeout",
                )
                break
            if finding is None:
                break
            yield finding


def _started(check: Check) -> "queue.SimpleQueue[Finding | None]":
    """What it finds, as it finds it, and None in the end."""
    found: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()

    def run() -> None:
        for finding in guarded(check):
            found.put(finding)
        found.put(None)

    # A daemon: one that hangs in a driver or a mount does not keep the process.
    threading.Thread(target=run, name=f"doctor {check.subject}", daemon=True).start()
    return found
