"""Whether a process heeds a signal yet: an interpreter that has only begun just ends of it, as any program does."""

import contextlib
import re
import signal
from pathlib import Path


def heeds(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal; not where there is none of that number."""
    with contextlib.suppress(OSError):
        caught = re.search(r"^SigCgt:\s*([0-9a-f]+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)
    return False
