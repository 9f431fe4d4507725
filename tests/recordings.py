"""The recorded fine-tunes that ship with the demo."""

from streakline.demo.recordings import FOLDER

RECORDINGS = sorted(FOLDER.glob("*.jsonl"))
