"""What other tools recorded, and events as JSON lines."""

from pathlib import Path

from producers.codec import MalformedEvent
from producers.imports.readings import UnreadableRecording
from producers.imports.recording import open_recording
from streakline.cli.lines import decode_line, read_lines
from tests.fuzz.target import Target, of_file


def _read(path: Path) -> None:
    recording = open_recording(path)
    if recording is not None:
        for event in recording.events():
            assert event.run_id


def _read_lines(path: Path) -> None:
    for line in read_lines([path], max_bytes=1024):
        try:
            decode_line(line)
        except MalformedEvent:
            continue


TARGETS = (
    Target(name="trainer_state", decode=of_file("trainer_state.json", _read), allowed=(UnreadableRecording,)),
    Target(name="table", decode=of_file("table.csv", _read), allowed=(UnreadableRecording,)),
    Target(name="tensorboard", decode=of_file("events.out.tfevents.1", _read), allowed=(UnreadableRecording,)),
    Target(name="json_lines", decode=of_file("events.jsonl", _read_lines)),
)
