"""Notices that a loop no longer turns, says where it stands, and when it turns again."""

import asyncio
import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Annotated, Any, Self

from msgspec import Meta

logger = logging.getLogger("streakline.stalls")

StallSeconds = Annotated[float, Meta(ge=1)]
STALL_SECONDS = 30.0
"""longer than a pause for garbage, a large recovery or a machine that has other things to do"""

_LOOK_SECONDS = 1.0


class StallWatch:
    """Watches one loop from a thread of its own, from `start` until `close`, or for as long as a ``with`` block lasts.

    It counts its own looks and not the clock: while the process is stopped, or the machine sleeps, the watch stands
    still as well, and a loop that only stood as long as it did has not stalled.
    """

    def __init__(self, name: str, stall_seconds: float = STALL_SECONDS) -> None:
        self._name = name
        self._stall_seconds = stall_seconds
        self._beats = self._seen = 0
        self._looks = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stalls of {name}", daemon=True)

    @property
    def stood_seconds(self) -> float:
        """For how long the loop has not turned, as far as the watch has seen."""
        return self._looks * _LOOK_SECONDS

    @property
    def is_stalled(self) -> bool:
        """Whether it has not turned for so long that it hardly will again. For any thread."""
        return self.stood_seconds >= self._stall_seconds

    def beat(self) -> None:
        """The loop turns. To be called by its thread alone."""
        self._beats += 1

    def beat_with(self, loop: asyncio.AbstractEventLoop) -> None:
        """Beat once a second for as long as `loop` runs. To be called in it."""
        self._loop = loop
        self.beat()
        loop.call_later(_LOOK_SECONDS, self.beat_with, loop)

    def start(self) -> None:
        """Watch."""
        self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def look(self) -> None:
        """See whether the loop has turned since the last look; the watch does so once a second."""
        beats, was_stalled, stood = self._beats, self.is_stalled, self.stood_seconds
        if beats != self._seen:
            self._seen, self._looks = beats, 0
            if was_stalled:
                logger.warning("%s turns again, after it stood for %.0f s", self._name, stood)
            return
        # First of all: what is said below may wait for ever, where standard error is what holds the loop up.
        self._looks += 1
        if self.is_stalled and not was_stalled:
            logger.error(
                "%s has not turned for %.0f s; this is where everything stands:\n%s",
                self._name,
                self.stood_seconds,
                _stacks(self._loop),
            )

    def _run(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            self.look()


def _stacks(loop: asyncio.AbstractEventLoop | None) -> str:
    """Of every thread, and of every task of `loop`."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = [
        (f"thread {names.get(ident, ident)}", traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()  # noqa: SLF001  # documented all the same
    ]
    if loop is not None:
        stacks += [(f"task {task.get_name()}", _formatted(task)) for task in _tasks_of(loop)]
    return "\n".join(f"{name}:\n{''.join(lines)}" for name, lines in stacks)


def _tasks_of(loop: asyncio.AbstractEventLoop) -> set["asyncio.Task[Any]"]:
    try:
        return asyncio.all_tasks(loop)
    except RuntimeError:
        # It turned again meanwhile, and its tasks come and go.
        return set()


def _formatted(task: "asyncio.Task[Any]") -> list[str]:
    return traceback.StackSummary.extract((frame, frame.f_lineno) for frame in _frames(task.get_coro())).format()


def _frames(waiting: Any) -> Iterator[FrameType]:
    """Of a coroutine and all that it waits in, outermost first; `Task.get_stack` gives the first alone."""
    while (frame := getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)) is not None:
        yield frame
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
