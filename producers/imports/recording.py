"""The one entry: a file or folder of any format that is known, read as step events.

The format is told by what is in the file, not by its name. A recording is read twice: first to see what it holds and
to report on that, then for its events.
"""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from producers.events import StepEvent
from producers.imports import report
from producers.imports.joining import Clock, Joiner
from producers.imports.readings import LeftOut, OnRead, Source, UnreadableRecording
from producers.imports.run_names import run_id_of, run_ids
from producers.imports.survey import Survey
from producers.imports.table import Table, is_table
from producers.imports.trainer_state import FILE_NAME, TrainerState, is_trainer_state

_HEAD_BYTES = 64 << 10

# The event that begins every event file, behind the frame of its record.
_EVENT_FILE = b"brain.Event:"
_EVENT_FILE_WITHIN = 64
_EVENT_FILE_NAME = "*.tfevents.*"


class Recording:
    """A recording whose first pass is done.

    Raises `UnreadableRecording` and OSError as it is made, and as its events are read.
    """

    def __init__(self, path: Path, source: Source, files: list[Path]) -> None:
        self.path = path
        self._source = source
        statuses = [file.stat() for file in files]
        self.size_bytes = sum(status.st_size for status in statuses)
        survey = Survey()
        survey.take(source.readings(survey.left_out, lambda _bytes: None))
        columns = survey.columns()
        if columns is None:
            raise UnreadableRecording(report.no_loss(survey))
        self._columns = columns
        losses = survey.curves(self._columns.loss)
        self._run_ids = run_ids(run_id_of(path), losses)
        self._clock = Clock(max(status.st_mtime for status in statuses), max(curve.count for curve in losses.values()))
        self.found = report.found(source.kind, self._columns, losses, self._run_ids)
        """what there is, as a clause for people"""
        self.missing = report.missing(self._columns, losses, source.caveats)
        """what there is not; may be empty"""
        self.left_out = report.left_out(self._columns, survey)
        """what was not read as a step; may be empty"""
        self.is_partial = report.is_wrong(survey.left_out)
        """something in it is damaged or makes no sense"""

    def events(
        self, *, on_read: OnRead = lambda _bytes: None, on_end: Callable[[str], None] = lambda _dropped: None
    ) -> Iterator[StepEvent]:
        """The steps in the order of the recording. `on_end` is told what no event was made of, where there is any."""
        joiner = Joiner(self._columns, self._run_ids, self._clock)
        yield from joiner.events(self._source.readings(LeftOut(), on_read))
        if dropped := report.not_joined(joiner):
            on_end(dropped)


def open_recording(path: Path) -> Recording | None:
    """The recording at `path`, or None where it is none of the formats that are known, such as JSON lines.

    A pipe or the like is none: it could be read only once. Raises `UnreadableRecording` for a file of a known format
    that cannot be read, and OSError.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        files = sorted(file for file in path.glob(_EVENT_FILE_NAME) if file.is_file())
        return Recording(path, _event_files(files), files) if files else None
    if not stat.S_ISREG(mode):
        return None
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    source = _source(path, head)
    return None if source is None else Recording(path, source, [path])


def _source(path: Path, head: bytes) -> Source | None:
    if _EVENT_FILE in head[:_EVENT_FILE_WITHIN]:
        return _event_files([path])
    if is_trainer_state(head) or path.name == FILE_NAME:
        return TrainerState(path)
    return Table(path) if is_table(head) else None


def _event_files(paths: list[Path]) -> Source:
    try:
        # The package is optional, and takes a quarter of a second.
        from producers.imports.tensorboard import EventFiles  # noqa: PLC0415
    except ImportError:
        raise UnreadableRecording(
            "holds TensorBoard events, which the package tensorboard reads: pip install 'streakline[tensorboard]'"
        ) from None
    return EventFiles(paths)
